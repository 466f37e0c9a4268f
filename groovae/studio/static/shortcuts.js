// Keyboard shortcuts: a table from keys to actions, the dialog that lists them, and the hints on
// buttons (data-key).

import { element } from "./fields.js";
import { t } from "./strings.js";

const ROLL = [
  ["← → ↑ ↓", "key-move"], ["Page Up, Page Down", "key-bar"], ["Enter", "key-toggle"],
  ["+ −", "key-velocity"], [", .", "key-timing"], ["Shift+← →", "key-select"], ["M, S", "key-mute"],
];

// Names a key as in the table: "Ctrl+Z", "Shift+G", "Space", "?". Letters are those of the place on
// the keyboard where the layout has no Latin ones, as the Korean one.
function nameOf(event) {
  const isOther = /^[^\x20-\x7e]$/.test(event.key) && event.code.startsWith("Key");
  const key = isOther ? event.code.slice(3) : event.key === " " ? "Space" : event.key;
  const isLetter = /^[a-z]$/i.test(key);
  const shift = event.shiftKey && (isLetter || key.length > 1) ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shift}${isLetter ? key.toUpperCase() : key}`;
}

const isMac = /mac/i.test(navigator.userAgentData?.platform ?? navigator.platform);
const shown = (key) => (isMac ? key.replace("Ctrl+", "⌘") : key);

const typesText = (target) =>
  target.matches?.("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]");

// After a click on a button Space plays; a button that was reached by keyboard is pressed by it.
const PRESSED_BY_SPACE = ":is(button, a, [type=checkbox]):focus-visible";

export class Shortcuts {
  // `table`: [key, text, action], where actions without a text are not listed.
  constructor(table) {
    this.table = table;
    this.actions = new Map(table.map(([key, , action]) => [key, action]));
    this.hasLetters = true;
    document.addEventListener("keydown", (event) => this.#press(event));
    document.addEventListener("keyup", (event) => {
      const isSpace = event.key === " " && !typesText(event.target);
      if (isSpace && !event.target.matches?.(PRESSED_BY_SPACE)) event.preventDefault();
    });
  }

  #press(event) {
    if (event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const name = nameOf(event);
    const action = this.actions.get(name);
    const isSingle = !name.startsWith("Ctrl+") && name !== "Escape";
    if (!action || (isSingle && !this.hasLetters)) return;
    if (typesText(event.target) && name !== "Ctrl+S") return;
    if (name === "Space" && event.target.matches?.(PRESSED_BY_SPACE)) return;
    event.preventDefault();
    action();
  }

  list(box) {
    const section = (title, rows) => {
      const part = element("section");
      part.append(element("h3", {}, t(title)));
      const terms = element("dl");
      for (const [key, text] of rows) {
        const term = element("dt");
        term.append(element("kbd", {}, shown(key)));
        terms.append(term, element("dd", {}, t(text)));
      }
      part.append(terms);
      return part;
    };
    const listed = this.table.filter(([, text]) => text).map(([key, text]) => [key, text]);
    box.replaceChildren(section("help-everywhere", listed), section("help-roll", ROLL));
  }
}

// Adds the shortcuts to the tooltips of buttons.
export function showKeys(root = document) {
  for (const node of root.querySelectorAll("[data-key]")) {
    const { tTitle } = node.dataset;
    const title = tTitle ? t(tTitle, node.dataset) : node.title || node.textContent;
    const text = title.trim().replace(/ \([^()]*\)$/, "");
    node.title = `${text} (${shown(node.dataset.key)})`;
    node.setAttribute("aria-keyshortcuts", node.dataset.key.replace("Ctrl", "Control"));
  }
}
