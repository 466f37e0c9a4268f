// Plays a groove in a loop by Web Audio, with drums that are synthesized here.

import { CLOSED_HIHAT, OPEN_HIHAT } from "./groove.js";

const AHEAD_SECONDS = 0.15;
const AHEAD_SECONDS_HIDDEN = 1.5; // browsers wake a page that is not seen once a second

export class Player {
  constructor(steps) {
    this.steps = steps;
    this.hits = [];
    this.qpm = 120;
    this.output = null;
  }

  get isPlaying() {
    return this.output !== null;
  }

  // Begins half a 16th before the first bar, which is as early as a hit can be.
  async start() {
    this.context ??= new AudioContext();
    this.output = new GainNode(this.context);
    this.output.connect(new DynamicsCompressorNode(this.context)).connect(this.context.destination);
    const { output } = this;
    await this.context.resume();
    if (this.output !== output) return; // stopped meanwhile
    this.anchor = { time: this.context.currentTime + 0.05, step: -0.5 };
    this.scheduled = -0.5;
    this.openHihat = null;
    this.timer = setInterval(() => this.#schedule(), 30);
    this.#schedule();
  }

  stop() {
    clearInterval(this.timer);
    this.output?.gain.setTargetAtTime(0, this.context.currentTime, 0.01);
    const { output } = this;
    setTimeout(() => output?.disconnect(), 100);
    this.output = this.anchor = null;
  }

  setTempo(qpm) {
    if (this.anchor) {
      const time = this.context.currentTime;
      this.anchor = { time, step: this.#stepAt(time) };
    }
    this.qpm = qpm;
  }

  // How many 16ths of the loop have gone by.
  get position() {
    if (!this.anchor) return 0;
    const step = this.#stepAt(this.context.currentTime);
    return step < 0 ? 0 : step % this.steps;
  }

  get #stepSeconds() {
    return 60 / this.qpm / 4;
  }

  #stepAt(time) {
    return this.anchor.step + (time - this.anchor.time) / this.#stepSeconds;
  }

  // Hands the hits of the next moment to the sound card.
  #schedule() {
    const ahead = document.hidden ? AHEAD_SECONDS_HIDDEN : AHEAD_SECONDS;
    const until = this.#stepAt(this.context.currentTime + ahead);
    if (until <= this.scheduled) return;
    const due = [];
    for (let loop = Math.floor(this.scheduled / this.steps); loop * this.steps <= until + 1; loop++) {
      for (const hit of this.hits) {
        const step = loop * this.steps + hit.step + hit.late;
        if (step >= this.scheduled && step < until) due.push([step, hit]);
      }
    }
    for (const [step, hit] of due.sort((a, b) => a[0] - b[0])) {
      const time = this.anchor.time + (step - this.anchor.step) * this.#stepSeconds;
      this.#strike(hit, Math.max(time, this.context.currentTime));
    }
    this.scheduled = until;
  }

  #strike({ drum, velocity }, time) {
    const gain = new GainNode(this.context, { gain: (velocity / 127) ** 1.4 });
    gain.connect(this.output);
    SOUNDS[drum](this.context, time, gain);
    if (drum !== CLOSED_HIHAT && drum !== OPEN_HIHAT) return;
    this.openHihat?.gain.setTargetAtTime(0, time, 0.015);
    this.openHihat = drum === OPEN_HIHAT ? gain : null;
  }
}

// By drum class: kick, snare, closed and open hi-hat, low, mid and high tom, crash, ride.
const SOUNDS = [
  (context, time, output) => {
    sweep(context, time, output, { from: 170, to: 46, seconds: 0.38, level: 1.1 });
    noise(context, time, output, { above: 1200, seconds: 0.012, level: 0.35 });
  },
  (context, time, output) => {
    noise(context, time, output, { above: 1500, seconds: 0.19, level: 0.75 });
    sweep(context, time, output, { from: 260, to: 180, seconds: 0.12, level: 0.55 });
  },
  (context, time, output) => noise(context, time, output, { above: 7500, seconds: 0.06, level: 0.5 }),
  (context, time, output) => noise(context, time, output, { above: 6800, seconds: 0.5, level: 0.45 }),
  (context, time, output) => tom(context, time, output, 95),
  (context, time, output) => tom(context, time, output, 130),
  (context, time, output) => tom(context, time, output, 175),
  (context, time, output) => {
    noise(context, time, output, { above: 3800, seconds: 1.5, level: 0.5 });
    noise(context, time, output, { above: 800, seconds: 0.08, level: 0.3 });
  },
  (context, time, output) => {
    noise(context, time, output, { above: 8500, seconds: 0.55, level: 0.28 });
    for (const pitch of [3170, 4330, 5210]) {
      sweep(context, time, output, { from: pitch, to: pitch, seconds: 0.35, level: 0.05 });
    }
  },
];

function tom(context, time, output, pitch) {
  sweep(context, time, output, { from: pitch * 1.6, to: pitch, seconds: 0.38, level: 0.8 });
  noise(context, time, output, { above: 900, seconds: 0.03, level: 0.15 });
}

// A sine that falls from one pitch to another and dies away.
function sweep(context, time, output, { from, to, seconds, level }) {
  const source = new OscillatorNode(context, { frequency: from });
  source.frequency.setValueAtTime(from, time);
  source.frequency.exponentialRampToValueAtTime(to, time + seconds * 0.35);
  source.connect(fading(context, time, output, seconds, level));
  source.start(time);
  source.stop(time + seconds);
}

// White noise above a pitch, which dies away.
function noise(context, time, output, { above, seconds, level }) {
  const source = new AudioBufferSourceNode(context, { buffer: whiteNoise(context) });
  const filter = new BiquadFilterNode(context, { type: "highpass", frequency: above });
  source.connect(filter).connect(fading(context, time, output, seconds, level));
  source.start(time, Math.random() * 0.3, seconds);
}

function fading(context, time, output, seconds, level) {
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(level, time);
  gain.gain.exponentialRampToValueAtTime(0.001, time + seconds);
  gain.connect(output);
  return gain;
}

function whiteNoise(context) {
  if (!context.whiteNoise) {
    context.whiteNoise = new AudioBuffer({ length: 2 * context.sampleRate,
      sampleRate: context.sampleRate });
    const samples = context.whiteNoise.getChannelData(0);
    for (let i = 0; i < samples.length; i++) samples[i] = 2 * Math.random() - 1;
  }
  return context.whiteNoise;
}
