"""Estimates of windows scored beside baselines, with intervals over the recordings: pure NumPy.

Timing and velocity of a baseline are told twice: over all its hits, and over just those that the
model found too, on which alone the two can be compared.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from groovae.config.layout import Layout
from groovae.data.windows import predicted_drums, to_inputs
from groovae.metrics import scores
from groovae.metrics.baselines import Baseline, fit
from groovae.music.drums import CLASS_NAMES

MIN_RECORDINGS = 5
HITS = ("hit_precision", "hit_recall", "hit_f1", "density_mae")
SPEAKS_FOR = {
    "hits": HITS,
    "timing": ("timing_mae_ms", "timing_mae_16ths", "timing_bias_ms"),
    "velocity": ("velocity_mae", "velocity_correlation"),
}


class ReferenceWindows(NamedTuple):
    """What is scored by.

    Attributes:
      reference: float32 [n, steps, 3 * drums].
      tempo_qpm: Of each, [n].
      recordings: A number for the recording that each is from, int [n].
    """

    reference: np.ndarray
    tempo_qpm: np.ndarray
    recordings: np.ndarray

    @property
    def has_intervals(self) -> bool:
        """Whether there are recordings enough to draw from; otherwise there are no intervals."""
        return len(np.unique(self.recordings)) >= MIN_RECORDINGS

    def score(self, estimate: np.ndarray, where: np.ndarray | None = None) -> "Scored":
        """Scores an estimate; see `metrics.tally`."""
        tallies = scores.tally(self.reference, estimate, self.tempo_qpm, where)
        draws = scores.bootstrap(tallies, self.recordings) if self.has_intervals else None
        return Scored(tallies, draws)


class Scored(NamedTuple):
    """An estimate by its tallies, and the bootstrap's draws, None where there are too few to draw.

    Those of the same windows belong together, draw by draw.
    """

    tallies: scores.Tallies
    draws: dict[str, np.ndarray] | None

    def told(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """`value`, `low` and `high` of each metric."""
        values = scores.scores(self.tallies)
        ends = dict.fromkeys(names, (math.nan, math.nan))
        if self.draws is not None:
            ends = {name: scores.interval(self.draws[name]) for name in names}
        return {n: {"value": values[n], "low": ends[n][0], "high": ends[n][1]} for n in names}

    def compare_to(self, other: "Scored", names: Sequence[str]) -> dict[str, dict[str, float]]:
        """The same with `worse`, the share of the draws in which this is worse than the other."""
        told = self.told(names)
        for name in names:
            told[name]["worse"] = math.nan
            if self.draws is not None and other.draws is not None:
                told[name]["worse"] = scores.share_worse(name, self.draws[name], other.draws[name])
        return told


def score_with_baselines(
    windows: ReferenceWindows, estimate: np.ndarray, train: np.ndarray, layout: Layout
) -> dict[str, Any]:
    """The scores of an estimate and of the baselines.

    Of a model for a task just that is scored which it had to find (see `windows.predicted_drums`):
    the hits, timing and velocity of the drum that it adds, or the timing and velocity of given
    hits.

    Args:
      windows: What to judge by.
      estimate: What the model makes of them, float32 [n, steps, 3 * drums].
      train: What the baselines are fitted on, float32 [m, steps, 3 * drums].
      layout: What the model gets to see, and so what the nearest training window is found by.

    Returns:
      `scores`, `baselines`, `by_drum` and `by_position`; see appraisal.py.
    """
    seen, train_seen = (to_inputs(all_of, layout) for all_of in (windows.reference, train))
    found = windows._replace(reference=mask_to_predicted(windows.reference, layout))
    estimate, train = mask_to_predicted(estimate, layout), mask_to_predicted(train, layout)
    drawn = predicted_drums(layout)
    told = [name for name in scores.METRICS if name not in HITS or drawn.any()]
    scored = found.score(estimate)
    drums = [name for name, own in zip(CLASS_NAMES, drawn, strict=True) if own or not drawn.any()]
    by_drum = scores.by_drum(scored.tallies)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a baseline may well play nothing
        beside = {
            baseline.name: _beside(baseline, estimate, scored, told, found)
            for baseline in fit(train, train_seen).estimates(found.reference, seen)
        }
    return {
        "scores": scored.told(told),
        "baselines": beside,
        "by_drum": {drum: _told(by_drum[drum], told) for drum in drums},
        "by_position": [_told(some, told) for some in scores.by_position(scored.tallies)],
    }


def _told(scores: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    """The scores of these names; NaN for hits where there were none, which is no feat."""
    nothing = scores["hit_f1"] == 1 and math.isnan(scores["velocity_mae"])
    return {name: math.nan if nothing and name in HITS else scores[name] for name in names}


def _beside(
    baseline: Baseline,
    estimate: np.ndarray,
    scored: Scored,
    told: Sequence[str],
    windows: ReferenceWindows,
) -> dict[str, Any]:
    """The scores of a baseline in what it speaks for, over all its hits and over the model's."""
    names = [n for of in baseline.speaks_for for n in SPEAKS_FOR[of] if n in told]
    hits, felt = ([n for n in names if (n in HITS) == are_hits] for are_hits in (True, False))
    everywhere = windows.score(baseline.estimate)
    all_hits, same_hits = everywhere.told(names) | everywhere.compare_to(scored, hits), {}
    if felt:
        model = windows.score(estimate, _hits(baseline.estimate))
        same_hits = windows.score(baseline.estimate, _hits(estimate)).compare_to(model, felt)
    return {"label": baseline.label, "all_hits": all_hits, "same_hits": same_hits}


def mask_to_predicted(windows: np.ndarray, layout: Layout) -> np.ndarray:
    """The windows with just the drums that the model has to play: all, or the one that it adds."""
    drums = predicted_drums(layout)
    return windows * np.tile(drums, 3) if drums.any() else windows


def _hits(windows: np.ndarray) -> np.ndarray:
    return np.split(windows, 3, axis=-1)[0] > 0.5
