// The names of the lanes, with a button each to select, mute and solo the drum.

import { drumName } from "./describe.js";
import { element } from "./fields.js";
import { lanesOf } from "./groove.js";
import { t } from "./strings.js";

const STRUCK_MS = 120;

export class Lanes {
  constructor(box, store, editor) {
    Object.assign(this, { box, store, editor, rows: [] });
    store.addEventListener("change", () => this.show());
    editor.addEventListener("select", () => this.show());
  }

  // The drums that are silent: muted, or not soloed while others are.
  get silent() {
    const { muted, soloed } = this.store.state;
    return lanesOf(this.store.groove).filter(
      (drum) => muted.includes(drum) || (soloed.length && !soloed.includes(drum)),
    );
  }

  toggle(drum, kind) {
    const now = this.store.state[kind];
    const isOn = now.includes(drum);
    const label = t(`edit-${isOn ? "un" : ""}${kind}`, { drum: drumName(drum) });
    const changed = isOn ? now.filter((other) => other !== drum) : [...now, drum];
    this.store.commit(label, { [kind]: changed }, this.store.entry.recipe);
  }

  build() {
    this.rows = [];
    this.show();
  }

  show() {
    const lanes = lanesOf(this.store.groove);
    if (lanes.length !== this.rows.length) {
      this.rows = lanes.map((drum) => this.#row(drum));
      this.box.replaceChildren(...this.rows.map(({ node }) => node));
    }
    const { state } = this.store;
    for (const { drum, name, mute, solo, node } of this.rows) {
      name.setAttribute("aria-pressed", String(Boolean(this.editor.selected?.includes(drum))));
      mute.setAttribute("aria-pressed", String(state.muted.includes(drum)));
      solo.setAttribute("aria-pressed", String(state.soloed.includes(drum)));
      node.classList.toggle("silent", this.silent.includes(drum));
    }
  }

  #row(drum) {
    const node = element("div", { class: "lane" });
    const button = (className, text, key, onClick) => {
      const made = element("button", { class: className, title: t(key, { drum: drumName(drum) }) }, text);
      if (text.length === 1) made.setAttribute("aria-label", made.title);
      made.addEventListener("click", onClick);
      return made;
    };
    const name = button("name", t(`short-${drum}`), "select-drum", () => this.editor.toggleDrum(drum));
    const mute = button("mute", "M", "mute", () => this.toggle(drum, "muted"));
    const solo = button("solo", "S", "solo", () => this.toggle(drum, "soloed"));
    name.disabled = drum < 0;
    node.append(name, mute, solo);
    return { drum, node, name, mute, solo };
  }

  // Marks the drums that sound now.
  strike(groove, beat, beatMs) {
    const struck = new Set(
      beat === null ? [] : groove.hits
        .filter((hit) => beat >= hit.beat && (beat - hit.beat) * beatMs < STRUCK_MS)
        .map(({ drum }) => drum),
    );
    for (const { drum, node } of this.rows) node.classList.toggle("struck", struck.has(drum));
  }
}
