// Plays a groove in a loop with Web Audio and synthesized drums.

import { CLOSED_HIHAT, OPEN_HIHAT } from "./groove.js";

const AHEAD_SECONDS = 0.15;
const AHEAD_SECONDS_HIDDEN = 1.5; // browsers run timers of hidden pages once per second

export class Player {
  constructor(steps) {
    this.steps = steps;
    this.hits = [];
    this.qpm = 120;
    this.output = null;
  }

  // Plays hits in a loop of `steps`; playback goes on at the same place.
  setHits(hits, steps) {
    if (this.anchor && steps !== this.steps) {
      const played = Math.max(0, Math.floor(this.#stepAt(this.context.currentTime) / this.steps));
      this.anchor.step -= played * this.steps;
      this.scheduled -= played * this.steps;
    }
    Object.assign(this, { hits, steps });
  }

  get isPlaying() {
    return this.output !== null;
  }

  // Starts half a 16th before the first bar, the earliest that a hit can be.
  async start() {
    this.context ??= new AudioContext();
    this.output = new GainNode(this.context);
    this.output.connect(new DynamicsCompressorNode(this.context)).connect(this.context.destination);
    const { output } = this;
    await this.context.resume();
    if (this.output !== output) return; // stopped in the meantime
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

  // The position in the loop, in 16ths.
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

  // Schedules the hits of the next AHEAD_SECONDS.
  #schedule() {
    const ahead = document.hidden ? AHEAD_SECONDS_HIDDEN : AHEAD_SECONDS;
    const until = this.#stepAt(this.context.currentTime + ahead);
    if (until <= this.scheduled) return;
    const due = [];
    const { steps, scheduled } = this;
    for (let loop = Math.floor(scheduled / steps); loop * steps <= until + 1; loop++) {
      for (const hit of this.hits) {
        const step = loop * steps + hit.step + hit.late;
        if (step >= scheduled && step < until) due.push([step, hit]);
      }
    }
    for (const [step, hit] of due.sort((a, b) => a[0] - b[0])) {
      const time = this.anchor.time + (step - this.anchor.step) * this.#stepSeconds;
      this.#playHit(hit, Math.max(time, this.context.currentTime));
    }
    this.scheduled = until;
  }

  #playHit({ drum, velocity }, time) {
    const gain = new GainNode(this.context, { gain: (velocity / 127) ** 1.4 });
    gain.connect(this.output);
    for (const play of SOUNDS[drum]) play(this.context, time, gain);
    if (drum !== CLOSED_HIHAT && drum !== OPEN_HIHAT) return;
    this.openHihat?.gain.setTargetAtTime(0, time, 0.015);
    this.openHihat = drum === OPEN_HIHAT ? gain : null;
  }
}

// By drum class: kick, snare, closed and open hi-hat, low, mid and high tom, crash, ride.
const SOUNDS = [
  [sweep(170, 46, 0.38, 1.1), noise(1200, 0.012, 0.35)],
  [noise(1500, 0.19, 0.75), sweep(260, 180, 0.12, 0.55)],
  [noise(7500, 0.06, 0.5)],
  [noise(6800, 0.5, 0.45)],
  tom(95),
  tom(130),
  tom(175),
  [noise(3800, 1.5, 0.5), noise(800, 0.08, 0.3)],
  [noise(8500, 0.55, 0.28), ...[3170, 4330, 5210].map((hertz) => sweep(hertz, hertz, 0.35, 0.05))],
];

function tom(hertz) {
  return [sweep(hertz * 1.6, hertz, 0.38, 0.8), noise(900, 0.03, 0.15)];
}

// A decaying sine that falls from one frequency to another.
function sweep(fromHertz, toHertz, seconds, level) {
  return (context, time, output) => {
    const source = new OscillatorNode(context, { frequency: fromHertz });
    source.frequency.setValueAtTime(fromHertz, time);
    source.frequency.exponentialRampToValueAtTime(toHertz, time + seconds * 0.35);
    source.connect(decay(context, time, output, seconds, level));
    source.start(time);
    source.stop(time + seconds);
  };
}

// Decaying white noise above a frequency.
function noise(hertz, seconds, level) {
  return (context, time, output) => {
    const source = new AudioBufferSourceNode(context, { buffer: whiteNoise(context) });
    const filter = new BiquadFilterNode(context, { type: "highpass", frequency: hertz });
    source.connect(filter).connect(decay(context, time, output, seconds, level));
    source.start(time, Math.random() * 0.3, seconds);
  };
}

function decay(context, time, output, seconds, level) {
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
