// The parts of the page, and what follows from their events.

import { Actions } from "./actions.js";
import { textOfGroove } from "./describe.js";
import { Files } from "./files.js";
import { emptyGroove, timeline } from "./groove.js";
import { History, Slots } from "./history.js";
import { Lanes } from "./lanes.js";
import { readLink, writeLink } from "./link.js";
import { keysOf } from "./keys.js";
import { LatentMap } from "./map.js";
import { Midi } from "./midi.js";
import { MidiDialog } from "./mididialog.js";
import { FeelPart, TapPart, WherePart } from "./parts.js";
import { Player } from "./player.js";
import { RollPointer } from "./pointer.js";
import { RollEditor } from "./roll.js";
import { RollView } from "./rollview.js";
import { Shortcuts, showKeys } from "./shortcuts.js";
import { AudioOutput } from "./sounds.js";
import { remember, savedState, Store } from "./store.js";
import { setLanguage, t, translate } from "./strings.js";
import { TapRecorder } from "./tap.js";
import { onColourChange } from "./theme.js";
import { Overview } from "./thumbnail.js";
import { Tools, TOOLS } from "./tools.js";
import { Transport } from "./transport.js";

const SAVE_DELAY_MS = 400;
const MESSAGE_MS = 8000;
const START_BARS = 4;
const $ = (id) => document.getElementById(id);
const isTool = (name) => TOOLS.some(({ task }) => task === name);

export class Studio {
  constructor(about) {
    const groove = emptyGroove(t("untitled"), START_BARS);
    this.about = about;
    this.store = new Store({ groove, a: null, b: null, muted: [], soloed: [] }, t("empty-groove"));
    this.audio = new AudioOutput();
    this.player = new Player(this.audio);
    this.view = new RollView($("roll"), $("scroller"), $("spacer"));
    this.editor = new RollEditor(this.view, this.store, this.audio, about.drums);
    this.pointer = new RollPointer(this.editor);
    this.overview = new Overview($("overview"));
    this.lanes = new Lanes($("lanes"), this.store, this.editor);
    this.transport = new Transport(this.store, this.player, this.editor);
    this.midi = new Midi(this.audio);
    this.midiDialog = new MidiDialog(this.midi, this.player);
    this.recorder = new TapRecorder(this.player, this.audio, about.drums);
    this.history = new History($("history"), this.store);
    this.slots = new Slots($("slots"), this.store);
    this.files = new Files(this.store, $("midi-file"), $("drop"));
    this.tools = new Tools($("tabs"), $("panels"), about.tasks, about.styles);
    this.actions = new Actions(this.store, this.tools, this.editor);
    this.map = new LatentMap();
    this.feel = new FeelPart(this.actions, this.store);
    this.where = new WherePart(this.editor, this.store);
    this.tap = new TapPart(this.recorder, this.midi, this.actions, this.store);
    this.shortcuts = new Shortcuts(keysOf(this));
    this.player.isAudible = ({ drum }) => !this.lanes.silent.includes(drum);
    this.#connect();
    this.build();
  }

  // Fills in all texts, in the current language.
  build() {
    translate();
    this.tools.build();
    this.map.build(this.tools.parts.map ?? document.createElement("div"));
    this.feel.build(this.tools.parts.feel ?? document.createElement("div"));
    this.where.build(this.tools.parts.where ?? document.createElement("div"));
    this.tap.build(this.tools.parts.pad ?? document.createElement("div"));
    this.slots.build();
    this.lanes.build();
    this.history.show();
    this.shortcuts.list($("shortcuts"));
    this.transport.show();
    this.#showSummary();
    showKeys();
  }

  // Events

