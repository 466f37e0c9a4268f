// The settings and the seed of the groove shown in the fragment of the URL, so that it can be shared:
//
//   #tool=sample&seed=7&styles=funk:1,jazz:0.5&temperature=0.5&bars=4&tempo_qpm=96

const STYLES = "styles";

export function writeLink(recipe) {
  if (!recipe) return "";
  const values = new URLSearchParams({ tool: recipe.task, seed: recipe.seed });
  for (const [name, value] of Object.entries(recipe.settings)) {
    if (name === STYLES) {
      const mix = Object.entries(value).map(([style, weight]) => `${style}:${weight}`).join(",");
      if (mix) values.set(name, mix);
    } else if (typeof value === "number") values.set(name, String(value));
  }
  return `#${values}`;
}

// Returns { task, seed, settings }, or null if the fragment has none.
export function readLink(fragment) {
  const values = new URLSearchParams(fragment.replace(/^#/, ""));
  const task = values.get("tool");
  if (!task) return null;
  const settings = {};
  for (const [name, text] of values) {
    if (name === STYLES) settings[name] = readStyles(text);
    else if (name !== "tool" && name !== "seed" && isNumber(text)) settings[name] = Number(text);
  }
  return { task, seed: Math.trunc(Number(values.get("seed"))) || 0, settings };
}

function readStyles(text) {
  const pairs = text.split(",").map((pair) => pair.split(":"));
  const valid = pairs.filter(([, weight]) => isNumber(weight));
  return Object.fromEntries(valid.map(([style, weight]) => [style, Number(weight)]));
}

const isNumber = (text) => Boolean(text?.trim()) && Number.isFinite(Number(text));
