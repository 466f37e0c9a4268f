// Plays a groove in a loop: schedules its hits, the metronome and the MIDI clock a little ahead of
// time on all outputs, each an object with hit, click, clock, start, cancel and stop.

import { barsOf, lengthOf, timeline } from "./groove.js";

const TICK_MS = 25;
const AHEAD_SECONDS = 0.12;
const AHEAD_SECONDS_HIDDEN = 1.5; // browsers run the timers of hidden pages once per second
const CLOCKS_PER_BEAT = 24;
const SILENT_MS = 2000; // without an audio device, some browsers never start their output
const START_SECONDS = 0.06; // from play to the first sound

export class Player extends EventTarget {
  constructor(audio) {
    super();
    this.audio = audio;
    this.outputs = [audio];
    this.hasClick = false;
    this.hasCountIn = false;
    this.isPlaying = false;
    this.isAudible = () => true; // of a hit
    this.loop = null; // [first beat, last beat], or null for the whole groove
    document.addEventListener("visibilitychange", () => this.isPlaying && this.#schedule());
  }

  // Replaces the groove or the loop; playback goes on at the same beat.
  set(groove, loop = null) {
    const beat = this.isPlaying ? this.beat : 0;
    [this.groove, this.loop] = [groove, loop];
    if (!this.isPlaying) return;
    const now = this.audio.context.currentTime;
    const isCountIn = this.#secondsAt(now) < 0;
    const start = this.start;
    this.#prepare();
    const seconds = this.time.secondsAt(beat) - this.start;
    if (!isCountIn) this.anchor = now - (seconds >= 0 && seconds < this.seconds ? seconds : 0);
    else if (start !== this.start) this.anchor = now + START_SECONDS;
    this.#restart(now);
  }

  // Hears changes such as of muted lanes at once.
  refresh() {
    if (this.isPlaying) this.set(this.groove, this.loop);
  }

  async play({ countIn = this.hasCountIn } = {}) {
    await this.#openAudio();
    if (this.isPlaying) return;
    this.#prepare();
    const [first] = barsOf(this.groove);
    const lead = countIn ? first.length * this.secondsPerBeat : 0;
    const now = this.audio.context.currentTime;
    this.isPlaying = true;
    this.anchor = now + START_SECONDS + lead;
    this.countIn = countIn ? this.#countInClicks(first) : [];
    this.outputs.forEach((output) => output.start(this.anchor));
    this.#restart(now);
    this.timer = setInterval(() => this.#schedule(), TICK_MS);
    this.dispatchEvent(new Event("play"));
  }

  async #openAudio() {
    const timer = setTimeout(() => this.dispatchEvent(new Event("silent")), SILENT_MS);
    await this.audio.open();
    clearTimeout(timer);
  }

  stop() {
    if (!this.isPlaying) return;
    clearInterval(this.timer);
    this.isPlaying = false;
    this.outputs.forEach((output) => output.stop());
    this.dispatchEvent(new Event("stop"));
  }

  // The beat that is heard now; negative during the count-in.
  get beat() {
    return this.isPlaying ? this.beatHeardAt(performance.now()) : 0;
  }

  // The beat that is heard at a time of performance.now(), such as that of an event, and the number
  // of repetitions before.
  beatHeardAt(milliseconds) {
    const seconds = this.#secondsHeardAt(milliseconds);
    if (seconds < 0) return this.time.beatAt(this.start) + seconds / this.secondsPerBeat;
    return this.time.beatAt(this.start + (seconds % this.seconds));
  }

  passHeardAt(milliseconds) {
    return Math.floor(this.#secondsHeardAt(milliseconds) / this.seconds);
  }

  #secondsHeardAt(milliseconds) {
    return this.#secondsAt(this.audio.timeHeardAt(milliseconds));
  }

  #secondsAt(time) {
    return time - this.anchor;
  }

  // Computes the events of one repetition, in seconds from its start.
  #prepare() {
    const { groove } = this;
    const [first, last] = this.loop ?? [0, lengthOf(groove)];
    this.time = timeline(groove);
    this.start = this.time.secondsAt(first);
    this.seconds = this.time.secondsAt(last) - this.start;
    this.secondsPerBeat = 60 / this.time.qpmAt(first);
    const within = (beat) => this.time.secondsAt(beat) - this.start;
    const hits = groove.hits.map((hit) => ({ hit, seconds: within(hit.beat) }));
    const clocks = Array.from(
      { length: Math.round((last - first) * CLOCKS_PER_BEAT) },
      (_, i) => ({ isClock: true, seconds: within(first + i / CLOCKS_PER_BEAT) }),
    );
    this.events = [...hits, ...this.#clicks(first, last, within), ...clocks]
      .filter(({ seconds }) => seconds >= 0 && seconds < this.seconds)
      .sort((a, b) => a.seconds - b.seconds);
  }

  #clicks(first, last, within) {
    return barsOf(this.groove).filter(({ beat }) => beat >= first - 1e-6 && beat < last - 1e-6)
      .flatMap(({ beat, numerator, denominator }) =>
        Array.from({ length: numerator }, (_, i) => ({
          isAccent: i === 0,
          isClick: true,
          seconds: within(beat + (i * 4) / denominator),
        })));
  }

  #countInClicks({ numerator, denominator, length }) {
    return Array.from({ length: numerator }, (_, i) => ({
      isAccent: i === 0,
      isClick: true,
      isCountIn: true,
      seconds: ((i * 4) / denominator - length) * this.secondsPerBeat,
    }));
  }

  // Schedules again from now on, after a change.
  #restart(now) {
    this.outputs.forEach((output) => output.cancel());
    const seconds = this.#secondsAt(now);
    this.pass = seconds < 0 ? -1 : 0;
    this.cursor = seconds;
    this.#schedule();
  }

  #schedule() {
    const ahead = document.hidden ? AHEAD_SECONDS_HIDDEN : AHEAD_SECONDS;
    const until = this.#secondsAt(this.audio.context.currentTime + ahead);
    while (this.cursor < until) {
      const base = this.pass < 0 ? 0 : this.pass * this.seconds;
      const end = this.pass < 0 ? Math.min(until, 0) : Math.min(until, base + this.seconds);
      const events = this.pass < 0 ? this.countIn : this.events;
      this.#send(events, base, this.cursor, end);
      this.cursor = end;
      if (end >= (this.pass < 0 ? 0 : base + this.seconds)) this.pass += 1;
    }
  }

  #send(events, base, from, to) {
    for (const event of events) {
      const at = base + event.seconds;
      if (at < from || at >= to) continue;
      const time = this.anchor + at;
      for (const output of this.outputs) this.#play(event, output, time);
    }
  }

  #play(event, output, time) {
    if (event.isClock) output.clock(time);
    else if (event.isClick && (event.isCountIn || this.hasClick)) output.click(time, event.isAccent);
    else if (event.hit && this.isAudible(event.hit)) output.hit(event.hit, time);
  }
}
