// MIDI files: written by the rules of groovae's midi.py, read by magenta.js.

import { BAR_STEPS } from "./groove.js";

const TICKS_PER_QUARTER = 1920;
const TICKS_PER_STEP = TICKS_PER_QUARTER / 4;
const MAX_BYTES = 4 << 20;

// A drum file of one track. A first hit ahead of the beat moves all of it later, as little as it
// takes; a hit ends where the next one of its pitch begins, which is a tick later at least.
export function writeMidi(hits, steps, qpm, pitches) {
  const ticks = hits.map(({ step, late }) => Math.round((step + late) * TICKS_PER_STEP));
  const shift = Math.max(0, ...ticks.map((tick) => -tick));
  const events = [];
  const ends = new Map(); // of the last note of each pitch
  hits.forEach(({ drum, velocity }, i) => {
    const pitch = pitches[drum];
    const before = ends.get(pitch);
    const start = Math.max(ticks[i] + shift, before ? before.start + 1 : 0);
    if (before) before.event[0] = Math.min(before.event[0], start);
    const event = [start + TICKS_PER_STEP, 0, [0x89, pitch, 64]];
    ends.set(pitch, { start, event });
    events.push([start, 1, [0x99, pitch, velocity]], event);
  });
  events.sort((a, b) => a[0] - b[0] || a[1] - b[1]); // at one tick, ends come before starts
  const microseconds = Math.round(60e6 / qpm);
  const bytes = [
    0, 0xff, 0x51, 3, microseconds >> 16, (microseconds >> 8) & 255, microseconds & 255,
    0, 0xff, 0x58, 4, 4, 2, 24, 8,
  ];
  let now = 0;
  for (const [tick, , data] of events) {
    bytes.push(...variableLength(tick - now), ...data);
    now = tick;
  }
  const end = Math.max(now, steps * TICKS_PER_STEP + shift);
  bytes.push(...variableLength(end - now), 0xff, 0x2f, 0);
  const header = [...text("MThd"), ...uint32(6), 0, 0, 0, 1, TICKS_PER_QUARTER >> 8,
    TICKS_PER_QUARTER & 255];
  return Uint8Array.from([...header, ...text("MTrk"), ...uint32(bytes.length), ...bytes]);
}

// The drum notes of a file, { time, pitch, velocity } each, and its tempo in qpm; all notes where
// none is a drum. Throws an Error with what is wrong.
export function readMidi(bytes) {
  if (bytes.byteLength > MAX_BYTES) throw new Error("it is larger than 4 MB");
  let sequence;
  try {
    sequence = globalThis.mm.midiToSequenceProto(bytes);
  } catch {
    throw new Error("it cannot be read as MIDI");
  }
  const { timeSignatures, tempos } = sequence;
  const quarters = ({ numerator, denominator }) => (4 * numerator) / denominator;
  if (timeSignatures.some((meter) => quarters(meter) !== BAR_STEPS / 4)) {
    throw new Error("it is not in 4/4");
  }
  const qpm = tempos[0]?.qpm || 120;
  if (tempos.some((tempo) => Math.abs(tempo.qpm - qpm) > 1e-3)) {
    throw new Error("its tempo changes");
  }
  const drums = sequence.notes.filter((note) => note.isDrum);
  const notes = (drums.length ? drums : sequence.notes).map(({ startTime, pitch, velocity }) => (
    { time: startTime, pitch, velocity: Math.min(velocity, 127) }));
  if (!notes.length) throw new Error("it has no notes");
  return { notes, qpm };
}

const text = (letters) => [...letters].map((letter) => letter.charCodeAt(0));
const uint32 = (value) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);

function variableLength(value) {
  const bytes = [value & 127];
  for (let rest = value >> 7; rest; rest >>= 7) bytes.unshift((rest & 127) | 128);
  return bytes;
}
