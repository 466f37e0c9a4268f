// The list of all entries, and the grooves kept as A and B.

import { textOfGroove } from "./describe.js";
import { element } from "./fields.js";
import { t } from "./strings.js";
import { drawThumbnail } from "./thumbnail.js";

const REVEAL_MARGIN = 8;

export class History {
  constructor(list, store) {
    Object.assign(this, { list, store });
    this.rows = new Map(); // by entry
    store.addEventListener("change", () => this.show());
  }

  show() {
    const { entries, index } = this.store;
    const rows = new Map(entries.map((entry) => [entry, this.rows.get(entry) ?? this.#row(entry)]));
    this.rows = rows;
    this.list.replaceChildren(...rows.values());
    entries.forEach((entry, i) => this.#mark(rows.get(entry), i, index));
    const current = rows.get(this.store.entry);
    requestAnimationFrame(() => reveal(this.list, current));
  }

  // Draws all pictures again, in other colours.
  refresh() {
    for (const [entry, row] of this.rows) drawThumbnail(row.querySelector("canvas"), entry.state.groove);
  }

  #row(entry) {
    const row = element("li");
    const button = element("button");
    const text = element("span", {}, entry.label);
    text.append(element("small", {}, entry.state.groove.name));
    const canvas = element("canvas", { "aria-hidden": "true" });
    button.append(canvas, text);
    button.addEventListener("click", () => this.store.goTo(this.store.entries.indexOf(entry)));
    row.append(button);
    requestAnimationFrame(() => drawThumbnail(canvas, entry.state.groove));
    return row;
  }

  #mark(row, i, index) {
    row.classList.toggle("undone", i > index);
    const button = row.firstElementChild;
    if (i === index) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

// Scrolls a list, and nothing around it, so that a row is in view.
function reveal(list, row) {
  if (!row.isConnected) return;
  const top = row.offsetTop - list.offsetTop - REVEAL_MARGIN;
  const bottom = row.offsetTop - list.offsetTop + row.offsetHeight + REVEAL_MARGIN;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
}

export class Slots {
  constructor(box, store) {
    Object.assign(this, { box, store });
    store.addEventListener("change", () => this.show());
  }

  build() {
    this.slots = ["a", "b"].map((key) => this.#slot(key));
    this.box.replaceChildren(...this.slots.map(({ node }) => node));
    this.show();
  }

  #slot(key) {
    const slot = key.toUpperCase();
    const node = element("div", { class: "slot", id: `slot-${key}`, "data-slot": key });
    const recall = element("button", { class: "recall", "aria-keyshortcuts": "X", "aria-pressed": "false" });
    const [canvas, name] = [element("canvas", { "aria-hidden": "true" }), element("span")];
    recall.append(element("b", {}, slot), canvas, name);
    recall.addEventListener("click", () => this.recall(key));
    const keep = element("button", { class: "keep", "data-key": `Shift+${slot}` }, t("keep", { slot }));
    keep.addEventListener("click", () => this.keep(key));
    node.append(recall, keep);
    return { key, slot, node, recall, canvas, name };
  }

  show() {
    const { state } = this.store;
    for (const { key, slot, recall, canvas, name } of this.slots) {
      const groove = state[key];
      recall.disabled = !groove;
      recall.setAttribute("aria-pressed", String(Boolean(groove) && groove === state.groove));
      name.textContent = groove ? ` ${groove.name}` : "";
      recall.title = groove
        ? `${t("recall", { slot })} (X). ${textOfGroove(groove)}`
        : t("slot-empty", { slot });
      requestAnimationFrame(() => drawThumbnail(canvas, groove));
    }
  }

  keep(key, groove = this.store.state.groove) {
    this.store.commit(t("edit-kept", { slot: key.toUpperCase() }), { [key]: groove }, this.store.entry.recipe);
  }

  recall(key) {
    const groove = this.store.state[key];
    if (groove && groove !== this.store.state.groove) {
      this.store.commit(t("edit-recalled", { slot: key.toUpperCase() }), { groove });
    }
  }

  // Shows A if B is shown, otherwise B, or the one that is there.
  swap() {
    const { a, b, groove } = this.store.state;
    this.recall((groove === a && b) || !a ? "b" : "a");
  }
}
