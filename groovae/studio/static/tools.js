// The panels of the tools, built from the list TOOLS; they hold the settings and apply nothing.
//
// Events: "apply" and "adjust" with detail { task, again }, as a button is pressed or a setting is
// changed; "open" as another tool is chosen.

import { styleName } from "./describe.js";
import { checkbox, choice, element, number, slider } from "./fields.js";
import { t } from "./strings.js";

const SHARE = { min: 0, max: 1, step: 0.01, format: (value) => `${Math.round(value * 100)} %` };
const formatDensity = (value) => (value < 0 ? t("any") : SHARE.format(value));
const SLIDERS = {
  temperature: { min: 0, max: 1.5, step: 0.05, value: 0.5, format: (value) => value.toFixed(2) },
  density: { ...SHARE, min: -0.05, step: 0.05, value: -0.05, format: formatDensity },
  amount: { ...SHARE, value: 0.2 },
  strength: { ...SHARE, value: 1 },
  timing_amount: { ...SHARE, value: 1 },
  velocity_amount: { ...SHARE, value: 1 },
  share: { ...SHARE, value: 0.5, step: 0.1 },
};

const DIRECTIONS = ["", "more density", "less density", "more syncopation", "less syncopation"];

// The keys of the tools, in their order.
export const KEYS = [..."1234567890F"];

// The tools: their task of the API, and their settings.
export const TOOLS = [
  { task: "sample", fields: ["styles", "temperature", "density", "length"], again: false },
  { task: "vary", fields: ["amount", "toward"] },
  { task: "humanize", fields: ["strength", "timing_amount", "velocity_amount", "temperature"] },
  { task: "add_hihat", fields: ["temperature"] },
  { task: "tap2drum", fields: ["pad", "length", "temperature"] },
  { task: "transfer", fields: ["feel", "strength"] },
  { task: "interpolate", fields: ["share"], again: false, apply: false, seed: false },
  { task: "infill", fields: ["where", "temperature"] },
  { task: "map", fields: ["map", "temperature"], again: false, apply: false },
  { task: "continue", fields: ["length", "temperature"] },
  { task: "fill", fields: ["every", "temperature"] },
];

export class Tools extends EventTarget {
  constructor(tabs, panels, available, styles) {
    super();
    Object.assign(this, { tabs, panels, available, styles, task: null });
    this.kept = new Map(TOOLS.map(({ task }) => [task, new Map()])); // inputs by name
    this.parts = {}; // elements that other modules fill: map, pad, feel, where
  }

