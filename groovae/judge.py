"""Estimates of windows scored beside baselines, with intervals over the recordings: pure NumPy.

Timing and velocity of a baseline are told twice: over all its hits, and over just those that the
model found too, on which alone the two can be compared.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from groovae import metrics
from groovae.baselines import Baseline, fit
from groovae.drums import CLASS_NAMES
from groovae.grid import Layout
from groovae.windows import drawn_drums, to_inputs

MIN_RECORDINGS = 5
HITS = ("hit_precision", "hit_recall", "hit_f1", "density_mae")
SPEAKS_FOR = {
    "hits": HITS,
    "timing": ("timing_mae_ms", "timing_mae_16ths", "timing_bias_ms"),
    "velocity": ("velocity_mae", "velocity_correlation"),
}


class Windows(NamedTuple):
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
    def tell_apart(self) -> bool:
        """Whether there are recordings enough to draw from; otherwise there are no intervals."""
        return len(np.unique(self.recordings)) >= MIN_RECORDINGS

    def scores(
        self, estimate: np.ndarray, names: Sequence[str], where: np.ndarray | None = None
    ) -> dict[str, dict[str, float]]:
        """`value`, `low` and `high` of each metric; see `metrics.tally`."""
        values = metrics.scores(self._tally(estimate, where))
        ends = dict.fromkeys(names, (math.nan, math.nan))
        if self.tell_apart:
            draws = self._draws(estimate, where)
            ends = {name: metrics.interval(draws[name]) for name in names}
        return {n: {"value": values[n], "low": ends[n][0], "high": ends[n][1]} for n in names}

    def worse(
        self,
        estimate: np.ndarray,
        than: np.ndarray,
        names: Sequence[str],
        where: np.ndarray | None = None,
    ) -> dict[str, float]:
        """In what share of the bootstrap's draws an estimate is worse than another one."""
        if not self.tell_apart:
            return dict.fromkeys(names, math.nan)
        ours, theirs = self._draws(estimate, where), self._draws(than, where)
        return {n: metrics.share_worse(n, ours[n], theirs[n]) for n in names}

    def _draws(self, estimate: np.ndarray, where: np.ndarray | None) -> dict[str, np.ndarray]:
        return metrics.bootstrap(self._tally(estimate, where), self.recordings)

    def _tally(self, estimate: np.ndarray, where: np.ndarray | None) -> metrics.Tallies:
        return metrics.tally(self.reference, estimate, self.tempo_qpm, where)


def judged(
    windows: Windows, estimate: np.ndarray, train: np.ndarray, layout: Layout
) -> dict[str, Any]:
    """The scores of an estimate and of the baselines.

    Of a model for a task just that is scored which it had to find (see `windows.drawn_drums`): the
    hits, timing and velocity of the drum that it adds, or the timing and velocity of given hits.

    Args:
      windows: What to judge by.
      estimate: What the model makes of them, float32 [n, steps, 3 * drums].
      train: What the baselines are fitted on, float32 [m, steps, 3 * drums].
      layout: What the model gets to see, and so what the nearest training window is found by.

    Returns:
      `scores`, `baselines`, `by_drum` and `by_position`; see appraisal.py.
    """
    seen, train_seen = (to_inputs(all_of, layout) for all_of in (windows.reference, train))
    found = windows._replace(reference=to_find(windows.reference, layout))
    estimate, train = to_find(estimate, layout), to_find(train, layout)
    drawn = drawn_drums(layout)
    told = [name for name in metrics.METRICS if name not in HITS or drawn.any()]
    tallies = metrics.tally(found.reference, estimate, windows.tempo_qpm)
    drums = [name for name, own in zip(CLASS_NAMES, drawn, strict=True) if own or not drawn.any()]
    by_drum = metrics.by_drum(tallies)
    scores = found.scores(estimate, told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a baseline may well play nothing
        beside = {
            baseline.name: _beside(baseline, estimate, told, found)
            for baseline in fit(train, train_seen).estimates(found.reference, seen)
        }
    return {
        "scores": scores,
        "baselines": beside,
        "by_drum": {drum: _told(by_drum[drum], told) for drum in drums},
        "by_position": [_told(some, told) for some in metrics.by_position(tallies)],
    }


def _told(scores: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    """The scores of these names; NaN for hits where there were none, which is no feat."""
    nothing = scores["hit_f1"] == 1 and math.isnan(scores["velocity_mae"])
    return {name: math.nan if nothing and name in HITS else scores[name] for name in names}


def _beside(
    baseline: Baseline, estimate: np.ndarray, told: Sequence[str], windows: Windows
) -> dict[str, Any]:
    """The scores of a baseline in what it speaks for, over all its hits and over the model's."""
    names = [n for of in baseline.speaks_for for n in SPEAKS_FOR[of] if n in told]
    hits, felt = ([n for n in names if (n in HITS) == are_hits] for are_hits in (True, False))
    heard, guessed = _hits(estimate), _hits(baseline.estimate)
    all_hits, same_hits = windows.scores(baseline.estimate, names), {}
    for name, worse in windows.worse(baseline.estimate, estimate, hits).items():
        all_hits[name]["worse"] = worse
    if felt:
        same_hits = windows.scores(baseline.estimate, felt, heard)
        both = heard & guessed
        for name, worse in windows.worse(baseline.estimate, estimate, felt, both).items():
            same_hits[name]["worse"] = worse
    return {"label": baseline.label, "all_hits": all_hits, "same_hits": same_hits}


def to_find(windows: np.ndarray, layout: Layout) -> np.ndarray:
    """The windows with just the drums that the model has to play: all, or the one that it adds."""
    drums = drawn_drums(layout)
    return windows * np.tile(drums, 3) if drums.any() else windows


def _hits(windows: np.ndarray) -> np.ndarray:
    return np.split(windows, 3, axis=-1)[0] > 0.5
