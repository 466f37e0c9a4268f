// The row above the roll: play, tempo, bars, metronome, loop and volume.

import { barAt, barsOf, doubled, lengthOf, tempoOf, withBars, withTempo } from "./groove.js";
import { t } from "./strings.js";

const MAX_BARS = 64; // that can be typed; files may be longer
const MOST_BARS = 2000; // of the server
const [MIN_TEMPO, MAX_TEMPO] = [20, 300];
const withoutHits = (groove) => ({ ...groove, hits: [] });
const $ = (id) => document.getElementById(id);

export class Transport {
  constructor(store, player, editor) {
    Object.assign(this, { store, player, editor, isLooping: false });
    $("play").addEventListener("click", () => this.toggle());
    $("tempo").addEventListener("change", () => this.#setTempo());
    $("bars").addEventListener("change", () => this.#setBars());
    $("double").addEventListener("click", () => this.#edit("edit-doubled", doubled));
    $("clear").addEventListener("click", () => this.#edit("edit-cleared", withoutHits));
    $("click").addEventListener("click", () => this.toggleClick());
    $("count-in").addEventListener("click", () => this.toggleCountIn());
    $("loop").addEventListener("click", () => this.toggleLoop());
    $("volume").addEventListener("input", () => this.#setVolume());
    editor.addEventListener("select", () => this.#update());
    for (const name of ["play", "stop"]) player.addEventListener(name, () => this.show());
  }

  // Plays or stops.
  toggle() {
    if (this.player.isPlaying) return this.player.stop();
    this.#update();
    return this.player.play();
  }

  toggleClick() {
    this.player.hasClick = !this.player.hasClick;
    this.show();
  }

  toggleCountIn() {
    this.player.hasCountIn = !this.player.hasCountIn;
    this.show();
  }

  toggleLoop() {
    this.isLooping = !this.isLooping;
    this.#update();
    this.show();
  }

  // The first and last beat of the selection, if it is to be repeated.
  get loop() {
    const { bars } = this.editor;
    if (!this.isLooping || !bars) return null;
    const list = barsOf(this.store.groove);
    const last = list[Math.min(bars[1], list.length - 1)];
    return [list[Math.min(bars[0], list.length - 1)].beat, last.beat + last.length];
  }

  // Plays what is shown from now on.
  #update() {
    this.player.set(this.store.groove, this.loop);
  }

  #setVolume() {
    const volume = Number($("volume").value);
    this.player.audio.setVolume(volume);
    $("volume").style.setProperty("--share", `${volume * 100}%`);
  }

  #edit(key, change) {
    this.store.commit(t(key), { groove: change(this.store.state.groove) });
  }

  #setTempo() {
    const { groove } = this.store.state;
    const qpm = Math.min(MAX_TEMPO, Math.max(MIN_TEMPO, Number($("tempo").value) || tempoOf(groove)));
    if (qpm === tempoOf(groove)) return this.show();
    this.store.commit(t("edit-tempo", { qpm }), { groove: withTempo(groove, qpm) }, this.store.entry.recipe);
  }

  #setBars() {
    const { groove } = this.store.state;
    const most = Math.max(MAX_BARS, groove.bars);
    const bars = Math.round(Math.min(most, Math.max(1, Number($("bars").value) || groove.bars)));
    if (bars === groove.bars) return this.show();
    this.store.commit(t("edit-bars", { bars }), { groove: withBars(groove, bars) });
  }

  // Shows the state of the controls.
  show() {
    this.#setVolume();
    const { groove } = this.store;
    const { isPlaying, hasClick, hasCountIn } = this.player;
    const press = (id, isPressed) => $(id).setAttribute("aria-pressed", String(isPressed));
    press("play", isPlaying);
    press("click", hasClick);
    press("count-in", hasCountIn);
    press("loop", this.isLooping);
    $("play").setAttribute("aria-label", t(isPlaying ? "stop" : "play"));
    $("play").title = `${t(isPlaying ? "stop" : "play")} (Space)`;
    $("tempo").value = String(Math.round(tempoOf(groove) * 100) / 100);
    $("bars").value = String(groove.bars);
    $("bars").max = String(Math.max(MAX_BARS, groove.bars));
    $("double").disabled = 2 * groove.bars > MOST_BARS;
    if (!isPlaying) this.showPosition(0);
  }

  showPosition(beat) {
    const { groove } = this.store;
    if (beat < 0) {
      $("position").textContent = `−${Math.ceil(-beat)}`;
      return;
    }
    const bar = barAt(groove, Math.min(beat, lengthOf(groove)));
    const { beat: start, denominator } = barsOf(groove)[bar];
    $("position").textContent = `${bar + 1}.${Math.floor(((beat - start) * denominator) / 4) + 1}`;
  }
}
