// Small pictures of grooves: in the history, of A and B, and the overview of a long groove.

import { barsOf, lanesOf, lateness, lengthOf } from "./groove.js";
import { colourOf, colours, fitted } from "./theme.js";

// Draws a groove; `range` are beats to mark, such as those in view.
export function drawThumbnail(canvas, groove, range = null) {
  const { context, width, height } = fitted(canvas);
  if (!width || !groove) return;
  const lanes = lanesOf(groove);
  const [perBeat, laneHeight] = [width / lengthOf(groove), height / lanes.length];
  drawBars(context, groove, perBeat, height);
  const stem = Math.max(1, Math.min(2, perBeat / 6));
  for (const hit of groove.hits) {
    const size = laneHeight * (0.35 + (0.65 * hit.velocity) / 127);
    context.fillStyle = colourOf(lateness(hit));
    context.fillRect(hit.beat * perBeat, (lanes.indexOf(hit.drum) + 1) * laneHeight - size, stem, size);
  }
  if (range) drawRange(context, range.map((beat) => beat * perBeat), height);
}

function drawBars(context, groove, perBeat, height) {
  const bars = barsOf(groove);
  const every = Math.ceil(bars.length / 32);
  context.fillStyle = colours.line;
  bars.forEach(({ beat }, i) => {
    if (i && i % every === 0) context.fillRect(Math.round(beat * perBeat), 0, 1, height);
  });
}

function drawRange(context, [from, to], height) {
  context.strokeStyle = colours.accent;
  context.lineWidth = 1.5;
  context.beginPath();
  context.roundRect(from + 0.75, 0.75, Math.max(6, to - from - 1.5), height - 1.5, 3);
  context.stroke();
}
