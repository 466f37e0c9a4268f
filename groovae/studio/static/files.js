// Files in and out: open and drop MIDI, save MIDI and WAV, drag the groove out as a MIDI file.

import { midiOf, readMidi, wavOf } from "./api.js";
import { t } from "./strings.js";

const DELAY_MS = 200; // after the last change, until the MIDI file to drag is made

export class Files extends EventTarget {
  constructor(store, link, drop) {
    super();
    Object.assign(this, { store, link, drop });
    this.file = null; // { groove, blob, address, url }: the MIDI file of the groove shown
    store.addEventListener("change", () => this.#prepareSoon());
    link.addEventListener("click", (event) => this.#save(event));
    link.addEventListener("dragstart", (event) => this.#drag(event));
    this.#listenForDrops();
  }

  // Out

  fileName(suffix) {
    const name = this.store.state.groove.name.replace(/[\\/:*?"<>|\p{Cc}]/gu, "-").trim();
    return `${name || t("untitled")}${suffix}`;
  }

  #prepareSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.midi().catch(() => {}), DELAY_MS); // reported when it is used
  }

  // The groove shown as a MIDI file, made once.
  async midi() {
    const { groove } = this.store.state;
    if (this.file?.groove === groove) return this.file;
    const { blob, address } = await midiOf(groove);
    if (this.file) URL.revokeObjectURL(this.file.url);
    this.file = { groove, blob, address, url: URL.createObjectURL(blob) };
    this.link.href = this.file.url;
    this.link.download = this.fileName(".mid");
    return this.file;
  }

  // A browser asks for the address at once, so the file must have been made before. Chromium
  // downloads it from the server, as it does not read blob: URLs here.
  #drag(event) {
    if (this.file?.groove !== this.store.state.groove) return event.preventDefault();
    const name = this.fileName(".mid");
    const address = this.file.address ?? this.file.url;
    const { dataTransfer } = event;
    dataTransfer.clearData(); // the link itself, which no other program can open
    dataTransfer.effectAllowed = "copy";
    dataTransfer.setData("DownloadURL", `audio/midi:${name}:${address}`);
    dataTransfer.setData("text/uri-list", address);
    this.isOwnDrag = true;
    this.link.addEventListener("dragend", () => { this.isOwnDrag = false; }, { once: true });
  }

  #save(event) {
    event.preventDefault();
    this.saveMidi();
  }

  saveMidi() {
    return this.#attempt(async () => download((await this.midi()).blob, this.fileName(".mid")));
  }

  saveWav() {
    return this.#attempt(async () => download(await wavOf(this.store.state.groove), this.fileName(".wav")));
  }

  // In

  // Reads files one by one; each is an entry of the history, or the content of a slot.
  async open(files, slot = null) {
    for (const file of files) {
      await this.#attempt(async () => {
        const { grooves: [groove], log } = await readMidi(file);
        this.dispatchEvent(new CustomEvent("open", { detail: { groove, slot, log: log ?? [] } }));
      });
    }
  }

  #listenForDrops() {
    const isFile = (event) => !this.isOwnDrag && event.dataTransfer?.types.includes("Files");
    document.addEventListener("dragover", (event) => {
      if (!isFile(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      this.drop.hidden = false;
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) this.drop.hidden = true;
    });
    document.addEventListener("drop", (event) => {
      this.drop.hidden = true;
      if (!isFile(event)) return;
      event.preventDefault();
      const slot = event.target.closest?.("[data-slot]")?.dataset.slot ?? null;
      this.open([...event.dataTransfer.files], slot);
    });
  }

  async #attempt(call) {
    try {
      await call();
    } catch ({ message }) {
      const text = message === "offline" ? t("offline") : message;
      this.dispatchEvent(new CustomEvent("message", { detail: text }));
    }
  }
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
