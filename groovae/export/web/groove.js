// Grooves: windows of hits, how they are heard from notes, and how they are told in words.
//
// A hit is { step, drum, velocity, late }: its 16th, its drum class, 1 to 127, and by how much it
// comes after its 16th, from -0.5 to 0.5. A tensor has three numbers for each step and drum: hits
// (0 or 1), velocities (0 to 1) and offsets (-1 to 1, in half 16ths ahead), each for all drums in
// turn.

export const NAMES = [
  "kick", "snare", "closed hi-hat", "open hi-hat", "low tom", "mid tom", "high tom", "crash", "ride",
];
export const SHORT_NAMES = NAMES.map((name) =>
  ({ "closed hi-hat": "hi-hat", "open hi-hat": "open hat" })[name] ?? name);
export const DRUMS = NAMES.length;
export const CLOSED_HIHAT = 2;
export const OPEN_HIHAT = 3;
export const BAR_STEPS = 16;
export const LANES = [7, 3, 2, 8, 6, 5, 1, 4, 0]; // from the top of a roll to its bottom
export const DRAWN = -1; // in `given`: neither a hit (1) nor none (0), but the model's to draw

export const cellOf = ({ step, drum }) => step * DRUMS + drum;
export const byTime = (a, b) => a.step + a.late - b.step - b.late;
const byLoudness = (a, b) => b.velocity - a.velocity || a.drum - b.drum;
const clip = (value, least, most) => Math.min(Math.max(value, least), most);

export function hitsOf(tensor) {
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

export function tensorOf(hits, steps) {
  const tensor = new Float32Array(steps * 3 * DRUMS);
  for (const { step, drum, velocity, late } of hits) {
    const cell = step * 3 * DRUMS + drum;
    tensor[cell] = 1;
    tensor[cell + DRUMS] = velocity / 127;
    tensor[cell + 2 * DRUMS] = -2 * late;
  }
  return tensor;
}

// What the encoder of a task gets to see of a window; see groovae's windows.py.
export function heard(hits, { humanize, tapify }, addInstruments) {
  let seen = hits.filter((hit) => !addInstruments.includes(hit.drum));
  if (tapify) {
    const loudest = new Map();
    for (const hit of seen.sort(byLoudness)) {
      if (!loudest.has(hit.step)) loudest.set(hit.step, hit);
    }
    seen = [...loudest.values()].map((hit) => ({ ...hit, drum: OPEN_HIHAT, velocity: 0 }));
  }
  return humanize ? seen.map((hit) => ({ ...hit, velocity: 0, late: 0 })) : seen;
}

// For each step and drum whether it is hit, as far as that is not for the model to say.
export function givenBy(hits, steps, drawnDrums = []) {
  const given = new Int8Array(steps * DRUMS);
  for (const hit of hits) given[cellOf(hit)] = 1;
  for (const drum of drawnDrums) {
    for (let step = 0; step < steps; step++) given[step * DRUMS + drum] = DRAWN;
  }
  return given;
}

// Cuts notes { time, pitch, velocity } into windows of hits, by number; silent ones are left out.
// Of the notes of one step and drum the loudest stays, the first of equals. Counts the others, and
// those whose pitch no drum has. The arithmetic is that of groovae's grid.py, in its order.
export function windowsOf(notes, qpm, steps, pitchClasses, takesAll) {
  const stepSeconds = 60 / qpm / 4;
  const cells = new Map();
  let strange = 0;
  for (const { time, pitch, velocity } of notes) {
    const found = pitchClasses.findIndex((pitches) => pitches.includes(pitch));
    const drum = found < 0 && takesAll ? OPEN_HIHAT : found;
    if (drum < 0) {
      strange++;
      continue;
    }
    const at = Math.floor(time * ((4 * qpm) / 60) + 0.5);
    const cell = cellOf({ step: at, drum });
    if ((cells.get(cell)?.velocity ?? 0) >= velocity) continue;
    const late = (time - stepSeconds * at) / stepSeconds;
    cells.set(cell, { step: at % steps, drum, velocity, late, at });
  }
  const windows = new Map();
  for (const { at, ...hit } of [...cells.values()].sort((a, b) => a.at - b.at)) {
    const number = Math.floor(at / steps);
    if (!windows.has(number)) windows.set(number, []);
    windows.get(number).push(hit);
  }
  for (const hits of windows.values()) hits.sort(byTime);
  return { windows, strange, crowded: notes.length - strange - cells.size };
}

// What a file loses on its way into windows; nothing where it loses nothing.
export function describeLosses({ strange, crowded }) {
  const parts = [];
  if (strange) parts.push(`${many(strange, "note")} of other pitches`);
  if (crowded) parts.push(`${many(crowded, "note")} that came with a louder one of the same drum`);
  const verb = strange + crowded === 1 ? "is" : "are";
  return parts.length ? `${parts.join(" and ")} ${verb} left out.` : "";
}

const many = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

export function describe(hits, steps) {
  const counts = [...LANES].reverse()
    .map((drum) => [NAMES[drum], hits.filter((hit) => hit.drum === drum).length])
    .filter(([, count]) => count);
  const parts = counts.map(([name, count]) => `${name} ${count}`).join(", ");
  const all = `${many(hits.length, "hit")} in ${steps / BAR_STEPS} bars`;
  return parts ? `${all}: ${parts}` : all;
}
