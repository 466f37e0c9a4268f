// The shortcuts that work everywhere: [key, text in the help, action].

import { KEYS, TOOLS } from "./tools.js";

export function keysOf(studio) {
  const { store, transport, tools, editor, slots, files, view } = studio;
  const lane = (kind) => () => studio.lanes.toggle(editor.cursor.drum, kind);
  const press = (id) => () => document.getElementById(id).click();
  return [
    ["Space", "play", () => transport.toggle()],
    ["1 … 9, 0, F", "key-tools", null],
    ...TOOLS.map(({ task }, i) => [KEYS[i], "", () => tools.open(task)]),
    ["G", "key-tool", () => apply(tools, false)],
    ["Shift+G", "again", () => apply(tools, true)],
    ["Ctrl+Z", "undo", () => store.undo()],
    ["Ctrl+Shift+Z", "redo", () => store.redo()],
    ["Ctrl+Y", "", () => store.redo()],
    ["Shift+A", "keep-a", () => slots.keep("a")],
    ["Shift+B", "keep-b", () => slots.keep("b")],
    ["X", "swap-ab", () => slots.swap()],
    ["C", "click-title", () => transport.toggleClick()],
    ["I", "count-in", () => transport.toggleCountIn()],
    ["L", "loop", () => transport.toggleLoop()],
    ["[", "zoom-out", press("zoom-out")],
    ["]", "zoom-in", press("zoom-in")],
    ["O", "open", press("open")],
    ["Ctrl+S", "save-midi", () => files.saveMidi()],
    ["Ctrl+A", "select-all", () => editor.select([0, store.groove.bars - 1])],
    ["R", "key-roll", () => view.canvas.focus()],
    ["M", "", lane("muted")],
    ["S", "", lane("soloed")],
    ["?", "help", press("help")],
    ["Escape", "key-escape", () => studio.escape()],
  ];
}

// Presses the button of the tool that is open.
function apply(tools, again) {
  const tool = TOOLS.find(({ task }) => task === tools.task);
  if (tool.apply !== false) tools.send("apply", tool.task, again && tool.again !== false);
}
