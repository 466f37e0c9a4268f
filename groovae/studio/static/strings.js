// The texts of the page in English and Korean. Elements with data-t, data-t-label and data-t-title
// get them as content, name and tooltip.

import en from "./english.js";
import ko from "./korean.js";

const LANGUAGES = { en, ko };
let language = "en";

export const currentLanguage = () => language;

export function setLanguage(name) {
  language = name in LANGUAGES ? name : "en";
  document.documentElement.lang = language;
}

// Returns a text with its {parts} filled in; {count|one|other} is the first word if the count is 1.
export function t(key, parts = {}) {
  const text = LANGUAGES[language][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)(?:\|(\w*)\|(\w*))?\}/g, (_, name, one, other) =>
    (one === undefined ? parts[name] ?? "" : parts[name] === 1 ? one : other));
}

// Fills the texts of an element and everything in it.
export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel, element.dataset));
  }
  for (const element of root.querySelectorAll("[data-t-title]")) {
    element.title = t(element.dataset.tTitle, element.dataset);
  }
}
