// The map of the latent space: a point for each training window, coloured by style. Dragging over it
// asks for the groove at the pointer.

import { get } from "./api.js";
import { styleName } from "./describe.js";
import { element } from "./fields.js";
import { t } from "./strings.js";
import { colours, fitted } from "./theme.js";

const MARGIN = 14;
const KEY_STEP = 0.02; // of the width of the map
const NUM_COLOURS = 8;

export class LatentMap extends EventTarget {
  constructor() {
    super();
    this.data = null;
    this.at = { x: 0.5, y: 0.5 }; // of the box of all points
    this.picture = document.createElement("canvas"); // of all points; the cross is drawn over it
  }

  // Builds the map into a panel; the points are loaded when it is first shown.
  build(part) {
    this.canvas = element("canvas", {
      id: "map", tabindex: "0", role: "application", "aria-label": t("map"), "aria-describedby": "map-help",
    });
    this.legend = element("p", { class: "legend" });
    const help = element("p", { id: "map-help", class: "hidden" }, t("map-help"));
    part.replaceChildren(this.canvas, this.legend, help);
    this.canvas.addEventListener("pointerdown", (event) => this.#down(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#redraw()).observe(this.canvas);
    this.#showLegend();
  }

  async load() {
    if (this.data) return;
    const { styles, points } = await get("map");
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    const ends = (values) => [Math.min(...values), Math.max(...values)];
    this.data = { styles, points, x: ends(xs), y: ends(ys), colourOf: byFrequency(points) };
    this.#showLegend();
    this.#redraw();
  }

  // Shows the cross at a point of the latent map.
  show(x, y) {
    if (!this.data) return;
    const share = (value, [low, high]) => (value - low) / (high - low);
    this.at = { x: share(x, this.data.x), y: share(y, this.data.y) };
    this.draw();
  }

  // Pointer and keyboard

  #down(event) {
    if (event.button !== 0 || !this.data) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.box = this.canvas.getBoundingClientRect(); // not at each move, as it forces a layout
    this.#goTo(event, true);
  }

  #move(event) {
    if (event.buttons & 1 && this.canvas.hasPointerCapture(event.pointerId)) this.#goTo(event, false);
  }

  #goTo(event, isNew) {
    const { box } = this;
    const share = (position, size) => Math.min(1, Math.max(0, (position - MARGIN) / (size - 2 * MARGIN)));
    this.at = { x: share(event.clientX - box.left, box.width), y: share(event.clientY - box.top, box.height) };
    this.#choose(isNew);
  }

  #key(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter") this.#choose(true);
    else if (by) {
      const moved = (value, sign) => Math.min(1, Math.max(0, value + sign * KEY_STEP));
      this.at = { x: moved(this.at.x, by[0]), y: moved(this.at.y, by[1]) };
      this.#choose(false);
    } else return;
    event.preventDefault();
  }

  #choose(isNew) {
    if (!this.data) return;
    this.draw();
    this.dispatchEvent(new CustomEvent("choose", { detail: { ...this.point, isNew } }));
  }

  // The point of the latent map at the cross.
  get point() {
    const value = (share, [low, high]) => low + share * (high - low);
    return { x: value(this.at.x, this.data.x), y: value(this.at.y, this.data.y) };
  }

  // Drawing

  #redraw() {
    if (!this.data || !this.canvas?.clientWidth) return;
    const { context, width, height } = fitted(this.canvas);
    for (const [x, y, style] of this.data.points) {
      context.fillStyle = colours[`style-${this.data.colourOf(style)}`];
      context.globalAlpha = 0.75;
      context.beginPath();
      context.arc(...this.#place(x, y, width, height), 2.2, 0, 2 * Math.PI);
      context.fill();
    }
    const { picture, canvas } = this;
    [picture.width, picture.height] = [canvas.width, canvas.height];
    picture.getContext("2d").drawImage(canvas, 0, 0);
    this.draw();
  }

  refresh() {
    this.#redraw();
    this.#showLegend();
  }

  #place(x, y, width, height) {
    const share = (value, [low, high]) => (value - low) / (high - low);
    return [
      MARGIN + share(x, this.data.x) * (width - 2 * MARGIN),
      MARGIN + share(y, this.data.y) * (height - 2 * MARGIN),
    ];
  }

  draw() {
    if (!this.data || !this.canvas?.clientWidth) return;
    const { context, width, height } = fitted(this.canvas);
    context.drawImage(this.picture, 0, 0, width, height);
    const [x, y] = [MARGIN + this.at.x * (width - 2 * MARGIN), MARGIN + this.at.y * (height - 2 * MARGIN)];
    for (const [colour, line] of [[colours.paper, 7], [colours.ink, 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.beginPath();
      context.arc(x, y, 9, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  #legendItem(text, colour) {
    const item = element("span", {}, text);
    item.prepend(element("i", { class: `dot style-${colour}` }));
    return item;
  }

  // The most frequent styles have a colour of their own.
  #showLegend() {
    if (!this.data || !this.legend) return;
    const { styles, colourOf } = this.data;
    const named = styles.map((name, i) => [name, colourOf(i)]).filter(([, colour]) => colour < NUM_COLOURS - 1);
    const items = named.sort((a, b) => a[1] - b[1])
      .map(([name, colour]) => this.#legendItem(styleName(name), colour));
    const isOther = styles.some((_, i) => colourOf(i) === NUM_COLOURS - 1);
    if (isOther) items.push(this.#legendItem(t("other-styles"), NUM_COLOURS - 1));
    this.legend.replaceChildren(...items);
  }
}

function byFrequency(points) {
  const counts = new Map();
  for (const [, , style] of points) counts.set(style, (counts.get(style) ?? 0) + 1);
  const order = [...counts].sort((a, b) => b[1] - a[1]).map(([style]) => style);
  return (style) => {
    const rank = order.indexOf(style);
    return rank < 0 ? NUM_COLOURS - 1 : Math.min(rank, NUM_COLOURS - 1);
  };
}
