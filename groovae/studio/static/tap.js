// Records taps in time with the click, after a bar of count-in, as a groove of one drum.

import { emptyGroove, lengthOf, withHit } from "./groove.js";

const TAP_DRUM = 2; // closed hi-hat
const TAP_LENGTH = 0.25;
const MAX_EARLY = 0.25; // beats before the first that count as on it
const POLL_MS = 30;

export class TapRecorder extends EventTarget {
  constructor(player, audio, drums) {
    super();
    Object.assign(this, { player, audio, drums, isRecording: false });
  }

  async start(name, bars, qpm) {
    if (this.isRecording) return;
    this.player.stop();
    this.taps = emptyGroove(name, bars, qpm);
    this.hadClick = this.player.hasClick;
    this.player.hasClick = true;
    this.player.set(this.taps);
    this.isRecording = true;
    this.dispatchEvent(new Event("start"));
    await this.player.play({ countIn: true });
    this.timer = setInterval(() => this.#poll(), POLL_MS);
  }

  // Adds a tap at the time of an event, and plays it at once.
  tap(timeStamp, velocity) {
    if (!this.isRecording) return;
    this.audio.hit({ drum: TAP_DRUM, velocity });
    const beat = this.player.beatHeardAt(timeStamp);
    const isWithin = beat >= -MAX_EARLY && this.player.passHeardAt(timeStamp) < 1;
    if (!isWithin || beat >= lengthOf(this.taps)) return;
    const { pitch } = this.drums[TAP_DRUM];
    const hit = { beat: Math.max(beat, 0), length: TAP_LENGTH, drum: TAP_DRUM, pitch, velocity };
    this.taps = withHit(this.taps, hit);
    this.dispatchEvent(new Event("tap"));
  }

  cancel() {
    this.#end();
    this.dispatchEvent(new Event("cancel"));
  }

  #poll() {
    if (!this.player.isPlaying) this.cancel();
    else if (this.player.passHeardAt(performance.now()) >= 1) {
      this.#end();
      this.dispatchEvent(new Event("done"));
    }
  }

  #end() {
    clearInterval(this.timer);
    this.isRecording = false;
    this.player.stop();
    this.player.hasClick = this.hadClick;
  }
}
