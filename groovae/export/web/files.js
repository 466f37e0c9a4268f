// The user's MIDI file: dropped or chosen, cut into windows, which the model processes in turn.

import { BAR_STEPS, cutWindows, describeSkipped } from "./groove.js";
import { readMidi } from "./midi.js";
import { reason } from "./model.js";
import { joinWindows, mapInTurn } from "./segments.js";

// By task: the name of a groove made from a file, before the file name, and what the model does.
const TASKS = {
  humanize: ["Humanized", "Keeps the hits of your file and generates their timing and velocity."],
  tap2drum: ["Drums for", "Uses only the timing of your notes, and generates drums that fit it."],
  add_hihat: ["Hi-hat added to", "Adds a closed hi-hat and leaves all other drums unchanged."],
  transfer: ["New feel for", "Keeps the hits of your file and generates their timing and velocity. New grooves play the same hits with another feel."],
  null: ["Reconstruction of", "The model describes your file by a few numbers and plays it again from them."],
};
const MAX_WINDOWS = 64; // at once: a window takes a second or more
const NOT_DRUMS = "No note is on the drum channel, so all notes are read as drums.";

const $ = (id) => document.getElementById(id);
const versions = document.querySelectorAll("input[name=version]");

export class FilePanel {
  #file = null; // { name, windows, bars, version, groove }: the version and the groove shown last
  #processed = new WeakMap(); // what the model made of a window of hits

  // Calls `setTempo(qpm)` for a file, and `show(groove, hits)` for each groove made from its windows of
  // hits. `begin()` returns the function that `mapInTurn` asks whether to proceed.
  constructor(model, { setTempo, begin, show }) {
    Object.assign(this, { model, setTempo, begin, show });
    [this.title, $("midi-note").textContent] = TASKS[model.task] ?? TASKS.null;
    this.#listen();
    this.#receiveDrops();
  }

  // Marks which version of the file, if any, is the groove shown.
  markVersion(groove) {
    const version = groove === this.#file?.groove ? this.#file.version : "";
    for (const input of versions) input.checked = input.value === version;
    showError("");
  }

  async #open(dropped) {
    showError("");
    try {
      const { notes, qpm, bars, areDrums } = await readMidi(dropped);
      const { steps, task, arguments: { pitchClasses } } = this.model;
      const { windows, ...skipped } =
        cutWindows(notes, qpm, steps, pitchClasses, task === "tap2drum", bars);
      if (!windows.size) throw new Error("no note is a drum that the model knows");
      this.#file = { name: dropped.name, windows, bars, version: "model", groove: null };
      const lines = [areDrums ? "" : NOT_DRUMS, describeSkipped(skipped), this.#describeLimit()];
      $("skipped").textContent = lines.filter(Boolean).join(" ");
      this.setTempo(qpm);
    } catch (error) {
      showError(`${dropped.name}: ${reason(error)}.`);
      return;
    }
    this.#listWindows();
    await this.#showVersion();
  }

  get #windowBars() {
    return this.model.steps / BAR_STEPS;
  }

  #describeLimit() {
    const [{ bars }, most] = [this.#file, MAX_WINDOWS * this.#windowBars];
    return bars > most ? `The file has ${bars} bars, of which at most ${most} are used at once.` : "";
  }

  // Lists the whole file, which is chosen, and each of its windows if there are several.
  #listWindows() {
    const { name, windows, bars } = this.#file;
    const option = (first, count, value) =>
      new Option(`${first + 1} to ${Math.min(first + count, bars)}`, value);
    const numbers = [...windows.keys()].sort((a, b) => a - b);
    const single = numbers.map((number) => option(number * this.#windowBars, this.#windowBars, number));
    const whole = option(0, MAX_WINDOWS * this.#windowBars, "");
    $("window").replaceChildren(whole, ...(bars > this.#windowBars ? single : []));
    $("file-name").textContent = name;
    $("dropped").hidden = false;
  }

  // Returns the chosen windows of hits, null for empty ones, and their length.
  #chosen() {
    const { windows, bars } = this.#file;
    const [choice, { steps }] = [$("window").value, this.model];
    const count = choice ? 1 : Math.min(Math.ceil((bars * BAR_STEPS) / steps), MAX_WINDOWS);
    const chosen = Array.from({ length: count }, (_, i) => windows.get(Number(choice) + i) ?? null);
    return { windows: chosen, steps: Math.min(count * steps, bars * BAR_STEPS - Number(choice) * steps) };
  }

  async #showVersion() {
    const file = this.#file;
    const { windows, steps } = this.#chosen();
    let segments;
    try {
      segments = await mapInTurn(windows, this.model.steps, this.begin(), (hits) => this.#process(hits));
    } catch (error) {
      showError(`The model failed: ${reason(error)}.`);
      return;
    }
    if (!segments) return; // something else is shown by now
    file.groove = file.version === "model"
      ? { segments, steps, name: `${this.title} ${file.name}` }
      : { segments, steps, name: file.name, hits: joinWindows(windows, this.model.steps, steps) };
    this.show(file.groove, windows);
  }

  // Returns what the model makes of a window, the same for the same hits.
  async #process(hits) {
    if (!hits) return null;
    if (!this.#processed.has(hits)) this.#processed.set(hits, await this.model.process(hits));
    return this.#processed.get(hits);
  }

  #listen() {
    const input = $("file");
    // Without this, choosing the same file again would not fire a change event.
    input.addEventListener("click", () => { input.value = ""; });
    input.addEventListener("change", () => {
      if (input.files.length) this.#open(input.files[0]);
    });
    $("window").addEventListener("change", () => this.#showVersion());
    for (const version of versions) {
      version.addEventListener("change", () => {
        this.#file.version = version.value;
        this.#showVersion();
      });
    }
  }

  #receiveDrops() {
    const { classList } = $("drop");
    addEventListener("dragover", (event) => {
      event.preventDefault();
      classList.add("over");
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) classList.remove("over");
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      classList.remove("over");
      const [dropped] = event.dataTransfer.files;
      if (dropped) this.#open(dropped);
    });
  }
}

function showError(text) {
  $("file-error").textContent = text;
  // A file may be dropped while the panel is out of view.
  if (text) $("file-error").scrollIntoView({ block: "nearest" });
}
