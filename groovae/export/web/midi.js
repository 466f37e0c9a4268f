// MIDI files: written by the rules of groovae/music/midi_writer.py, read by magenta.js.
//
// Times are computed in the same order of operations as in groovae, as the last digit can decide
// which tick or 16th a hit halfway between two of them is rounded to.

import { BAR_STEPS } from "./groove.js";

const TICKS_PER_QUARTER = 1920; // at the usual tempos
const MAX_TICK_SECONDS = 0.6e-3;
const [MIN_QPM, MAX_QPM] = [4, 1000];
const DEFAULT_QPM = 120; // of a MIDI file without a tempo
const MAX_BYTES = 192 << 10; // magenta.js takes time quadratic in the number of notes
const MAX_MINUTES = 180;
const LAST_32ND = 0.5 - 1 / 16; // a hit half a step ahead of the last bar line adds no bar
const MTHD = 0x4d546864;
const NOT_MIDI = "not a readable MIDI file";

// Returns a drum file with one track as long as the window. Hits are sorted by time.
export function writeMidi(hits, steps, qpm, pitches) {
  const ticksPerQuarter = resolution(qpm);
  const ticksPerSecond = (ticksPerQuarter * qpm) / 60;
  const endTick = round(((steps * 15) / qpm) * ticksPerSecond);
  const spans = noteSpans(hits, qpm, ticksPerSecond, pitches);
  const microseconds = round(60e6 / qpm);
  const bytes = [
    0, 0xff, 0x51, 3, microseconds >> 16, (microseconds >> 8) & 255, microseconds & 255,
    0, 0xff, 0x58, 4, 4, 2, 24, 8,
  ];
  let now = 0;
  for (const [tick, ...data] of noteEvents(spans, endTick)) {
    bytes.push(...variableLength(tick - now), ...data);
    now = tick;
  }
  bytes.push(...variableLength(Math.max(endTick - now, 0)), 0xff, 0x2f, 0);
  const header = [0, 0, 0, 1, ticksPerQuarter >> 8, ticksPerQuarter & 255];
  return Uint8Array.from([...text("MThd"), ...uint32(6), ...header,
    ...text("MTrk"), ...uint32(bytes.length), ...bytes]);
}

// Returns the ticks per quarter, doubled at slow tempos until a tick is short enough.
function resolution(qpm) {
  let ticks = TICKS_PER_QUARTER;
  while (60 / (ticks * qpm) > MAX_TICK_SECONDS) ticks *= 2;
  return ticks;
}

// Returns the start and end of each hit in ticks. If a hit is before the start of the file, all are
// moved later by as much. A hit lasts at least a tick, and ends where the next of its pitch starts.
function noteSpans(hits, qpm, ticksPerSecond, pitches) {
  const seconds = (step) => step * 0.125 * (DEFAULT_QPM / qpm);
  const early = hits.map(({ step, late }) => -seconds(step + late) * ticksPerSecond);
  const shift = Math.max(0, ...early);
  const tick = (step) => round(seconds(step) * ticksPerSecond + shift);
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

// Returns [tick, ...bytes] of all note-ons and note-offs, cut at the end of the window.
function noteEvents(spans, endTick) {
  const events = spans.flatMap(({ start, end, pitch, velocity }) => [
    [start, 0x99, pitch, velocity],
    [Math.max(start + 1, Math.min(end, endTick)), 0x89, pitch, 0],
  ]);
  // At the same tick, note-offs (0x89) come before note-ons.
  return events.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
}

// Returns the drum notes { time, pitch, velocity } of a file, its tempo, and its length in bars. If no
// note is a drum, returns all notes, and `areDrums` is false. As in groovae, notes are sorted by their end, and
// those without length are left out. Throws an Error with the reason if a file cannot be used.
export async function readMidi(file) {
  if (file.size > MAX_BYTES) throw new Error(`the file is larger than ${MAX_BYTES >> 10} KB`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  checkChunks(new DataView(bytes.buffer));
  let sequence;
  try {
    sequence = globalThis.mm.midiToSequenceProto(bytes);
  } catch {
    throw new Error(NOT_MIDI);
  }
  checkMeter(sequence.timeSignatures);
  const { tickSeconds, qpm } = readTempo(sequence);
  const sounding = sequence.notes.filter((note) => note.endTime > note.startTime);
  sounding.sort((a, b) => a.endTime - b.endTime);
  if (!sounding.length) throw new Error("the file has no notes");
  if (sounding.at(-1).endTime > 60 * MAX_MINUTES) {
    throw new Error(`the music is longer than ${MAX_MINUTES} minutes`);
  }
  const drums = sounding.filter((note) => note.isDrum);
  const notes = (drums.length ? drums : sounding).map(({ startTime, pitch, velocity }) => ({
    time: Math.round(startTime / tickSeconds) * tickSeconds,
    pitch,
    velocity: Math.min(velocity, 127),
  }));
  return { notes, qpm, bars: countBars(sounding, qpm), areDrums: drums.length > 0 };
}

// Returns the length in bars: to the last hit or, if later, to the bar line nearest to the end, as in
// groovae/music/timeline.py.
function countBars(notes, qpm) {
  const steps = (seconds) => seconds * ((4 * qpm) / 60);
  const last = steps(notes.reduce((latest, { startTime }) => Math.max(latest, startTime), 0));
  const end = steps(notes.at(-1).endTime);
  const toLast = Math.floor(Math.floor(last + LAST_32ND) / BAR_STEPS) + 1;
  return Math.max(toLast, Math.ceil(end / BAR_STEPS - 0.5));
}

// Rejects files that magenta.js would misread: SMPTE times, and truncated ones.
function checkChunks(file) {
  const size = file.byteLength;
  if (size < 14 || file.getUint32(0) !== MTHD) throw new Error(NOT_MIDI);
  if (file.getUint16(12) & 0x8000) {
    throw new Error("SMPTE timing is not supported; save the file with ticks per quarter note");
  }
  const endOf = (start) => (start + 8 > size ? Infinity : start + 8 + file.getUint32(start + 4));
  let end = endOf(0);
  for (let track = 0; track < file.getUint16(10); track++) end = endOf(end);
  if (end > size) throw new Error("the file is truncated");
}

// Accepts 4/4 throughout, or an equivalent such as 2/2.
function checkMeter(meters) {
  const [first] = meters;
  const name = ({ numerator, denominator }) => `${numerator}/${denominator}`;
  if (meters.some((meter) => name(meter) !== (first.time ? "4/4" : name(first)))) {
    throw new Error("meter changes are not supported");
  }
  if ((4 * first.numerator) / first.denominator !== BAR_STEPS / 4) {
    throw new Error(`the meter is ${name(first)}, not 4/4`);
  }
}

// Returns the tempo in qpm and the length of a tick.
function readTempo({ tempos, ticksPerQuarter }) {
  const given = tempos.filter(({ time }) => !time).at(-1)?.qpm ?? DEFAULT_QPM;
  if (tempos.some(({ time, qpm }) => time && qpm !== given)) {
    throw new Error("tempo changes are not supported");
  }
  const tickSeconds = 60 / (given * ticksPerQuarter);
  const qpm = 60 / (tickSeconds * ticksPerQuarter);
  if (qpm < MIN_QPM || qpm > MAX_QPM) {
    throw new Error(`the tempo is ${Math.round(qpm)} bpm, not ${MIN_QPM} to ${MAX_QPM}`);
  }
  return { tickSeconds, qpm };
}

// Rounds half to even, as Python does.
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
