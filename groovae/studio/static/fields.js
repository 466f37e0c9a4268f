// Form elements with names; each has `node`, and `read` and `write` for its value.

import { t } from "./strings.js";

let count = 0;

export function element(tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

export function slider(name, { min, max, step, value, format, label = t(name) }) {
  const node = element("label", { class: "slider" });
  const input = element("input", { type: "range", name, min, max, step, value });
  const output = element("output");
  const head = element("span", {}, label);
  head.append(output);
  node.append(head, input);
  const show = () => {
    output.textContent = format(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
    const share = (Number(input.value) - min) / (max - min);
    input.style.setProperty("--share", `${100 * share}%`);
  };
  input.addEventListener("input", show);
  show();
  return { node, input, read: () => Number(input.value), write: (v) => { input.value = v; show(); } };
}

export function number(name, { min, max, value, label = t(name) }) {
  const node = element("label", { class: "number" });
  const input = element("input", { type: "number", name, min, max, step: 1, value });
  node.append(element("span", {}, label), input);
  const read = () => Math.round(Math.min(max, Math.max(min, Number(input.value) || min)));
  return { node, input, read, write: (v) => { input.value = v; } };
}

export function checkbox(label, onChange) {
  const node = element("label", { class: "chip" });
  const input = element("input", { type: "checkbox" });
  node.append(input, element("span", {}, label));
  input.addEventListener("input", () => onChange(input.checked));
  return { node, input, read: () => input.checked, write: (v) => { input.checked = v; } };
}

export function select(name, label = t(name)) {
  const node = element("label", { class: "field" });
  const input = element("select", { name, id: `select-${count++}` });
  node.append(element("span", {}, label), input);
  return { node, input };
}

// A select of values that are texts, too: "toward-more density".
export function choice(name, values) {
  const { node, input } = select(name);
  setOptions(input, values.map((value) => [value, t(`${name}-${value}`)]), values[0]);
  return { node, input, read: () => input.value, write: (v) => { input.value = v; } };
}

// Replaces the options of a select: [[value, text], ...].
export function setOptions(input, options, value) {
  input.replaceChildren(...options.map(([key, text]) => element("option", { value: key }, text)));
  if (options.some(([key]) => key === value)) input.value = value;
}
