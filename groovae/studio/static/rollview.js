// Draws the roll: nine lanes, a hit as a stem at its exact time, as high as its velocity, in the
// colour of its timing. Only the part in view is drawn, so long grooves cost no more than short ones.

import { barAt, barsOf, lanesOf, lateness, lengthOf, STEP } from "./groove.js";
import { colourOf, colours, fitted } from "./theme.js";

export const RULER = 24; // the height of the bar numbers
const BARS_IN_VIEW = 4;
const MIN_BEAT_WIDTH = 48;
const MIN_BEAT_NUMBER_WIDTH = 40;
const MIN_BEAT_WIDTH_TOUCH = 80; // so that a 16th can be hit with a finger
const [MIN_STEM, MAX_STEM] = [0.18, 0.86]; // in lanes, for velocities 0 and 127
const STRUCK_MS = 160; // how long a hit glows after it sounded
const PADDING = 12; // left and right of the groove
const GRAB = 5; // pixels around a stem that belong to it

export class RollView {
  constructor(canvas, scroller, spacer) {
    Object.assign(this, { canvas, scroller, spacer });
    this.zoom = 1;
    this.isTouch = matchMedia("(pointer: coarse)").matches;
    this.boxes = []; // of the hits drawn: { hit, x, y, width, height }
    this.options = { muted: [], cursor: null, bars: null, drums: null, playBeat: null, held: null };
    scroller.addEventListener("scroll", () => this.request());
    this.family = getComputedStyle(canvas).fontFamily;
    this.#measure();
    new ResizeObserver(() => this.#measure()).observe(canvas);
  }

  // Reads the size of the canvas, which is slow, only when it changes.
  #measure() {
    [this.width, this.height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    this.request();
  }

  show(groove, options = {}) {
    this.groove = groove;
    this.lanes = lanesOf(groove);
    Object.assign(this.options, options);
    this.request();
  }

  // Draws in the next frame.
  request() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.groove) this.#draw();
    });
  }

  // Geometry, in pixels of the canvas

  get beatWidth() {
    const bars = barsOf(this.groove).slice(0, BARS_IN_VIEW);
    const beats = Math.max(1, bars.at(-1).beat + bars.at(-1).length);
    const least = this.isTouch ? MIN_BEAT_WIDTH_TOUCH : MIN_BEAT_WIDTH;
    return Math.max(least, (this.width - 2 * PADDING) / beats) * this.zoom;
  }

  get laneHeight() {
    return (this.height - RULER) / this.lanes.length;
  }

  xOf(beat) {
    return PADDING + beat * this.beatWidth - this.scroller.scrollLeft;
  }

  beatAt(x) {
    return (x - PADDING + this.scroller.scrollLeft) / this.beatWidth;
  }

  drumAt(y) {
    return this.lanes[Math.floor((y - RULER) / this.laneHeight)];
  }

  topOf(drum) {
    return RULER + this.lanes.indexOf(drum) * this.laneHeight;
  }

  hitAt(x, y) {
    const near = this.boxes.filter((box) =>
      x >= box.x - GRAB && x <= box.x + box.width + GRAB && this.drumAt(y) === box.hit.drum);
    const distance = (box) => Math.abs(box.x + box.width / 2 - x);
    return near.sort((a, b) => distance(a) - distance(b))[0]?.hit;
  }

  // Scrolls so that a beat is in view.
  reveal(beat, margin = 40) {
    const x = this.xOf(beat);
    const width = this.width;
    if (x < 0 || x > width - margin) this.scroller.scrollLeft += x - Math.min(width / 4, 120);
  }

  setZoom(zoom) {
    const middle = this.beatAt(this.width / 2);
    this.zoom = Math.min(4, Math.max(0.125, zoom));
    this.#resize();
    this.scroller.scrollLeft = PADDING + middle * this.beatWidth - this.width / 2;
    this.request();
  }

  get rangeInView() {
    const end = lengthOf(this.groove);
    return [Math.max(0, this.beatAt(0)), Math.min(end, this.beatAt(this.width))];
  }

  get isWhole() {
    const [first, last] = this.rangeInView;
    return first <= 0 && last >= lengthOf(this.groove) - 1e-6;
  }

  #resize() {
    const width = Math.max(this.width, 2 * PADDING + lengthOf(this.groove) * this.beatWidth);
    this.spacer.style.setProperty("width", `${Math.floor(width)}px`);
  }

  // Drawing

  #draw() {
    this.#resize();
    const { context, width, height } = fitted(this.canvas);
    if (!width) return;
    const [first, last] = this.rangeInView;
    this.#drawLanes(context, width);
    this.#drawSelection(context, height);
    this.#drawGrid(context, first, last, height);
    this.#drawHits(context, first - 1, last + 1);
    this.#drawCursor(context);
    this.#drawPlayhead(context, height);
    this.onDraw?.();
  }

  #drawLanes(context, width) {
    this.lanes.forEach((_, i) => {
      context.fillStyle = i % 2 ? colours.paper : colours.raised;
      context.fillRect(0, RULER + i * this.laneHeight, width, this.laneHeight);
    });
  }

  #drawSelection(context, height) {
    const { bars, drums } = this.options;
    if (!bars && !drums) return;
    const list = barsOf(this.groove);
    const [from, to] = bars ?? [0, list.length - 1];
    const last = list[Math.min(to, list.length - 1)];
    const x = this.xOf(list[Math.min(from, list.length - 1)].beat);
    const width = this.xOf(last.beat + last.length) - x;
    context.fillStyle = colours.accent;
    if (bars) context.fillRect(x, 0, width, 3);
    context.globalAlpha = 0.13;
    if (!drums) context.fillRect(x, 0, width, height);
    else for (const drum of drums) context.fillRect(x, this.topOf(drum), width, this.laneHeight);
    context.globalAlpha = 1;
  }

  #drawGrid(context, first, last, height) {
    const bars = barsOf(this.groove);
    const showSteps = this.beatWidth * STEP >= 9;
    const end = barAt(this.groove, last);
    for (let i = barAt(this.groove, first); i <= end; i++) {
      const { beat, length, denominator } = bars[i];
      const pulse = 4 / denominator;
      for (let step = 0; step < length; step += STEP) {
        const isPulse = Math.abs(step % pulse) < 1e-6;
        if (!isPulse && !showSteps) continue;
        const [colour, top] = step === 0 ? ["bar", 4] : [isPulse ? "line" : "faint", RULER];
        this.#drawLine(context, beat + step, colours[colour], top, height);
        if (!step || !isPulse) continue;
        this.#drawBeatNumber(context, `${i + 1}.${Math.round(step / pulse) + 1}`, beat + step);
      }
      this.#drawBarNumber(context, i, beat);
    }
    this.#drawLine(context, lengthOf(this.groove), colours.bar, 4, height);
  }

  #drawLine(context, beat, colour, top, height) {
    context.fillStyle = colour;
    context.fillRect(Math.round(this.xOf(beat)), top, 1, height - top);
  }

  #drawBarNumber(context, index, beat) {
    const barWidth = this.beatWidth * barsOf(this.groove)[index].length;
    if (index % Math.ceil(36 / barWidth)) return;
    context.font = `600 12px ${this.family}`;
    context.fillStyle = colours.ink;
    context.fillText(String(index + 1), this.xOf(beat) + 6, 16);
  }

  #drawBeatNumber(context, text, beat) {
    if (this.beatWidth < MIN_BEAT_NUMBER_WIDTH) return;
    context.font = `10px ${this.family}`;
    context.fillStyle = colours.muted;
    context.fillText(text, this.xOf(beat) + 4, 16);
  }

  #drawHits(context, first, last) {
    const width = Math.min(11, Math.max(3, this.beatWidth * STEP * 0.42));
    this.boxes = this.groove.hits.filter(({ beat }) => beat >= first && beat <= last)
      .map((hit) => this.#box(hit, width));
    for (const box of this.boxes) {
      context.globalAlpha = this.options.muted.includes(box.hit.drum) ? 0.25 : 1;
      this.#drawStem(context, box);
      if (box.hit === this.options.held) {
        this.#outline(context, box.x - 3, box.y - 3, width + 6, box.height + 6);
      }
    }
    if (first <= 0) this.#drawEarly(context, width);
    context.globalAlpha = 1;
  }

  #drawStem(context, { hit, x, y, width, height }) {
    const round = Math.min(3, height / 2);
    context.fillStyle = this.#isStruck(hit) ? colours.accent : colourOf(lateness(hit));
    context.beginPath();
    context.roundRect(x, y, width, height, [round, round, 1, 1]);
    context.fill();
  }

  // Shows hits that are early for the next round also ahead of the first beat, in a pale colour.
  #drawEarly(context, width) {
    const end = lengthOf(this.groove);
    context.globalAlpha = 0.4;
    for (const hit of this.groove.hits.filter(({ beat }) => beat > end - STEP / 2)) {
      const box = this.#box(hit, width);
      this.#drawStem(context, { ...box, x: this.xOf(hit.beat - end) });
    }
  }

  #box(hit, width) {
    const { laneHeight } = this;
    const height = laneHeight * (MIN_STEM + ((MAX_STEM - MIN_STEM) * hit.velocity) / 127);
    const bottom = this.topOf(hit.drum) + laneHeight * 0.95;
    return { hit, x: this.xOf(hit.beat), y: bottom - height, width, height };
  }

  // Whether a hit sounded just before.
  #isStruck(hit) {
    const { playBeat, beatMs, muted } = this.options;
    if (playBeat === null || muted.includes(hit.drum)) return false;
    const ago = (playBeat - hit.beat) * beatMs;
    return ago >= 0 && ago < STRUCK_MS;
  }

  #outline(context, x, y, width, height) {
    context.strokeStyle = colours.accent;
    context.lineWidth = 2;
    context.beginPath();
    context.roundRect(x, y, width, height, 4);
    context.stroke();
  }

  #drawCursor(context) {
    const { cursor } = this.options;
    if (!cursor || document.activeElement !== this.canvas) return;
    const step = this.beatWidth * STEP;
    const x = this.xOf(cursor.step * STEP) - step * 0.2;
    this.#outline(context, x, this.topOf(cursor.drum) + 1, step * 0.95, this.laneHeight - 2);
  }

  #drawPlayhead(context, height) {
    const { playBeat } = this.options;
    if (playBeat === null) return;
    const x = this.xOf(Math.max(0, playBeat));
    context.fillStyle = colours.accent;
    context.fillRect(x - 1, 8, 2, height);
    context.beginPath();
    context.arc(x, 8, 5, 0, 2 * Math.PI);
    context.fill();
  }
}
