// The user's own MIDI: a file is dropped or chosen, cut into windows, and one of them played.

import { BAR_STEPS, describeLosses, windowsOf } from "./groove.js";
import { readMidi } from "./midi.js";
import { reason } from "./model.js";

// How a file is called that the model has played, and what the model does, by its task.
const TASKS = {
  humanize: ["Humanized", "The hits stay; timing and dynamics are the model's."],
  tap2drum: ["Played from", "Any drum is a tap: the model hears when it comes, and plays the kit."],
  add_hihat: ["With a hi-hat", "The model plays a closed hi-hat to it; all else stays as it is."],
  transfer: ["With the feel of", "The hits stay; timing and dynamics are the model's. New grooves are new ways to play them."],
  null: ["Reconstruction of", "The model boils it down to a point in latent space, and plays what it makes of that."],
};
const NO_DRUMS = "No note of the file says that it is a drum, so all are taken for drums.";

const $ = (id) => document.getElementById(id);
const versions = document.querySelectorAll("input[name=version]");

export class FilePanel {
  #file = null; // { name, windows, version, groove }: hits by window, and what was last played

  // Hands over a file's tempo by `takeTempo(qpm)`, and each groove by `play(groove, hits)`, with
  // the hits of the file that it was made from.
  constructor(model, takeTempo, play) {
    Object.assign(this, { model, takeTempo, play });
    [this.title, $("midi-note").textContent] = TASKS[model.task] ?? TASKS.null;
    this.#listen();
    this.#receiveDrops();
  }

  // Says which version of the file the groove on the stage is: it may be neither.
  follow(groove) {
    const version = groove === this.#file?.groove ? this.#file.version : "";
    for (const input of versions) input.checked = input.value === version;
    refuse("");
  }

  async #take(dropped) {
    refuse("");
    try {
      const { notes, qpm, areDrums } = await readMidi(dropped);
      const { steps, task, arguments: { pitchClasses } } = this.model;
      const { windows, ...lost } = windowsOf(notes, qpm, steps, pitchClasses, task === "tap2drum");
      if (!windows.size) throw new Error("it has no drums that the model knows");
      this.#file = { name: dropped.name, windows, version: "model", groove: null };
      $("lost").textContent = `${areDrums ? "" : NO_DRUMS} ${describeLosses(lost)}`.trim();
      this.takeTempo(qpm);
    } catch (error) {
      refuse(`${dropped.name}: ${reason(error)}.`);
      return;
    }
    this.#offerWindows();
    await this.#play();
  }

  #offerWindows() {
    const { name, windows } = this.#file;
    const bars = this.model.steps / BAR_STEPS;
    const numbers = [...windows.keys()].sort((a, b) => a - b);
    $("window").replaceChildren(...numbers.map((number) =>
      new Option(`${number * bars + 1} to ${(number + 1) * bars}`, number)));
    $("file-name").textContent = name;
    $("dropped").hidden = false;
  }

  async #play() {
    const file = this.#file;
    const hits = file.windows.get(Number($("window").value));
    try {
      const answer = await this.model.answer(hits);
      file.groove = file.version === "model"
        ? { ...answer, name: `${this.title} ${file.name}` }
        : { ...answer, name: file.name, hits };
    } catch (error) {
      refuse(`The model failed: ${reason(error)}.`);
      return;
    }
    this.play(file.groove, hits);
  }

  #listen() {
    const input = $("file");
    // Else the same file, chosen again, would be no change.
    input.addEventListener("click", () => { input.value = ""; });
    input.addEventListener("change", () => {
      if (input.files.length) this.#take(input.files[0]);
    });
    $("window").addEventListener("change", () => this.#play());
    for (const version of versions) {
      version.addEventListener("change", () => {
        this.#file.version = version.value;
        this.#play();
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
      if (dropped) this.#take(dropped);
    });
  }
}

function refuse(text) {
  $("refused").textContent = text;
  if (text) $("refused").scrollIntoView({ block: "nearest" }); // a drop may be far from the panel
}
