// The state of the studio with undo: a list of entries, of which one is current.
//
// An entry is one action: { label, state, recipe, isMade }. A state is an immutable object
// { groove, a, b, muted, soloed }, where a and b are grooves or null. The recipe of a groove that a
// tool made is { task, settings, seed, base }: with it the tool can be applied again. `isMade` says
// that the entry is the application of the tool itself, not a later one such as muting a lane.

import { isGroove } from "./groove.js";

const AMEND_MS = 100;
const MAX_ENTRIES = 200;
const MAX_SAVED = 40;
const MAX_SAVED_CHARACTERS = 3_000_000; // browsers allow 5 MB per origin
const KEY = "groovae-studio";

export class Store extends EventTarget {
  constructor(state, label) {
    super();
    this.entries = [{ label, state, recipe: null, isMade: false }];
    this.index = 0;
    this.previewed = null;
    // The event comes from other tabs only. A new one stores what it has restored.
    addEventListener("storage", ({ key, newValue }) => {
      if (key === KEY && newValue) this.isOverwriting = newValue !== this.saved;
    });
  }

  get entry() {
    return this.entries[this.index];
  }

  get state() {
    return this.entry.state;
  }

  // The groove on display: a preview, such as during a drag, or that of the state.
  get groove() {
    return this.previewed ?? this.state.groove;
  }

  // Adds an entry; what was undone before is dropped.
  commit(label, changes, recipe = null, isMade = false) {
    const entry = { label, state: { ...this.state, ...changes }, recipe, isMade };
    this.entries = [...this.entries.slice(0, this.index + 1), entry].slice(-MAX_ENTRIES);
    this.index = this.entries.length - 1;
    this.#changed();
  }

  // Replaces the current entry, as when a slider of the tool that made it is moved. The groove is
  // shown at once, and the rest of the page follows a few times a second.
  amend(label, changes, recipe) {
    const entry = { label, state: { ...this.state, ...changes }, recipe, isMade: true };
    this.entries = [...this.entries.slice(0, this.index), entry];
    this.preview(null);
    this.later ??= setTimeout(() => this.#announce(), AMEND_MS);
  }

  preview(groove) {
    this.previewed = groove;
    this.dispatchEvent(new Event("groove"));
  }

  undo() {
    this.goTo(this.index - 1);
  }

  redo() {
    this.goTo(this.index + 1);
  }

  goTo(index) {
    if (index < 0 || index >= this.entries.length) return;
    this.index = index;
    this.#changed();
    this.dispatchEvent(new Event("travel"));
  }

  #changed() {
    this.preview(null);
    this.#announce();
  }

  #announce() {
    clearTimeout(this.later);
    this.later = null;
    this.dispatchEvent(new Event("change"));
  }

  // Storage

  // Keeps the state for this tab, should it be loaded again, and as the one that new tabs start with.
  save(extra) {
    const first = Math.max(0, this.index - MAX_SAVED);
    const whole = { entries: this.entries.slice(first), index: this.index - first, ...extra };
    const text = JSON.stringify(whole);
    const current = { entries: [{ ...this.entry, recipe: null }], index: 0, ...extra };
    this.saved = text.length < MAX_SAVED_CHARACTERS ? text : JSON.stringify(current);
    remember(KEY, this.saved, "sessionStorage");
    remember(KEY, this.saved);
    if (this.isOverwriting) this.dispatchEvent(new Event("overwrite"));
    this.isOverwriting = false;
  }

  restore({ entries, index }) {
    [this.entries, this.index] = [entries, index];
    this.#changed();
  }
}

// Stores a text in the browser. The studio works without it, too: it may be full or forbidden.
export function remember(key, text, storage = "localStorage") {
  try {
    globalThis[storage].removeItem(key); // an old state would be wrong if the new one does not fit
    globalThis[storage].setItem(key, text);
  } catch {
    // see above
  }
}

// Returns what `save` stored, or null if that is missing or of another version.
export function savedState() {
  try {
    const saved = JSON.parse(sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY));
    return saved?.entries?.[saved.index] && saved.entries.every(isEntry) ? saved : null;
  } catch {
    return null;
  }
}

function isEntry({ label, state }) {
  const grooves = [state.groove, state.a ?? state.groove, state.b ?? state.groove];
  const lists = [state.muted, state.soloed];
  return typeof label === "string" && grooves.every(isGroove) && lists.every(Array.isArray);
}
