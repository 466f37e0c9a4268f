// Edits the groove in the roll: its cursor, its selection of bars and drums, and the changes to hits.
// The keys are in KEYS; what the pointer does is in pointer.js.

import { drumName, textOfEmpty, textOfHit } from "./describe.js";
import {
  barAt, barsOf, hitAt, lanesOf, STEP, stepsOf, withChangedHit, withHit, withoutHit,
} from "./groove.js";
import { t } from "./strings.js";

const NEW_VELOCITY = 90;
const VELOCITY_STEP = 8;
const TIMING_STEP = STEP / 16;

export class RollEditor extends EventTarget {
  constructor(view, store, audio, drums) {
    super();
    Object.assign(this, { view, store, audio, drums });
    this.cursor = { drum: 0, step: 0 };
    this.bars = this.selected = null; // the selection: [first, last] bars and a list of drums
    this.velocity = NEW_VELOCITY;
    const { canvas } = view;
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.view.show(this.groove, { cursor: this.cursor }));
    canvas.addEventListener("blur", () => this.view.request());
  }

  get groove() {
    return this.store.groove;
  }

  // Selection

  select(bars, drums = this.selected) {
    this.bars = bars;
    this.selected = drums?.length ? drums : null;
    this.view.show(this.groove, { bars, drums: this.selected });
    this.dispatchEvent(new Event("select"));
  }

  toggleDrum(drum) {
    const now = this.selected ?? [];
    this.select(this.bars, now.includes(drum) ? now.filter((d) => d !== drum) : [...now, drum]);
  }

  // Keeps the selection within a groove that got shorter.
  fit() {
    const last = this.groove.bars - 1;
    if (this.bars && this.bars[1] > last) {
      this.select(this.bars[0] > last ? null : [this.bars[0], last]);
    }
    this.cursor.step = Math.min(this.cursor.step, stepsOf(this.groove) - 1);
    if (!lanesOf(this.groove).includes(this.cursor.drum)) this.cursor.drum = 0;
  }

  // Actions

  newHit() {
    const { drum, step } = this.cursor;
    const pitch = this.drums[drum]?.pitch;
    return pitch && { beat: step * STEP, length: STEP, drum, pitch, velocity: this.velocity };
  }

  #hitAtCursor() {
    return hitAt(this.groove, this.cursor.drum, this.cursor.step);
  }

  // Adds a hit at the cursor, or removes the one there.
  toggle() {
    if (this.#hitAtCursor()) return this.remove();
    const added = this.newHit();
    if (!added) return;
    this.audio.hit(added);
    this.commit("added", withHit(this.groove, added), added);
  }

  remove() {
    const hit = this.#hitAtCursor();
    if (hit) this.removeHit(hit);
  }

  removeHit(hit) {
    this.commit("removed", withoutHit(this.groove, hit), hit);
  }

  // Changes the hit at the cursor; repeated changes of a kind are one entry of the history.
  #change(kind, changes) {
    const hit = this.#hitAtCursor();
    if (!hit) return;
    const { last } = this;
    const isRepeated = last?.entry === this.store.entry && last.kind === kind && last.hit === hit;
    const [groove, changed] = withChangedHit(this.groove, hit, changes(hit));
    if (kind === "velocity") this.velocity = changed.velocity;
    this.audio.hit(changed);
    this.commit(kind, groove, changed, isRepeated);
    this.last = { entry: this.store.entry, kind, hit: changed };
  }

  commit(kind, groove, hit, isAmended = false) {
    const label = t(`edit-${kind}`, { drum: drumName(hit.drum), bar: barAt(groove, hit.beat) + 1 });
    if (isAmended) this.store.amend(label, { groove }, null);
    else this.store.commit(label, { groove });
    this.#announce();
  }

  // Keyboard

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
    const action = KEYS[key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action(this);
  }

  setCursor(drum, step) {
    this.cursor = { drum, step: Math.min(stepsOf(this.groove) - 1, Math.max(0, step)) };
    this.view.show(this.groove, { cursor: this.cursor });
  }

  moveCursor(steps, lanes) {
    const all = lanesOf(this.groove).filter((drum) => drum >= 0);
    const lane = Math.min(all.length - 1, Math.max(0, all.indexOf(this.cursor.drum) + lanes));
    this.setCursor(all[lane], this.cursor.step + steps);
    this.view.reveal(this.cursor.step * STEP);
    this.#announce();
  }

  moveBar(bars) {
    const list = barsOf(this.groove);
    const bar = barAt(this.groove, this.cursor.step * STEP) + bars;
    const { beat } = list[Math.min(list.length - 1, Math.max(0, bar))];
    this.moveCursor(Math.round(beat / STEP) - this.cursor.step, 0);
  }

  extendBars(by) {
    const bar = barAt(this.groove, this.cursor.step * STEP);
    const [first, last] = this.bars ?? [bar, bar];
    const end = this.bars ? Math.min(this.groove.bars - 1, Math.max(first, last + by)) : last;
    this.select([first, end]);
    this.#send("announce", t(first === end ? "selected-bar" : "selected-bars", { first: first + 1, last: end + 1 }));
  }

  changeVelocity(sign) {
    this.#change("velocity", ({ velocity }) => ({ velocity: velocity + sign * VELOCITY_STEP }));
  }

  // Moves the hit within its 16th, so that the cursor stays on it.
  changeTiming(sign) {
    const limit = 0.49 * STEP;
    this.#change("timing", ({ beat }) => {
      const grid = this.cursor.step * STEP;
      return { beat: Math.min(grid + limit, Math.max(grid - limit, beat + sign * TIMING_STEP)) };
    });
  }

  // Descriptions

  describe(hit) {
    this.#send("describe", hit ? textOfHit(this.groove, hit) : "");
  }

  #announce() {
    const hit = this.#hitAtCursor();
    this.#send("announce", hit ? textOfHit(this.groove, hit) : textOfEmpty(this.groove, this.cursor));
    this.describe(hit);
  }

  #send(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const KEYS = {
  ArrowLeft: (editor) => editor.moveCursor(-1, 0),
  ArrowRight: (editor) => editor.moveCursor(1, 0),
  ArrowUp: (editor) => editor.moveCursor(0, -1),
  ArrowDown: (editor) => editor.moveCursor(0, 1),
  "Shift+ArrowLeft": (editor) => editor.extendBars(-1),
  "Shift+ArrowRight": (editor) => editor.extendBars(1),
  PageUp: (editor) => editor.moveBar(-1),
  PageDown: (editor) => editor.moveBar(1),
  Home: (editor) => editor.moveCursor(-Infinity, 0),
  End: (editor) => editor.moveCursor(Infinity, 0),
  Enter: (editor) => editor.toggle(),
  Delete: (editor) => editor.remove(),
  Backspace: (editor) => editor.remove(),
  "+": (editor) => editor.changeVelocity(1),
  "=": (editor) => editor.changeVelocity(1),
  "-": (editor) => editor.changeVelocity(-1),
  ",": (editor) => editor.changeTiming(-1),
  ".": (editor) => editor.changeTiming(1),
};
