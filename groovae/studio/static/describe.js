// Texts about grooves and hits: what a screen reader says and what the line under the roll shows.

import { barAt, barsOf, countsOf, STEP, stepOf, tempoOf } from "./groove.js";
import { t } from "./strings.js";

export const drumName = (drum) => t(`drum-${drum}`);

// Styles that a model of the user has go by their own names.
export function styleName(style) {
  const name = t(`style-${style}`);
  return name.startsWith("style-") ? style : name;
}

// "64 hits in 4 bars: kick 12, snare 8"
export function textOfGroove(groove) {
  const counts = countsOf(groove).map(([drum, count]) => `${t(`short-${drum}`)} ${count}`);
  const about = { hits: groove.hits.length, bars: groove.bars };
  return counts.length ? t("summary", { ...about, counts: counts.join(", ") }) : t("summary-empty", about);
}

// "snare, bar 2, 16th 5, velocity 90, 12 ms late"
export function textOfHit(groove, hit) {
  const step = stepOf(groove, hit);
  const ms = Math.round(((hit.beat - step * STEP) * 60_000) / tempoOf(groove));
  const timing = ms === 0 ? t("on-time") : t(ms > 0 ? "late-by" : "early-by", { ms: Math.abs(ms) });
  const place = placeOf(groove, hit.drum, step);
  return t("hit-text", { ...place, velocity: hit.velocity, timing });
}

export function textOfEmpty(groove, { drum, step }) {
  return t("no-hit", placeOf(groove, drum, step));
}

function placeOf(groove, drum, step) {
  const bar = barAt(groove, step * STEP);
  const inBar = step - Math.round(barsOf(groove)[bar].beat / STEP);
  return { drum: drumName(drum), bar: bar + 1, step: inBar + 1 };
}
