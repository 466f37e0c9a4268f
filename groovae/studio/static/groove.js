// Grooves: immutable objects as the server sends them; see docs/studio.md.
//
//   { name, bars, meters: [[beat, numerator, denominator]], tempos: [[beat, qpm]],
//     hits: [{ beat, length, drum, pitch, velocity }] }
//
// Beats are quarter notes from the start. `drum` is -1 for a pitch that belongs to no drum. A groove is
// a loop: a hit ahead of its first beat stands at its end.

export const STEP = 0.25; // a 16th, in beats
export const OTHER = -1;
const LANES = [7, 3, 2, 8, 6, 5, 1, 4, 0]; // top to bottom as in drum notation: crash to kick

export function emptyGroove(name, bars, qpm = 120) {
  return { name, bars, meters: [[0, 4, 4]], tempos: [[0, qpm]], hits: [] };
}

// Whether a value from elsewhere has the form of a groove.
export function isGroove(value) {
  const areNumbers = (list) => list.every(Number.isFinite);
  return typeof value?.name === "string" && value.bars >= 1 &&
    value.meters.every(areNumbers) && value.tempos.every(areNumbers) &&
    value.hits.every((hit) =>
      areNumbers([hit.beat, hit.length, hit.drum, hit.pitch, hit.velocity]));
}

// The drums of the lanes from top to bottom; other pitches have a lane if there are any.
export function lanesOf(groove) {
  return groove.hits.some(({ drum }) => drum === OTHER) ? [...LANES, OTHER] : LANES;
}

// The bars: the beat at which each starts, its length in beats and its meter.
const barCache = new WeakMap();
export function barsOf(groove) {
  if (!barCache.has(groove)) barCache.set(groove, findBars(groove));
  return barCache.get(groove);
}

// A change of meter starts a bar.
function findBars({ bars, meters }) {
  const found = [];
  let beat = 0;
  let next = 0; // the index of the next change
  while (found.length < bars) {
    while (meters[next]?.[0] <= beat + 1e-6) next += 1;
    const [, numerator, denominator] = meters[next - 1] ?? [0, 4, 4];
    const end = Math.min(beat + (numerator * 4) / denominator, meters[next]?.[0] ?? Infinity);
    found.push({ beat, length: end - beat, numerator, denominator });
    beat = end;
  }
  return found;
}

export function lengthOf(groove) {
  const last = barsOf(groove).at(-1);
  return last ? last.beat + last.length : 0;
}

// The index of the bar at a beat, within the groove.
export function barAt(groove, beat) {
  const bars = barsOf(groove);
  let [low, high] = [0, bars.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (bars[middle].beat <= beat + 1e-6) low = middle;
    else high = middle - 1;
  }
  return low;
}

// Converts beats to seconds and back by the tempo map.
export function timeline(groove) {
  const parts = [];
  let [beat, seconds, qpm] = [0, 0, groove.tempos[0]?.[1] ?? 120];
  for (const [start, next] of groove.tempos) {
    seconds += ((start - beat) * 60) / qpm;
    parts.push({ beat: start, seconds, qpm: next });
    [beat, qpm] = [start, next];
  }
  if (!parts.length) parts.push({ beat, seconds, qpm });
  const partAt = (key, value) => parts.findLast((part) => part[key] <= value) ?? parts[0];
  return {
    secondsAt(at) {
      const part = partAt("beat", at);
      return part.seconds + ((at - part.beat) * 60) / part.qpm;
    },
    beatAt(at) {
      const part = partAt("seconds", at);
      return part.beat + ((at - part.seconds) * part.qpm) / 60;
    },
    qpmAt: (at) => partAt("beat", at).qpm,
  };
}

export const tempoOf = (groove) => groove.tempos[0]?.[1] ?? 120;

// Changes the tempo; a tempo map is scaled as a whole.
export function withTempo(groove, qpm) {
  const ratio = qpm / tempoOf(groove);
  return { ...groove, tempos: groove.tempos.map(([beat, old]) => [beat, old * ratio]) };
}

// Changes the number of bars; hits past the end are removed.
export function withBars(groove, bars) {
  const changed = { ...groove, bars };
  const end = lengthOf(changed);
  const keep = ([beat], i) => i === 0 || beat < end;
  return {
    ...changed,
    hits: groove.hits.filter(({ beat }) => beat < end - 1e-6),
    meters: groove.meters.filter(keep),
    tempos: groove.tempos.filter(keep),
  };
}

// Appends the groove to itself.
export function doubled(groove) {
  const length = lengthOf(groove);
  const later = (events) => events.map(([beat, ...rest]) => [beat + length, ...rest]);
  const repeat = (events) => (events.length > 1 ? [...events, ...later(events)] : events);
  return {
    ...groove,
    bars: groove.bars * 2,
    meters: repeat(groove.meters),
    tempos: repeat(groove.tempos),
    hits: sorted([
      ...groove.hits,
      ...groove.hits.map((hit) => ({ ...hit, beat: hit.beat + length })),
    ]),
  };
}

const sorted = (hits) => [...hits].sort((a, b) => a.beat - b.beat || a.pitch - b.pitch);

export function withHit(groove, hit) {
  return { ...groove, hits: sorted([...groove.hits, hit]) };
}

export function withoutHit(groove, hit) {
  return { ...groove, hits: groove.hits.filter((other) => other !== hit) };
}

// Replaces a hit; its time stays in the groove and its velocity in 1 to 127.
export function withChangedHit(groove, hit, changes) {
  const changed = clampHit(groove, { ...hit, ...changes });
  const hits = groove.hits.map((other) => (other === hit ? changed : other));
  return [{ ...groove, hits: sorted(hits) }, changed];
}

export function clampHit(groove, hit) {
  const last = lengthOf(groove) - 0.01;
  const velocity = Math.round(Math.min(127, Math.max(1, hit.velocity)));
  return { ...hit, velocity, beat: Math.min(last, Math.max(0, hit.beat)) };
}

// How late a hit is, in 16ths from the nearest one, -0.5 to 0.5.
export function lateness({ beat }) {
  const steps = beat / STEP;
  return steps - Math.round(steps);
}

export const stepsOf = (groove) => Math.max(1, Math.round(lengthOf(groove) / STEP));

// The 16th of a hit; the last one for a hit that is early for the next round.
export function stepOf(groove, { beat }) {
  return Math.min(stepsOf(groove) - 1, Math.max(0, Math.round(beat / STEP)));
}

// The hit of a drum that is nearest to a 16th, of those that belong to it.
export function hitAt(groove, drum, step) {
  const distance = ({ beat }) => Math.abs(beat / STEP - step);
  return groove.hits.filter((hit) => hit.drum === drum && stepOf(groove, hit) === step)
    .sort((a, b) => distance(a) - distance(b))[0];
}

// The number of hits of each drum, in the order of the lanes from the bottom.
export function countsOf(groove) {
  const counts = new Map();
  for (const { drum } of groove.hits) counts.set(drum, (counts.get(drum) ?? 0) + 1);
  return [...lanesOf(groove)].reverse().filter((drum) => counts.has(drum))
    .map((drum) => [drum, counts.get(drum)]);
}
