// The parts of panels that are more than sliders: the source of the feel, the pad to tap on, and the
// bars and drums to fill in.

import { drumName } from "./describe.js";
import { checkbox, element, number, select, setOptions } from "./fields.js";
import { lanesOf, tempoOf } from "./groove.js";
import { t } from "./strings.js";

// "Transfer": the groove whose feel is used, A, B or a file.
export class FeelPart {
  constructor(actions, store) {
    Object.assign(this, { actions, store });
    store.addEventListener("change", () => this.show());
  }

  build(part) {
    const { node, input } = select("feel");
    this.input = input;
    const file = element("input", { type: "file", accept: ".mid,.midi,audio/midi", hidden: "" });
    const open = element("button", {}, t("feel-file"));
    open.addEventListener("click", () => file.click());
    file.addEventListener("change", () => {
      this.onFile(file.files);
      file.value = "";
    });
    input.addEventListener("change", () => { this.actions.feelFrom = input.value; });
    part.replaceChildren(node, open, file);
    this.show();
  }

  // Takes a groove from a file.
  take(groove) {
    this.actions.feel = groove;
    this.actions.feelFrom = "file";
    this.show();
  }

  show() {
    if (!this.input) return;
    const { a, b } = this.store.state;
    const sources = { a, b, file: this.actions.feel };
    const there = Object.keys(sources).filter((key) => sources[key]);
    if (!there.includes(this.actions.feelFrom)) this.actions.feelFrom = there[0];
    const name = (key) => (key === "file" ? sources[key].name : `${key.toUpperCase()}: ${sources[key].name}`);
    const options = there.length ? there.map((key) => [key, name(key)]) : [["", "–"]];
    setOptions(this.input, options, this.actions.feelFrom);
  }
}

// "Infill": numbers and chips for the selection in the roll.
export class WherePart {
  constructor(editor, store) {
    Object.assign(this, { editor, store });
    editor.addEventListener("select", () => this.show());
    store.addEventListener("change", () => this.show());
  }

  build(part) {
    this.first = number("first", { min: 1, max: 2000, value: 1, label: t("infill-bars") });
    this.last = number("last", { min: 1, max: 2000, value: 1, label: t("to") });
    for (const { input } of [this.first, this.last]) input.addEventListener("change", () => this.#selectBars());
    this.chips = lanesOf({ hits: [] }).map((drum) => [
      drum, checkbox(drumName(drum), () => this.editor.toggleDrum(drum)),
    ]);
    const drums = element("fieldset");
    const legend = element("legend", {}, t("infill-drums"));
    legend.append(element("small", {}, ` ${t("all-drums")}`));
    const list = element("div", { class: "chips" });
    list.append(...this.chips.map(([, { node }]) => node));
    drums.append(legend, list);
    const bars = element("div", { class: "row" });
    bars.append(this.first.node, this.last.node);
    part.replaceChildren(bars, drums);
    this.show();
  }

  #selectBars() {
    const { bars } = this.store.groove;
    const [first, last] = [this.first.read(), this.last.read()].map((bar) => Math.min(bar, bars));
    this.editor.select([Math.min(first, last) - 1, Math.max(first, last) - 1]);
  }

  show() {
    if (!this.first) return;
    const [first, last] = this.editor.bars ?? [0, this.store.groove.bars - 1];
    this.first.write(first + 1);
    this.last.write(last + 1);
    for (const [drum, chip] of this.chips) chip.write(Boolean(this.editor.selected?.includes(drum)));
  }
}

// "Tap": a pad for the mouse or a finger, and keys, while taps are recorded; then the taps become a
// groove, which plays.
export class TapPart {
  constructor(recorder, midi, actions, store) {
    Object.assign(this, { recorder, actions, store });
    actions.before.tap2drum = () => (recorder.isRecording ? recorder.cancel() : this.start());
    for (const name of ["start", "tap", "cancel", "done"]) recorder.addEventListener(name, () => this.show());
    recorder.addEventListener("done", () => this.#use(recorder.taps));
    document.addEventListener("keydown", (event) => this.#key(event), { capture: true });
    midi.addEventListener("note", ({ detail }) => recorder.tap(detail.timeStamp, detail.velocity));
  }

  start() {
    const { bars } = this.actions.tools.settings("tap2drum");
    const { groove } = this.store.state;
    return this.recorder.start(groove.name, bars, tempoOf(groove));
  }

  async #use(taps) {
    if (!taps.hits.length) return;
    this.store.commit(t("tap-count", { taps: taps.hits.length }), { groove: taps });
    await this.actions.apply("tap2drum", { taps });
    await this.recorder.player.play({ countIn: false });
  }

  build(part) {
    this.pad = element("button", { id: "pad", class: "pad" });
    this.pad.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.recorder.tap(event.timeStamp, 96);
    });
    part.replaceChildren(this.pad);
    this.show();
  }

  // Any key is a tap; Escape cancels.
  #key(event) {
    if (!this.recorder.isRecording || event.ctrlKey || event.metaKey || event.altKey) return;
    if (["Tab", "Shift"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") this.recorder.cancel();
    else if (!event.repeat) this.recorder.tap(event.timeStamp, 96);
  }

  show() {
    if (!this.pad) return;
    const { isRecording, taps } = this.recorder;
    this.pad.disabled = !isRecording;
    const count = isRecording ? t("tap-count", { taps: taps.hits.length }) : t("tap-pad-note");
    this.pad.replaceChildren(element("b", {}, t("tap-pad")), element("span", {}, count));
    const start = document.querySelector("#panel-tap2drum .main");
    if (start) start.textContent = t(isRecording ? "tap-stop" : "do-tap2drum");
  }
}
