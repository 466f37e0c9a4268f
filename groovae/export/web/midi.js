// MIDI files: written by the rules of groovae's midi.py, read by magenta.js.
//
// Times are computed in groovae's own order, as their last digit may say to which tick or 16th a
// hit in the middle between two goes.

import { BAR_STEPS } from "./groove.js";

const TICKS_PER_QUARTER = 1920; // at the usual tempos
const MAX_TICK_SECONDS = 0.6e-3;
const [SLOWEST_QPM, FASTEST_QPM] = [4, 1000];
const DEFAULT_QPM = 120; // what MIDI takes where no tempo is given
const MAX_BYTES = 192 << 10; // magenta.js takes time with the square of the notes
const MAX_MINUTES = 180;
const MTHD = 0x4d546864;

// A drum file of one track, as long as the window; hits are sorted by time.
export function writeMidi(hits, steps, qpm, pitches) {
  const ticksPerQuarter = resolution(qpm);
  const ticksPerSecond = (ticksPerQuarter * qpm) / 60;
  const endTick = round(((steps * 15) / qpm) * ticksPerSecond);
  const spans = spansOf(hits, qpm, ticksPerSecond, pitches);
  const microseconds = round(60e6 / qpm);
  const bytes = [
    0, 0xff, 0x51, 3, microseconds >> 16, (microseconds >> 8) & 255, microseconds & 255,
    0, 0xff, 0x58, 4, 4, 2, 24, 8,
  ];
  let now = 0;
  for (const [tick, ...data] of eventsOf(spans, endTick)) {
    bytes.push(...variableLength(tick - now), ...data);
    now = tick;
  }
  bytes.push(...variableLength(Math.max(endTick - now, 0)), 0xff, 0x2f, 0);
  const header = [0, 0, 0, 1, ticksPerQuarter >> 8, ticksPerQuarter & 255];
  return Uint8Array.from([...text("MThd"), ...uint32(6), ...header,
    ...text("MTrk"), ...uint32(bytes.length), ...bytes]);
}

// Ticks a quarter, so many that a tick is short at a slow tempo too.
function resolution(qpm) {
  let ticks = TICKS_PER_QUARTER;
  while (60 / (ticks * qpm) > MAX_TICK_SECONDS) ticks *= 2;
  return ticks;
}

// Where each hit starts and ends, in ticks. A first hit ahead of the beat moves all of it later, as
// little as it takes; a hit ends where the next one of its pitch begins, a tick later at least.
function spansOf(hits, qpm, ticksPerSecond, pitches) {
  const seconds = (step) => step * 0.125 * (DEFAULT_QPM / qpm);
  const early = hits.map(({ step, late }) => -seconds(step + late) * ticksPerSecond);
  const moved = Math.max(0, ...early);
  const tick = (step) => round(seconds(step) * ticksPerSecond + moved);
  const latest = new Map(); // by pitch
  return hits.map(({ step, drum, velocity, late }) => {
    const pitch = pitches[drum];
    const before = latest.get(pitch);
    const start = Math.max(tick(step + late), before ? before.start + 1 : 0);
    if (before) before.end = Math.min(before.end, start);
    const span = { start, end: Math.max(tick(step + late + 1), start + 1), pitch, velocity };
    latest.set(pitch, span);
    return span;
  });
}

// [tick, ...bytes] of each note on and off; one that begins in the window rings no longer than it.
function eventsOf(spans, endTick) {
  const events = spans.flatMap(({ start, end, pitch, velocity }) => [
    [start, 0x99, pitch, velocity],
    [Math.max(start + 1, Math.min(end, endTick)), 0x89, pitch, 0],
  ]);
  // At one tick ends, which are 0x89, come before starts.
  return events.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
}

// The drum notes of a file, { time, pitch, velocity } each, and its tempo in qpm; all notes where
// `areDrums` is false, as none says that it is one. They are those that groovae reads, in its
// order: as they end, and none that ends as it starts. Throws an Error with what is wrong.
export async function readMidi(file) {
  if (file.size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES >> 10} KB`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  checkChunks(new DataView(bytes.buffer));
  let sequence;
  try {
    sequence = globalThis.mm.midiToSequenceProto(bytes);
  } catch {
    throw new Error("it cannot be read as MIDI");
  }
  checkMeter(sequence.timeSignatures);
  const { tickSeconds, qpm } = clockOf(sequence);
  const played = sequence.notes.filter((note) => note.endTime > note.startTime);
  played.sort((a, b) => a.endTime - b.endTime);
  if (!played.length) throw new Error("it has no notes");
  if (played.at(-1).endTime > 60 * MAX_MINUTES) {
    throw new Error(`it is longer than ${MAX_MINUTES} minutes`);
  }
  const drums = played.filter((note) => note.isDrum);
  const notes = (drums.length ? drums : played).map(({ startTime, pitch, velocity }) => ({
    time: Math.round(startTime / tickSeconds) * tickSeconds,
    pitch,
    velocity: Math.min(velocity, 127),
  }));
  return { notes, qpm, areDrums: drums.length > 0 };
}

// What magenta.js would take for music: times that are no ticks, and a file that is cut.
function checkChunks(file) {
  const size = file.byteLength;
  if (size < 14 || file.getUint32(0) !== MTHD) throw new Error("it cannot be read as MIDI");
  if (file.getUint16(12) & 0x8000) {
    throw new Error("its times are SMPTE frames; write it with ticks per quarter note");
  }
  const endOf = (start) => (start + 8 > size ? Infinity : start + 8 + file.getUint32(start + 4));
  let end = endOf(0);
  for (let track = 0; track < file.getUint16(10); track++) end = endOf(end);
  if (end > size) throw new Error("it ends too early");
}

// 4/4, or another way to write it, such as 2/2, throughout.
function checkMeter(meters) {
  const [first] = meters;
  const name = ({ numerator, denominator }) => `${numerator}/${denominator}`;
  if (meters.some((meter) => name(meter) !== (first.time ? "4/4" : name(first)))) {
    throw new Error("its meter changes");
  }
  if ((4 * first.numerator) / first.denominator !== BAR_STEPS / 4) {
    throw new Error("it is not in 4/4");
  }
}

// The tempo in qpm, and how long a tick takes at it.
function clockOf({ tempos, ticksPerQuarter }) {
  const given = tempos.filter(({ time }) => !time).at(-1)?.qpm ?? DEFAULT_QPM;
  if (tempos.some(({ time, qpm }) => time && qpm !== given)) throw new Error("its tempo changes");
  const tickSeconds = 60 / (given * ticksPerQuarter);
  const qpm = 60 / (tickSeconds * ticksPerQuarter);
  if (qpm < SLOWEST_QPM || qpm > FASTEST_QPM) {
    throw new Error(`its ${Math.round(qpm)} bpm are not between ${SLOWEST_QPM} and ${FASTEST_QPM}`);
  }
  return { tickSeconds, qpm };
}

// Rounds as Python does: what lies in the middle, to the even one.
function round(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

const text = (letters) => [...letters].map((letter) => letter.charCodeAt(0));
const uint32 = (value) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);

function variableLength(value) {
  const bytes = [value & 127];
  for (let rest = value >> 7; rest; rest >>= 7) bytes.unshift((rest & 127) | 128);
  return bytes;
}
