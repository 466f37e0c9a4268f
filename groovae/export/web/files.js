// The user's MIDI file: dropped or chosen, cut into windows, one of which the model processes.

import { BAR_STEPS, cutWindows, describeSkipped } from "./groove.js";
import { readMidi } from "./midi.js";
import { reason } from "./model.js";

// By task: the name of a groove made from a file, before the file name, and what the model does.
const TASKS = {
  humanize: ["Humanized", "Keeps the hits of your file and generates their timing and velocity."],
  tap2drum: ["Drums for", "Uses only the timing of your notes, and generates drums that fit it."],
  add_hihat: ["Hi-hat added to", "Adds a closed hi-hat and leaves all other drums unchanged."],
  transfer: ["New feel for", "Keeps the hits of your file and generates their timing and velocity. New grooves play the same hits with another feel."],
  null: ["Reconstruction of", "The model describes your file by a few numbers and plays it again from them."],
};
const NOT_DRUMS = "No note is on the drum channel, so all notes are read as drums.";

const $ = (id) => document.getElementById(id);
const versions = document.querySelectorAll("input[name=version]");

export class FilePanel {
  #file = null; // { name, windows, version, groove }: windows of hits, and the groove shown last

  // Calls `setTempo(qpm)` for a file, and `show(groove, hits)` for each groove made from its hits.
  constructor(model, setTempo, show) {
    Object.assign(this, { model, setTempo, show });
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
      const { notes, qpm, areDrums } = await readMidi(dropped);
      const { steps, task, arguments: { pitchClasses } } = this.model;
      const { windows, ...skipped } =
        cutWindows(notes, qpm, steps, pitchClasses, task === "tap2drum");
      if (!windows.size) throw new Error("no note is a drum that the model knows");
      this.#file = { name: dropped.name, windows, version: "model", groove: null };
      $("skipped").textContent = `${areDrums ? "" : NOT_DRUMS} ${describeSkipped(skipped)}`.trim();
      this.setTempo(qpm);
    } catch (error) {
      showError(`${dropped.name}: ${reason(error)}.`);
      return;
    }
    this.#listWindows();
    await this.#showVersion();
  }

  #listWindows() {
    const { name, windows } = this.#file;
    const bars = this.model.steps / BAR_STEPS;
    const numbers = [...windows.keys()].sort((a, b) => a - b);
    $("window").replaceChildren(...numbers.map((number) =>
      new Option(`${number * bars + 1} to ${(number + 1) * bars}`, number)));
    $("file-name").textContent = name;
    $("dropped").hidden = false;
  }

  async #showVersion() {
    const file = this.#file;
    const hits = file.windows.get(Number($("window").value));
    try {
      const processed = await this.model.process(hits);
      file.groove = file.version === "model"
        ? { ...processed, name: `${this.title} ${file.name}` }
        : { ...processed, name: file.name, hits };
    } catch (error) {
      showError(`The model failed: ${reason(error)}.`);
      return;
    }
    this.show(file.groove, hits);
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