  // Builds all panels in the current language, with the settings as they are.
  build() {
    const settings = TOOLS.map(({ task }) => [task, this.settings(task)]);
    this.tabs.replaceChildren(...TOOLS.map((tool, i) => this.#tab(tool, i)));
    this.panels.replaceChildren(...TOOLS.map((tool) => this.#panel(tool)));
    for (const [task, values] of settings) this.fill(task, values);
    this.open(this.task ?? TOOLS[0].task);
  }

  open(task) {
    this.task = task;
    for (const { task: other } of TOOLS) {
      const tab = this.tabs.querySelector(`#tab-${other}`);
      tab.setAttribute("aria-selected", String(other === task));
      tab.tabIndex = other === task ? 0 : -1;
      this.panels.querySelector(`#panel-${other}`).hidden = other !== task;
    }
    requestAnimationFrame(() => this.#reveal(this.tabs.querySelector(`#tab-${task}`)));
    this.dispatchEvent(new Event("open"));
  }

  // Scrolls the tabs where they are a row, as on a phone.
  #reveal(tab) {
    this.tabs.scrollLeft = tab.offsetLeft - this.tabs.clientWidth / 2 + tab.offsetWidth / 2;
  }

  // Settings

  settings(task) {
    const values = {};
    for (const [name, input] of this.kept.get(task)) values[name] = input.read();
    return values;
  }

  fill(task, values) {
    for (const [name, input] of this.kept.get(task)) {
      if (values[name] !== undefined) input.write(values[name]);
    }
  }

  send(type, task, again = false) {
    this.dispatchEvent(new CustomEvent(type, { detail: { task, again } }));
  }

  // Elements

  #tab({ task }, i) {
    const tab = element("button", {
      id: `tab-${task}`, role: "tab", "aria-controls": `panel-${task}`, "data-key": KEYS[i],
    }, t(`tool-${task}`));
    tab.append(element("kbd", { "aria-hidden": "true" }, KEYS[i]));
    tab.addEventListener("click", () => this.open(task));
    tab.addEventListener("keydown", (event) => this.#moveTab(event, i));
    return tab;
  }

  #moveTab(event, i) {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const { task } = TOOLS[(i + by + TOOLS.length) % TOOLS.length];
    this.open(task);
    this.tabs.querySelector(`#tab-${task}`).focus();
  }

  #panel(tool) {
    const { task } = tool;
    const panel = element("div", {
      id: `panel-${task}`, role: "tabpanel", class: "panel", "aria-labelledby": `tab-${task}`,
    });
    panel.append(element("p", { class: "about" }, t(`about-${task}`)));
    if (!(task in this.available)) {
      panel.append(element("p", { class: "note" }, t("unavailable")));
      return panel;
    }
    const settings = element("div", { class: "settings" });
    settings.append(...tool.fields.flatMap((name) => this.#field(task, name)));
    panel.append(settings, this.#actions(tool));
    return panel;
  }

  #field(task, name) {
    if (name in SLIDERS) return [this.#keep(task, name, slider(name, SLIDERS[name]), true)];
    if (name === "length") {
      const value = task === "tap2drum" ? 2 : 4;
      return [this.#keep(task, "bars", number("bars", { min: 1, max: 64, value }))];
    }
    if (name === "every") return [this.#keep(task, name, number(name, { min: 2, max: 16, value: 4 }))];
    if (name === "toward") return [this.#keep(task, name, choice(name, DIRECTIONS))];
    if (name === "styles") return [this.#keep(task, name, stylesField(this.styles), true)];
    const part = element("div", { class: `part ${name}` });
    this.parts[name] = part;
    return [part];
  }

  #keep(task, name, input, isLive = false) {
    this.kept.get(task).set(name, input);
    input.node.addEventListener(isLive ? "input" : "change", () => this.send("adjust", task));
    return input.node;
  }

  #actions({ task, apply = true, again = true, seed = true }) {
    const actions = element("div", { class: "actions" });
    if (apply) actions.append(this.#button(task, `do-${task}`, "main", false, "G"));
    if (apply && again) actions.append(this.#button(task, "again", "", true, "Shift+G"));
    actions.append(this.#modelNote(task));
    if (seed) {
      const input = number("seed", { min: 0, max: 2 ** 31 - 1, value: 0 });
      input.node.title = t("seed-title");
      actions.append(this.#keep(task, "seed", input));
    }
    return actions;
  }

  // The model of a task and its licence.
  #modelNote(task) {
    const { model = "", licence = "" } = this.available[task];
    return element("small", { class: "model" }, [model, licence.toUpperCase()].filter(Boolean).join(", "));
  }

  #button(task, key, className, again, shortcut) {
    const button = element("button", { class: className, "data-key": shortcut }, t(key));
    if (again) button.title = t("again-title");
    button.addEventListener("click", () => this.send("apply", task, again));
    return button;
  }
}

// Chips to choose styles, with a slider for the share of each when there are several.
function stylesField(styles) {
  const node = element("fieldset", { class: "styles" });
  const mix = element("div", { class: "mix" });
  const weights = {};
  const chips = styles.map((style) => checkbox(styleName(style), () => choose(style)));
  const showMix = () => mix.replaceChildren(
    ...(Object.keys(weights).length > 1 ? Object.keys(weights).map(share) : []),
  );
  const share = (style) => {
    const label = styleName(style);
    const input = slider(style, { ...SHARE, min: 0.05, step: 0.05, value: weights[style], label });
    input.input.setAttribute("aria-label", t("weight", { style: label }));
    input.input.addEventListener("input", () => { weights[style] = input.read(); });
    return input.node;
  };
  function choose(style) {
    if (style in weights) delete weights[style];
    else weights[style] = 1;
    showMix();
  }
  const legend = element("legend", {}, t("styles"));
  legend.append(element("small", {}, ` ${t("any-style")}`));
  const list = element("div", { class: "chips" });
  list.append(...chips.map((chip) => chip.node));
  node.append(legend, list, mix);
  return {
    node,
    read: () => ({ ...weights }),
    write(values) {
      for (const style of Object.keys(weights)) delete weights[style];
      for (const style of styles) if (values[style] > 0) weights[style] = values[style];
      styles.forEach((style, i) => chips[i].write(style in weights));
      showMix();
    },
  };
}