  #connect() {
    this.store.addEventListener("groove", () => this.#showGroove());
    this.store.addEventListener("change", () => this.#afterChange());
    this.store.addEventListener("travel", () => this.#afterTravel());
    this.store.addEventListener("overwrite", () => this.say(t("other-tab")));
    this.player.addEventListener("play", () => this.#animate());
    this.player.addEventListener("silent", () => this.say(t("no-audio")));
    this.view.onDraw = () => this.#showOverview();
    for (const part of [this.actions, this.files, this.midiDialog]) {
      part.addEventListener("message", ({ detail }) => this.say(detail));
    }
    this.actions.addEventListener("busy", ({ detail }) => $("tools").ariaBusy = String(detail));
    this.editor.addEventListener("announce", ({ detail }) => { $("live").textContent = detail; });
    this.editor.addEventListener("describe", ({ detail }) => { $("readout").textContent = detail; });
    this.map.addEventListener("choose", ({ detail }) => this.#travel(detail));
    this.tools.addEventListener("open", () => this.#openTool());
    for (const name of ["done", "cancel"]) this.recorder.addEventListener(name, () => this.#showGroove());
    this.midi.addEventListener("note", ({ detail }) => this.#hear(detail));
    this.files.addEventListener("open", ({ detail }) => this.#take(detail));
    this.#connectButtons();
    onColourChange(() => this.#repaint());
    for (const name of ["pointerdown", "keydown"]) {
      document.addEventListener(name, () => this.audio.open().catch(() => {}), { once: true });
    }
  }

  #connectButtons() {
    const onClick = (id, call) => $(id).addEventListener("click", call);
    onClick("undo", () => this.store.undo());
    onClick("redo", () => this.store.redo());
    onClick("zoom-in", () => this.view.setZoom(this.view.zoom * 1.5));
    onClick("zoom-out", () => this.view.setZoom(this.view.zoom / 1.5));
    onClick("save-wav", () => this.files.saveWav());
    onClick("open", () => $("file").click());
    onClick("help", () => $("help-dialog").showModal());
    $("file").addEventListener("change", () => {
      this.files.open([...$("file").files]);
      $("file").value = "";
    });
    $("letters").addEventListener("change", () => { this.shortcuts.hasLetters = $("letters").checked; });
    $("name").addEventListener("change", () => this.#rename());
    $("language").addEventListener("change", () => this.setLanguage($("language").value));
    for (const id of ["name", "tempo", "bars"]) {
      $(id).addEventListener("keydown", ({ key }) => key === "Enter" && $(id).blur());
    }
    this.feel.onFile = (files) => this.files.open([...files], "feel");
    $("overview").addEventListener("pointerdown", (event) => this.#scrollTo(event));
    $("overview").addEventListener("pointermove", (event) => event.buttons & 1 && this.#scrollTo(event));
  }

  escape() {
    if (this.editor.bars || this.editor.selected) this.editor.select(null, null);
    else this.player.stop();
  }

  // What follows from changes

  #showGroove() {
    const { groove } = this.store;
    this.editor.fit();
    this.view.show(groove, { muted: this.lanes.silent });
    this.player.set(groove, this.transport.loop);
  }

  #showSummary() {
    const text = textOfGroove(this.store.groove);
    $("summary").textContent = $("summary").title = text;
    $("roll").setAttribute("aria-label", `${t("roll")}: ${text}`);
  }

  #afterChange() {
    const { entry, entries, index, state } = this.store;
    $("name").value = state.groove.name;
    document.title = `${state.groove.name} – groovae studio`;
    $("undo").disabled = index === 0;
    $("redo").disabled = index === entries.length - 1;
    $("live").textContent = `${entry.label}. ${textOfGroove(state.groove)}`;
    this.#showSummary();
    this.transport.show();
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.save(), SAVE_DELAY_MS);
  }

  #afterTravel() {
    const { recipe } = this.store.entry;
    if (!recipe) return;
    this.tools.fill(recipe.task, { ...recipe.settings, seed: recipe.seed });
    if (recipe.task === "map") this.map.show(recipe.settings.x, recipe.settings.y);
  }

  // Keeps the state in the browser, and the link to it in the URL.
  save() {
    history.replaceState(null, "", writeLink(this.store.entry.recipe) || location.pathname);
    const settings = TOOLS.map(({ task }) => [task, this.tools.settings(task)]);
    this.store.save({ settings, tool: this.tools.task, link: location.hash });
  }

  #rename() {
    const { state, entry } = this.store;
    const name = $("name").value.trim() || state.groove.name;
    if (name === state.groove.name) return;
    this.store.commit(t("edit-renamed", { name }), { groove: { ...state.groove, name } }, entry.recipe);
  }

  #take({ groove, slot, log }) {
    if (slot === "feel") this.feel.take(groove);
    else if (slot) this.slots.keep(slot, groove);
    else {
      this.view.scroller.scrollLeft = 0;
      this.store.commit(t("edit-opened", { name: groove.name }), { groove });
    }
    this.say(log.join(" "));
  }

  async #openTool() {
    if (this.tools.task !== "map" || !this.about.tasks.map) return;
    await this.map.load().catch(({ message }) => this.say(message));
  }

  #travel({ x, y, isNew }) {
    this.isNewTravel ||= isNew; // of the calls that `latestOnly` drops, too
    this.actions.travel(x, y, () => {
      const now = this.isNewTravel;
      this.isNewTravel = false;
      return now;
    });
  }

  // A note of a MIDI pad outside of a recording sounds as it is.
  #hear({ pitch, velocity }) {
    if (this.recorder.isRecording) return;
    const drum = this.about.drums.findIndex((one) => one.pitch === pitch);
    this.audio.hit({ drum: Math.max(0, drum), velocity });
  }

  // Display

  #animate() {
    const draw = () => {
      const { player, view } = this;
      const groove = this.recorder.isRecording ? this.recorder.taps : this.store.groove;
      const beat = player.isPlaying ? player.beat : null;
      const beatMs = 60_000 / timeline(groove).qpmAt(beat ?? 0);
      view.show(groove, { playBeat: beat, beatMs });
      this.lanes.strike(groove, beat, beatMs);
      this.transport.showPosition(beat ?? 0);
      if (beat === null) return;
      if (!this.pointer.gesture) view.reveal(Math.max(0, beat), 0);
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  #showOverview() {
    const { view, store } = this;
    $("overview").classList.toggle("whole", view.isWhole);
    if (!view.isWhole) this.overview.draw(store.groove, view.rangeInView);
  }

  #scrollTo(event) {
    const box = $("overview").getBoundingClientRect();
    const { scrollWidth, clientWidth } = this.view.scroller;
    this.view.scroller.scrollLeft = ((event.clientX - box.left) / box.width) * scrollWidth - clientWidth / 2;
  }

