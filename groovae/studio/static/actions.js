// Applies the tools: sends a task with its settings to the server, and commits the groove it returns.
//
// A groove that a tool made keeps its recipe. While such a groove is shown, changing a setting of its
// tool makes it again from the same base and seed, in place of the entry in the history.

import { latestOnly, run } from "./api.js";
import { styleName } from "./describe.js";
import { tempoOf, withTempo } from "./groove.js";
import { t } from "./strings.js";

const NUM_SEEDS = 100_000; // of those that are drawn: short enough to read out
const PATH_STEPS = 11; // grooves from A to B, as many as the slider has places

export class Actions extends EventTarget {
  constructor(store, tools, selection) {
    super();
    Object.assign(this, { store, tools, selection });
    this.feel = null; // a groove from a file, for the tool "transfer"
    this.path = null; // the grooves between A and B
    this.adjust = latestOnly((task) => this.#adjust(task));
    this.travel = latestOnly((...args) => this.#decode(...args));
    this.before = {}; // by task: what to do instead of applying at once
    tools.addEventListener("apply", ({ detail }) => {
      if (!detail.again && this.before[detail.task]) this.before[detail.task]();
      else this.apply(detail.task, detail);
    });
    tools.addEventListener("adjust", ({ detail }) => this.adjust(detail.task));
  }

  // Applies a tool to the groove shown, or with `again` to the base of the groove that it made.
  async apply(task, { again = false, seed = newSeed(), taps = null } = {}) {
    const { recipe } = this.store.entry;
    const isAgain = again && recipe?.task === task;
    const base = taps ?? (isAgain ? this.#baseOf(recipe) : this.store.state.groove);
    this.tools.fill(task, { seed });
    await this.#make({ task, base, seed, settings: this.#settings(task, base) }, false);
  }

  // Makes the groove shown again with the current settings, if the tool made it.
  async #adjust(task) {
    if (task === "interpolate") return this.#interpolate();
    const { recipe } = this.store.entry;
    if (recipe?.task !== task) return;
    const settings = { ...this.#settings(task, this.store.state.groove), ...pick(recipe.settings, ["x", "y"]) };
    const { seed } = this.tools.settings(task);
    await this.#make({ task, base: this.#baseOf(recipe), seed, settings }, this.#isMadeBy(task));
  }

  // The base of a recipe, with the tempo and the name that the groove shown has now.
  #baseOf({ base }) {
    const { groove } = this.store.state;
    return base && { ...withTempo(base, tempoOf(groove)), name: groove.name };
  }

  // Remakes a groove from a shared link, whose base is an empty groove.
  async remake(task, settings, seed) {
    this.tools.fill(task, { ...settings, seed });
    await this.#make({ task, base: null, seed, settings }, false);
  }

  #settings(task, base) {
    const { seed, ...settings } = this.tools.settings(task);
    if (task === "sample" || task === "map") settings.tempo_qpm = tempoOf(base);
    if (task === "infill") {
      const { bars, selected: drums } = this.selection;
      return { ...settings, bars, drums };
    }
    return settings;
  }

  async #make(recipe, isAmended) {
    const result = await this.#request(recipe);
    if (result) this.#use(recipe, result, isAmended);
  }

