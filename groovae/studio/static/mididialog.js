// The dialog of the MIDI ports.

import { setOptions } from "./fields.js";
import { t } from "./strings.js";

const $ = (id) => document.getElementById(id);

export class MidiDialog extends EventTarget {
  constructor(midi, player) {
    super();
    Object.assign(this, { midi, player });
    $("midi").addEventListener("click", () => this.open());
    $("midi-connect").addEventListener("click", () => this.connect());
    $("midi-out").addEventListener("change", () => this.#choose());
    midi.addEventListener("ports", () => this.show());
  }

  open() {
    this.show();
    $("midi-dialog").showModal();
  }

  async connect() {
    try {
      await this.midi.connect();
    } catch ({ message }) {
      const text = t(message === "unsupported" ? "midi-unsupported" : "midi-denied");
      this.dispatchEvent(new CustomEvent("message", { detail: text }));
      $("midi-in").textContent = text;
    }
  }

  // Sends to the port from now on.
  #choose() {
    this.midi.choose($("midi-out").value);
    this.player.outputs = [this.player.audio, ...(this.midi.port ? [this.midi] : [])];
    this.player.refresh();
  }

  show() {
    const { access, outputs, inputs, port } = this.midi;
    $("midi-connect").hidden = Boolean(access);
    $("midi-out").disabled = !outputs.length;
    const ports = outputs.map(({ id, name }) => [id, name]);
    setOptions($("midi-out"), [["", t("midi-out-none")], ...ports], port?.id ?? "");
    $("midi-in").textContent = inputs.map(({ name }) => name).join(", ") || t("midi-in-none");
  }
}
