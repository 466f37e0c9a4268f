// The colours of the style sheet, for canvases, and the size of canvases in device pixels.

const NAMES = [
  ...["paper", "raised", "ink", "muted", "bar", "line", "faint", "accent"],
  ...["early", "a-bit-early", "on-grid", "a-bit-late", "late"],
  ...Array.from({ length: 8 }, (_, i) => `style-${i}`),
];
const LIMITS = [[-1 / 6, "early"], [-1 / 16, "a-bit-early"], [1 / 16, "on-grid"], [1 / 6, "a-bit-late"]];

export let colours = {};

export function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = Object.fromEntries(
    NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
}

// The colour of a hit by its lateness in 16ths, as in groovae's reports.
export function colourOf(late) {
  const [, name] = LIMITS.find(([limit]) => late < limit) ?? [0, "late"];
  return colours[name];
}

export function onColourChange(call) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    call();
  });
}

// Fits a canvas to its box; returns its context, in CSS pixels, and its size.
export function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