  #request(recipe) {
    return this.#call(recipe.task === "map" ? "decode" : recipe.task, this.#body(recipe));
  }

  #use(recipe, result, isAmended) {
    const { task, settings } = recipe;
    const groove = { ...result.grooves[0], name: this.#nameOf(recipe, result) };
    const label = [t(`tool-${task}`), summaryOf(task, settings)].filter(Boolean).join(" · ");
    this.#show(label, groove, recipe, isAmended);
    this.#report(result);
  }

  #show(label, groove, recipe, isAmended) {
    if (isAmended) this.store.amend(label, { groove }, recipe);
    else this.store.commit(label, { groove }, recipe, true);
  }

  #isMadeBy(task) {
    const { recipe, isMade } = this.store.entry;
    return isMade && recipe?.task === task;
  }

  #nameOf({ task, base, settings, seed }, result) {
    if (task === "sample") return `${namesOf(settings.styles, " ") || t("untitled")} ${seed}`;
    if (task === "map") return `${t("tool-map")} ${settings.x.toFixed(2)}, ${settings.y.toFixed(2)}`;
    return base.name || result.grooves[0].name;
  }

  // The arguments of the API.
  #body({ task, base, seed, settings }) {
    const { strength, share, density, bars, drums, toward, ...rest } = settings;
    const common = { ...rest, seed };
    if (task === "sample") return { ...common, bars, density: density < 0 ? null : density, num_outputs: 1 };
    if (task === "map") return { ...common, bars: 4 };
    if (task === "infill") return { ...common, groove: base, bars: bars?.map((bar) => bar + 1) ?? null, drums };
    if (task === "transfer") return { ...common, groove: base, feel: this.#feelGroove(), amount: strength };
    if (task === "humanize") return { ...common, groove: base, ...amountsOf(settings) };
    if (task === "continue") return { ...common, groove: base, bars };
    if (task === "vary" && toward) {
      const [way, feature] = toward.split(" ");
      return { ...common, groove: base, [way]: feature };
    }
    return { ...common, groove: base };
  }

  async #call(task, body) {
    if (task === "transfer" && !body.feel) return this.#say(t("feel-none"));
    if (task === "infill" && !body.bars && !body.drums) return this.#say(t("infill-nothing"));
    this.dispatchEvent(new CustomEvent("busy", { detail: true }));
    try {
      return await run(task, body);
    } catch ({ message }) {
      this.#say(message === "offline" ? t("offline") : message);
      return null;
    } finally {
      this.dispatchEvent(new CustomEvent("busy", { detail: false }));
    }
  }

  #feelGroove() {
    return { a: this.store.state.a, b: this.store.state.b, file: this.feel }[this.feelFrom];
  }

  // Shows the groove at the slider's place between A and B.
  async #interpolate() {
    const { a, b } = this.store.state;
    if (!a || !b) return this.#say(t("ab-missing"));
    if (this.path?.a !== a || this.path.b !== b) {
      const result = await this.#call("interpolate", { start: a, end: b, num_steps: PATH_STEPS });
      if (!result) return;
      this.path = { a, b, grooves: result.grooves };
    }
    const { share } = this.tools.settings("interpolate");
    const place = Math.round(share * (PATH_STEPS - 1));
    const groove = { ...this.path.grooves[place], name: `${a.name} – ${b.name}` };
    const label = `${t("tool-interpolate")} · ${Math.round(share * 100)} %`;
    const recipe = { task: "interpolate", base: a, seed: 0, settings: { share } };
    this.#show(label, groove, recipe, this.#isMadeBy("interpolate"));
  }

  // Asks for the groove at a point of the map, and returns how to show it; a drag is one entry.
  async #decode(x, y, isNew) {
    const { seed, ...settings } = this.tools.settings("map");
    const base = this.store.state.groove;
    settings.tempo_qpm = tempoOf(base);
    const recipe = { task: "map", base, seed, settings: { ...settings, x, y } };
    const result = await this.#request(recipe);
    return result && (() => this.#use(recipe, result, !isNew() && this.#isMadeBy("map")));
  }

  // Shows what the server logged, or takes back the last line of this module.
  #report({ log }) {
    if (log?.length || this.said) this.#say((log ?? []).join(" "));
  }

  #say(text) {
    this.said = text;
    this.dispatchEvent(new CustomEvent("message", { detail: text }));
    return null;
  }
}

export const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % NUM_SEEDS;

const pick = (object, names) =>
  Object.fromEntries(names.filter((name) => object?.[name] !== undefined).map((name) => [name, object[name]]));

// The strength applies to both timing and velocity.
const amountsOf = ({ strength, timing_amount, velocity_amount }) => ({
  timing_amount: strength * timing_amount,
  velocity_amount: strength * velocity_amount,
});

const namesOf = (styles, separator) => Object.keys(styles ?? {}).map(styleName).join(separator);

// The setting that matters most, for the history.
function summaryOf(task, { styles, amount, strength }) {
  if (task === "sample") return namesOf(styles, ", ");
  const value = { vary: amount, humanize: strength, transfer: strength }[task];
  return value === undefined ? "" : `${Math.round(value * 100)} %`;
}
