// The gestures of the pointer on the roll:
//
//   click           add a hit, or remove the one there
//   drag            up and down: velocity; left and right: timing, with Shift on the grid
//   Shift and drag  select bars and drums; a drag on the bar numbers selects bars

import { barAt, lengthOf, STEP, stepOf, withChangedHit, withHit } from "./groove.js";
import { RULER } from "./rollview.js";

const DRAG_PIXELS = 4;
const VELOCITY_PER_PIXEL = 1.2;

export class RollPointer {
  constructor(editor) {
    Object.assign(this, { editor, view: editor.view, gesture: null });
    const { canvas } = this.view;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#cancel());
    canvas.addEventListener("touchstart", (event) => this.#touch(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #point(event) {
    const box = this.view.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  // Lets a finger scroll the roll except where it grabs a hit.
  #touch(event) {
    const { x, y } = this.#point(event.touches[0]);
    if (this.view.hitAt(x, y)) event.preventDefault();
  }

  #down(event) {
    if (event.button !== 0 || this.gesture) return;
    const { x, y } = this.#point(event);
    const beat = this.view.beatAt(x);
    if (beat >= lengthOf(this.editor.groove)) return;
    this.view.canvas.setPointerCapture(event.pointerId);
    const drum = this.view.drumAt(y);
    this.gesture = { x, y, drum, bar: barAt(this.editor.groove, beat), kind: "press" };
    if (y < RULER || event.shiftKey) this.gesture.kind = y < RULER ? "bars" : "area";
    else this.#press(x, y, beat, drum, event.pointerType === "touch");
  }

  #press(x, y, beat, drum, isTouch) {
    const hit = this.view.hitAt(x, y);
    this.editor.setCursor(hit?.drum ?? drum, hit ? stepOf(this.editor.groove, hit) : Math.round(beat / STEP));
    this.gesture.hit = this.gesture.original = hit ?? null;
    if (!hit && !isTouch) this.#place(); // a finger may be about to scroll; see #up
    else if (hit) this.#hold(this.editor.groove, hit);
  }

  #place() {
    const hit = this.editor.newHit();
    if (!hit) return;
    this.gesture.hit = hit;
    this.gesture.base = withHit(this.editor.groove, hit);
    this.editor.audio.hit(hit);
    this.#hold(this.gesture.base, hit);
    this.editor.store.preview(this.gesture.base);
  }

  #hold(groove, hit) {
    this.gesture.base ??= groove;
    this.view.show(this.editor.groove, { held: hit, cursor: this.editor.cursor });
    this.editor.describe(hit);
  }

  #move(event) {
    const { x, y } = this.#point(event);
    if (!this.gesture) return this.#hover(x, y);
    const { kind } = this.gesture;
    if (kind === "bars" || kind === "area") return this.#selectTo(x, y);
    if (this.gesture.hit) this.#drag(x - this.gesture.x, y - this.gesture.y, event.shiftKey);
  }

  #hover(x, y) {
    const hit = y > RULER ? this.view.hitAt(x, y) : null;
    const shape = hit ? "grab" : y < RULER ? "col-resize" : "crosshair";
    this.view.canvas.style.setProperty("cursor", shape);
    this.editor.describe(hit);
  }

  #selectTo(x, y) {
    const { gesture, view } = this;
    const bar = barAt(this.editor.groove, Math.max(0, view.beatAt(x)));
    const bars = [Math.min(bar, gesture.bar), Math.max(bar, gesture.bar)];
    if (gesture.kind === "bars") return this.editor.select(bars);
    const ends = [gesture.drum, view.drumAt(y) ?? gesture.drum].map((drum) => view.lanes.indexOf(drum));
    const drums = view.lanes.slice(Math.min(...ends), Math.max(...ends) + 1);
    this.editor.select(bars, drums.filter((drum) => drum >= 0));
  }

  // Changes the velocity or the timing, whichever direction the drag took first.
  #drag(dx, dy, isSnapped) {
    const { gesture } = this;
    if (gesture.kind === "press") {
      if (Math.hypot(dx, dy) < DRAG_PIXELS) return;
      gesture.kind = Math.abs(dy) >= Math.abs(dx) ? "velocity" : "timing";
    }
    const from = gesture.hit;
    const beat = from.beat + dx / this.view.beatWidth;
    const changes = gesture.kind === "velocity"
      ? { velocity: from.velocity - dy * VELOCITY_PER_PIXEL }
      : { beat: isSnapped ? Math.round(beat / STEP) * STEP : beat };
    const [groove, hit] = withChangedHit(gesture.base, from, changes);
    gesture.result = { groove, hit };
    this.view.options.held = hit;
    this.editor.describe(hit);
    this.editor.store.preview(groove);
  }

  #up(event) {
    const { gesture } = this;
    if (!gesture) return;
    const { x, y } = this.#point(event);
    if (gesture.kind === "bars" || gesture.kind === "area") this.#endSelection(gesture, x, y);
    this.gesture = null;
    this.view.options.held = null;
    if (gesture.kind === "bars" || gesture.kind === "area") return;
    if (gesture.result) this.#commitDrag(gesture);
    else if (gesture.original) this.editor.removeHit(gesture.original);
    else if (gesture.hit) this.editor.commit("added", gesture.base, gesture.hit);
    else this.editor.toggle(); // a tap with a finger
  }

  #commitDrag({ kind, original, result: { groove, hit } }) {
    if (kind === "velocity") this.editor.velocity = hit.velocity;
    this.editor.cursor.step = stepOf(groove, hit);
    this.editor.audio.hit(hit);
    this.editor.commit(original ? kind : "added", groove, hit);
  }

  // A click selects one bar, or clears the selection if it is that bar.
  #endSelection(gesture, x, y) {
    if (gesture.kind === "area" || Math.abs(x - gesture.x) >= DRAG_PIXELS) return this.#selectTo(x, y);
    const isSame = this.editor.bars?.[0] === gesture.bar && this.editor.bars[1] === gesture.bar;
    this.editor.select(isSame ? null : [gesture.bar, gesture.bar]);
  }

  #cancel() {
    this.gesture = null;
    this.view.options.held = null;
    this.editor.store.preview(null);
  }
}
