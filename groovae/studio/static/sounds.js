// Plays drums and the metronome with Web Audio, from the one-shots of the server.

import { get, soundFile } from "./api.js";
import { NUM_DRUMS, synthesize } from "./synth.js";

const [CLOSED_HIHAT, OPEN_HIHAT] = [2, 3];
const CHOKE_SECONDS = 0.03;
const MAX_DEVIATION_MS = 1000; // of the time that the browser reports as heard

export class AudioOutput {
  constructor() {
    this.context = null;
    this.layers = []; // by drum: [{ maxVelocity, data, buffer }], the softest first
    this.playing = new Set(); // { node, gain, time } of hits that are scheduled or sounding
    this.volume = 0.9;
  }

  // Loads the one-shots; where the server has none, drums are synthesized and the error is thrown.
  async load() {
    let drums;
    try {
      drums = await get("sounds");
    } catch (error) {
      this.layers = Array.from({ length: NUM_DRUMS }, () => [{ maxVelocity: 127 }]);
      this.isSynthetic = true;
      if (this.context) this.#synthesize();
      throw error;
    }
    await Promise.all(drums.map(({ drum, layers }) => {
      this.layers[drum] = layers.map(({ max_velocity }) => ({ maxVelocity: max_velocity }));
      return Promise.all(layers.map(({ url }, i) => this.#loadLayer(this.layers[drum][i], url)));
    }));
  }

  async #loadLayer(layer, url) {
    layer.data = await soundFile(url);
    if (this.context) await this.#decode(layer);
  }

  // Opens the audio device; browsers allow it only after a click or a key.
  async open() {
    if (!this.context) {
      this.context = new AudioContext({ latencyHint: "interactive" });
      this.master = new GainNode(this.context, { gain: this.volume });
      this.master.connect(new DynamicsCompressorNode(this.context, { threshold: -6, ratio: 12 }))
        .connect(this.context.destination);
    }
    if (this.isSynthetic) this.#synthesize();
    await Promise.all([this.context.resume(), ...this.layers.flat().map((layer) => this.#decode(layer))]);
  }

  #synthesize() {
    this.layers.forEach(([layer], drum) => { layer.buffer ??= synthesize(this.context, drum); });
  }

  async #decode(layer) {
    if (!layer.data) return;
    const { data } = layer;
    layer.data = null; // decodeAudioData detaches it
    layer.buffer = await this.context.decodeAudioData(data);
  }

  // Plays a hit at a time of the context, by default now.
  hit({ drum, velocity }, time = 0) {
    const layers = this.layers[drum]?.filter(({ buffer }) => buffer) ?? [];
    const layer = layers.find(({ maxVelocity }) => velocity <= maxVelocity) ?? layers.at(-1);
    if (!layer || !this.context) return;
    const gain = new GainNode(this.context, { gain: velocity / layer.maxVelocity });
    const node = new AudioBufferSourceNode(this.context, { buffer: layer.buffer });
    if (drum === CLOSED_HIHAT || drum === OPEN_HIHAT) this.#chokeHihat(time);
    this.#start(node, gain, time, drum);
  }

  #start(node, gain, time, drum) {
    const voice = { node, gain, time: time || this.context.currentTime, drum };
    node.connect(gain).connect(this.master);
    node.addEventListener("ended", () => this.playing.delete(voice));
    node.start(time);
    this.playing.add(voice);
  }

  // A stroke on the hi-hat ends the ringing of the open one.
  #chokeHihat(time) {
    const at = time || this.context.currentTime;
    for (const voice of this.playing) {
      if (voice.drum === OPEN_HIHAT && voice.time < at) {
        voice.gain.gain.setTargetAtTime(0, at, CHOKE_SECONDS / 3);
      }
    }
  }

  click(time, isAccent) {
    const node = new OscillatorNode(this.context, { frequency: isAccent ? 1760 : 1174 });
    const gain = new GainNode(this.context, { gain: 0 });
    gain.gain.setValueAtTime(isAccent ? 0.35 : 0.2, time);
    gain.gain.exponentialRampToValueAtTime(0.001, time + 0.05);
    this.#start(node, gain, time, null);
    node.stop(time + 0.06);
  }

  // The time of performance.now() at which a time of the context is heard, and back, both with the
  // latency of the device. The clock of the context itself moves in blocks.
  heardAt(time) {
    return time * 1000 + this.#offset();
  }

  timeHeardAt(milliseconds) {
    return (milliseconds - this.#offset()) / 1000;
  }

  #offset() {
    const { currentTime, outputLatency = 0 } = this.context;
    const expected = performance.now() - (currentTime - outputLatency) * 1000;
    const { contextTime, performanceTime } = this.context.getOutputTimestamp();
    const measured = performanceTime - contextTime * 1000;
    const isValid = contextTime && Math.abs(measured - expected) < MAX_DEVIATION_MS;
    return isValid ? measured : expected; // nothing was heard yet, or as in WebKit without a device
  }

  clock() {}
  start() {}

  // Cancels what has not sounded yet.
  cancel() {
    const now = this.context?.currentTime ?? 0;
    for (const { node, time } of this.playing) if (time > now) node.stop();
  }

  stop() {
    this.cancel();
  }

  setVolume(volume) {
    this.volume = volume;
    this.master?.gain.setTargetAtTime(volume, this.context.currentTime, 0.01);
  }
}
