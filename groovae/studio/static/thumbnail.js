// Small pictures of grooves: in the history, of A and B, and the overview of a long groove.

import { barsOf, lanesOf, lateness, lengthOf } from "./groove.js";
import { colourOf, colours, fitted } from "./theme.js";

export function drawThumbnail(canvas, groove) {
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
}

// The overview of a long groove, with a frame around the part in view. The picture of the groove is
// kept, as the frame moves while it plays.
export class Overview {
  constructor(canvas) {
    this.canvas = canvas;
    this.picture = document.createElement("canvas");
    new ResizeObserver(() => this.refresh()).observe(canvas);
  }

  refresh() {
    this.drawn = null;
  }

  // Draws a groove and the frame from a beat to another.
  draw(groove, range) {
    const { canvas, picture } = this;
    if (this.drawn !== groove) {
      drawThumbnail(canvas, groove);
      Object.assign(picture, { width: canvas.width, height: canvas.height });
      if (canvas.width) picture.getContext("2d").drawImage(canvas, 0, 0);
      this.drawn = groove;
    }
    const { context, width, height } = fitted(canvas);
    if (!width || !picture.width) return;
    context.drawImage(picture, 0, 0, width, height);
    const perBeat = width / lengthOf(groove);
    drawRange(context, range.map((beat) => beat * perBeat), height);
  }
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