  #repaint() {
    this.overview.refresh();
    this.view.request();
    this.history.refresh();
    this.slots.show();
    this.map.refresh();
  }

  setLanguage(name) {
    setLanguage(name);
    remember("groovae-language", name);
    this.build();
  }

  // Shows a line at the bottom for a while.
  say(text) {
    clearTimeout(this.silence);
    $("message").textContent = text;
    if (text) this.silence = setTimeout(() => this.say(""), MESSAGE_MS);
  }

  // Start

  // Shows the files of the command line, the groove of the link, the last one, or a new one.
  async open(grooves) {
    const link = readLink(location.hash);
    const saved = this.#restore(savedState());
    if (grooves.length) {
      for (const groove of grooves.reverse()) this.#take({ groove, slot: null, log: [] });
    } else if (link && location.hash !== saved?.link) await this.#follow(link, saved);
    else if (!saved) await this.actions.apply("sample");
  }

  // Restores and returns what was saved, or null if there is nothing or it is damaged.
  #restore(saved) {
    if (!saved) return null;
    const { settings = [], tool, entries, index } = saved;
    try {
      for (const [task, values] of settings) if (isTool(task)) this.tools.fill(task, values);
      this.store.restore({ entries, index });
    } catch {
      return null;
    }
    if (isTool(tool)) this.tools.open(tool);
    return saved;
  }

  async #follow({ task, seed, settings }, saved) {
    if (isTool(task)) this.tools.open(task);
    if (task === "sample" || task === "map") return this.actions.remake(task, settings, seed);
    if (isTool(task)) this.tools.fill(task, { ...settings, seed });
    if (!saved) await this.actions.apply("sample");
  }
}
