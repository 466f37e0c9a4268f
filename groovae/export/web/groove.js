// Grooves: windows of hits, made from notes or tensors, and their description in words.
//
// A hit is { step, drum, velocity, late }: its 16th, its drum class, its velocity from 1 to 127,
// and its distance after its 16th, from -0.5 to 0.5. A step of a tensor has hits (0 or 1), velocities
// (0 to 1) and offsets (-1 to 1, in half 16ths ahead), each for all drums.

export const NAMES = [
  "kick", "snare", "closed hi-hat", "open hi-hat", "low tom", "mid tom", "high tom", "crash",
  "ride",
];
export const SHORT_NAMES = NAMES.map((name) =>
  ({ "closed hi-hat": "hi-hat", "open hi-hat": "open hat" })[name] ?? name);
export const DRUMS = NAMES.length;
export const CLOSED_HIHAT = 2;
export const OPEN_HIHAT = 3;
export const BAR_STEPS = 16;
export const LANES = [7, 3, 2, 8, 6, 5, 1, 4, 0]; // drum classes from the top of a roll down
export const SAMPLED = -1; // in `forced`: the model decides; 1 forces a hit, 0 prevents it

export const cellOf = ({ step, drum }) => step * DRUMS + drum;
export const byTime = (a, b) => a.step + a.late - b.step - b.late;
const byVelocity = (a, b) => b.velocity - a.velocity || a.drum - b.drum;
const clip = (value, min, max) => Math.min(Math.max(value, min), max);

export function toHits(tensor) {
  const hits = [];
  for (let step = 0; step * 3 * DRUMS < tensor.length; step++) {
    const row = tensor.subarray(step * 3 * DRUMS, (step + 1) * 3 * DRUMS);
    for (let drum = 0; drum < DRUMS; drum++) {
      if (row[drum] <= 0.5) continue;
      const velocity = clip(Math.round(row[DRUMS + drum] * 127), 1, 127);
      hits.push({ step, drum, velocity, late: -clip(row[2 * DRUMS + drum], -1, 1) / 2 });
    }
  }
  return hits.sort(byTime);
}

export function toTensor(hits, steps) {
  const tensor = new Float32Array(steps * 3 * DRUMS);
  for (const { step, drum, velocity, late } of hits) {
    const cell = step * 3 * DRUMS + drum;
    tensor[cell] = 1;
    tensor[cell + DRUMS] = velocity / 127;
    tensor[cell + 2 * DRUMS] = -2 * late;
  }
  return tensor;
}

// Returns the part of a window that the encoder of a task gets; see groovae/data/windows.py.
export function encoderInput(hits, { humanize, tapify }, addInstruments) {
  let input = hits.filter((hit) => !addInstruments.includes(hit.drum));
  if (tapify) {
    const loudest = new Map();
    for (const hit of input.sort(byVelocity)) {
      if (!loudest.has(hit.step)) loudest.set(hit.step, hit);
    }
    input = [...loudest.values()].map((hit) => ({ ...hit, drum: OPEN_HIHAT, velocity: 0 }));
  }
  return humanize ? input.map((hit) => ({ ...hit, velocity: 0, late: 0 })) : input;
}

// Returns 1 (hit), 0 (no hit) or SAMPLED for each step and drum.
export function forceHits(hits, steps, sampledDrums) {
  const forced = new Int8Array(steps * DRUMS);
  for (const hit of hits) forced[cellOf(hit)] = 1;
  for (const drum of sampledDrums) {
    for (let step = 0; step < steps; step++) forced[step * DRUMS + drum] = SAMPLED;
  }
  return forced;
}

// Cuts notes { time, pitch, velocity } into windows of hits, by number, without the empty ones. Of
// the notes of one step and drum the loudest stays, the first if equal. Counts the others, and
// notes whose pitch is not mapped to a drum. A hit just ahead of the end of the bars is on their last
// step. Uses the order of operations of groovae/data/grid.py.
export function cutWindows(notes, qpm, steps, pitchClasses, usesAllPitches, bars = Infinity) {
  const stepSeconds = 60 / qpm / 4;
  const cells = new Map();
  let unmapped = 0;
  for (const { time, pitch, velocity } of notes) {
    const found = pitchClasses.findIndex((pitches) => pitches.includes(pitch));
    const drum = found < 0 && usesAllPitches ? OPEN_HIHAT : found;
    if (drum < 0) {
      unmapped++;
      continue;
    }
    const nearest = Math.floor(time * ((4 * qpm) / 60) + 0.5);
    const fileStep = Math.min(nearest, bars * BAR_STEPS - 1);
    const cell = cellOf({ step: fileStep, drum });
    if ((cells.get(cell)?.velocity ?? 0) >= velocity) continue;
    const late = clip((time - stepSeconds * fileStep) / stepSeconds, -0.5, 0.5);
    cells.set(cell, { step: fileStep % steps, drum, velocity, late, fileStep });
  }
  const windows = new Map();
  for (const { fileStep, ...hit } of [...cells.values()].sort((a, b) => a.fileStep - b.fileStep)) {
    const number = Math.floor(fileStep / steps);
    if (!windows.has(number)) windows.set(number, []);
    windows.get(number).push(hit);
  }
  for (const hits of windows.values()) hits.sort(byTime);
  return { windows, unmapped, overlapping: notes.length - unmapped - cells.size };
}

// Describes the notes of a file that are in no window; empty if there are none.
export function describeSkipped({ unmapped, overlapping }) {
  const parts = [];
  if (unmapped) parts.push(`${plural(unmapped, "note")} of unmapped pitch`);
  if (overlapping) parts.push(`${plural(overlapping, "note")} at the same step as a louder one`);
  return parts.length ? `Skipped ${parts.join(" and ")}.` : "";
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

export function describeHits(hits, steps) {
  const counts = [...LANES].reverse()
    .map((drum) => [NAMES[drum], hits.filter((hit) => hit.drum === drum).length])
    .filter(([, count]) => count);
  const parts = counts.map(([name, count]) => `${name} ${count}`).join(", ");
  const all = `${plural(hits.length, "hit")} in ${plural(steps / BAR_STEPS, "bar")}`;
  return parts ? `${all}: ${parts}` : all;
}
