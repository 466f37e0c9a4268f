// Grooves of any length: { segments, steps, name }. A segment is a groove of one window as of model.js,
// or null where a file has no hits. `steps` is the length, which may end within the last window. A
// groove that is shown as in its file also has `hits`, which are shown instead.

import { BAR_STEPS } from "./groove.js";
import { interpolate, varied } from "./model.js";

// Returns the hits of a groove, or null if `proceed` returned that they are not wanted any more.
export async function decodeAll(model, { segments, steps }, temperature, proceed) {
  const windows = await mapInTurn(segments, steps, proceed, (segment) =>
    segment && model.decode(segment, temperature));
  return windows && joinWindows(windows, model.steps, steps);
}

// Returns the results of an asynchronous function for each window of a groove of `steps`. Before all
// but the first, calls `proceed("9 of 64")` with the bar; returns null if it returns false.
export async function mapInTurn(windows, steps, proceed, apply) {
  const results = [];
  const bars = steps / BAR_STEPS;
  for (const [i, window] of windows.entries()) {
    const place = `${Math.round((i / windows.length) * bars) + 1} of ${bars}`;
    if (i && window && !(await proceed(place))) return null;
    results.push(await apply(window));
  }
  return results;
}

// Returns the hits of consecutive windows, those that start before the end.
export function joinWindows(windows, windowSteps, steps) {
  const moved = (hits, by) => (hits ?? []).map((hit) => ({ ...hit, step: hit.step + by }));
  return windows.flatMap((hits, i) => moved(hits, i * windowSteps))
    .filter(({ step }) => step < steps);
}

// Moves all segments in the same direction, as groovae does.
export function varyAll({ segments, steps }, direction, length) {
  return { segments: segments.map((segment) => segment && varied(segment, direction, length)), steps };
}

// Returns a groove between two, as long as the shorter one, or one of them at a share of 0 or 1. Where
// one has no hits, the nearer one decides.
export function interpolateAll(a, b, share, switchPoints) {
  if (share === 0 || share === 1) return share ? b : a;
  const shorter = a.steps < b.steps ? a : b;
  const segments = shorter.segments.map((_, i) => {
    const [first, last] = [a.segments[i], b.segments[i]];
    if (first && last) return interpolate(first, last, share, switchPoints);
    return share < 0.5 ? first : last;
  });
  return { segments, steps: shorter.steps };
}
