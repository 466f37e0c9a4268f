// Web MIDI: taps from a drum pad, and hits with a clock for a DAW.

const [NOTE_OFF, NOTE_ON, CLOCK, START, STOP] = [0x80, 0x90, 0xf8, 0xfa, 0xfc];
const DRUM_CHANNEL = 9;
const NOTE_MS = 100;

export class Midi extends EventTarget {
  constructor(audio) {
    super();
    this.audio = audio;
    this.access = null;
    this.port = null; // the MIDI output in use
  }

  get outputs() {
    return this.access ? [...this.access.outputs.values()] : [];
  }

  get inputs() {
    return this.access ? [...this.access.inputs.values()] : [];
  }

  // Asks the browser for access, which may ask the user; throws if it is refused or unsupported.
  async connect() {
    if (!navigator.requestMIDIAccess) throw new Error("unsupported");
    this.access = await navigator.requestMIDIAccess();
    this.access.addEventListener("statechange", () => this.#listen());
    this.#listen();
  }

  #listen() {
    for (const input of this.inputs) input.onmidimessage = (event) => this.#receive(event);
    if (this.port && !this.outputs.includes(this.port)) this.port = null;
    this.dispatchEvent(new Event("ports"));
  }

  #receive({ data: [status, pitch, velocity], timeStamp }) {
    if ((status & 0xf0) !== NOTE_ON || velocity === 0) return;
    this.dispatchEvent(new CustomEvent("note", { detail: { pitch, velocity, timeStamp } }));
  }

  choose(id) {
    this.stop();
    this.port = this.outputs.find((port) => port.id === id) ?? null;
  }

  // As an output of the player

  hit({ pitch, velocity }, time) {
    const at = this.audio.heardAt(time);
    this.port?.send([NOTE_ON | DRUM_CHANNEL, pitch, velocity], at);
    this.port?.send([NOTE_OFF | DRUM_CHANNEL, pitch, 0], at + NOTE_MS);
  }

  clock(time) {
    this.port?.send([CLOCK], this.audio.heardAt(time));
  }

  start(time) {
    this.port?.send([START], this.audio.heardAt(time));
  }

  click() {}

  cancel() {
    this.port?.clear?.();
  }

  stop() {
    this.cancel();
    this.port?.send([STOP]);
  }
}
