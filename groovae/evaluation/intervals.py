"""Scores of a model and of baselines with 95 % intervals, a bootstrap over recordings: pure NumPy.

Timing and velocity of a baseline are scored over all hits of the reference (`all_hits`), and over
those that the model has too (`same_hits`), on which the two can be compared.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from groovae.config.layout import Layout
from groovae.data.windows import predicted_drums, to_inputs
from groovae.metrics import distributions, scores
from groovae.metrics.baselines import LABELS, Baseline, fit
from groovae.metrics.features import Meter, split
from groovae.metrics.scores import METRICS

MIN_RECORDINGS = 5
HITS = [name for name, metric in METRICS.items() if metric.aspect == "hits"]


class ReferenceWindows(NamedTuple):
    """Reference windows for scoring.

    Attributes:
      reference: float32 [n, steps, 3 * drums].
      tempo_qpm: Of each window, [n].
      recordings: Number of the recording of each window, int [n].
      meter: Numerator and denominator, of all windows.
    """

    reference: np.ndarray
    tempo_qpm: np.ndarray
    recordings: np.ndarray
    meter: Meter = (4, 4)

    @property
    def has_intervals(self) -> bool:
        """Whether there are enough recordings to resample."""
        return len(np.unique(self.recordings)) >= MIN_RECORDINGS

    def score(self, estimate: np.ndarray, where: np.ndarray | None = None) -> "Scored":
        """Score an estimate; see `metrics.scores.tally`."""
        tallies = scores.tally(self.reference, estimate, self.tempo_qpm, where, self.meter)
        draws = scores.bootstrap(tallies, self.recordings) if self.has_intervals else None
        return Scored(tallies, draws)


class Scored(NamedTuple):
    """The tallies of an estimate and the draws of its bootstrap, None without intervals.

    Draws for the same windows have the same recordings, one by one.
    """

    tallies: scores.Tallies
    draws: dict[str, np.ndarray] | None

    def with_intervals(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return `value`, `low` and `high` of these metrics."""
        values = scores.summarize(self.tallies)
        found = {}
        for name in names:
            ends = scores.interval(self.draws[name]) if self.draws else (math.nan, math.nan)
            found[name] = {"value": values[name], "low": ends[0], "high": ends[1]}
        return found

    def compare_to(self, other: "Scored", names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Add `worse`, the share of draws in which this estimate is worse than the other."""
        found = self.with_intervals(names)
        for name in names:
            found[name]["worse"] = math.nan
            if self.draws and other.draws:
                found[name]["worse"] = scores.share_worse(name, self.draws[name], other.draws[name])
        return found


def score_with_baselines(
    windows: ReferenceWindows, estimate: np.ndarray, train: np.ndarray, layout: Layout
) -> dict[str, Any]:
    """Score the predictions of a model and of the baselines.

    A model for a task is scored on what it predicts (see `windows.predicted_drums`): on the drum
    that it adds, or on the timing and velocity of given hits.

    Args:
      windows: Reference windows.
      estimate: Predictions of the model, float32 [n, steps, 3 * drums].
      train: Windows to fit the baselines on, float32 [m, steps, 3 * drums].
      layout: Defines the encoder's input, by which the nearest training window is found.

    Returns:
      `scores`, `baselines`, `distributions`, `by_drum` and `by_position`, as in `Study.results`.
    """
    inputs, train_inputs = (to_inputs(each, layout) for each in (windows.reference, train))
    windows = windows._replace(reference=mask_to_predicted(windows.reference, layout))
    estimate, train = mask_to_predicted(estimate, layout), mask_to_predicted(train, layout)
    predicted = predicted_drums(layout)
    names = [name for name in METRICS if name not in HITS or predicted.any()]
    scored = windows.score(estimate)
    by_drum = scores.by_drum(scored.tallies)
    drums = [
        name
        for name, is_predicted in zip(by_drum, predicted, strict=True)
        if is_predicted or not predicted.any()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a baseline may be silent
        fitted = fit(train, train_inputs, windows.meter)
        predicted_by = fitted.predict(windows.reference, inputs)
        baselines = {
            baseline.name: _score_baseline(baseline, estimate, scored, names, windows)
            for baseline in predicted_by
        }
    return {
        "scores": scored.with_intervals(names),
        "baselines": baselines,
        "distributions": _compare_distributions(windows, estimate, predicted_by),
        "by_drum": {drum: _select(by_drum[drum], names) for drum in drums},
        "by_position": [_select(each, names) for each in scores.by_position(scored.tallies)],
    }


def mask_to_predicted(windows: np.ndarray, layout: Layout) -> np.ndarray:
    """Return the windows with only the drums that the model predicts, or with all if it has none.

    A model that is given all hits predicts no drum, but the timing and velocity of all.
    """
    drums = predicted_drums(layout)
    return windows * np.tile(drums, 3) if drums.any() else windows


def _compare_distributions(
    windows: ReferenceWindows, estimate: np.ndarray, baselines: Sequence[Baseline]
) -> dict[str, dict[str, float]]:
    """Return the distributions of the drummers, of the model, and of baselines that perform."""
    sets = {"drummers": windows.reference, "model": estimate}
    sets |= {each.name: each.estimate for each in baselines if "velocity" in each.aspects}
    return {
        name: distributions.compare(windows.reference, played, windows.tempo_qpm)
        for name, played in sets.items()
    }


def _select(values: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    """Return the scores of these names, with NaN for a perfect score of no hits at all."""
    is_silent = values["hit_f1"] == 1 and math.isnan(values["velocity_mae"])
    return {name: math.nan if is_silent and name in HITS else values[name] for name in names}


def _score_baseline(
    baseline: Baseline,
    estimate: np.ndarray,
    scored: Scored,
    names: Sequence[str],
    windows: ReferenceWindows,
) -> dict[str, Any]:
    """Score a baseline in its aspects, over all hits and over those of the model."""
    own = [name for name in names if METRICS[name].aspect in baseline.aspects]
    hits, performance = ([n for n in own if (n in HITS) == are_hits] for are_hits in (True, False))
    everywhere = windows.score(baseline.estimate)
    same_hits = {}
    if performance:
        model = windows.score(estimate, split(baseline.estimate).hits)
        shared = windows.score(baseline.estimate, split(estimate).hits)
        same_hits = shared.compare_to(model, performance)
    return {
        "label": LABELS[baseline.name],
        "all_hits": everywhere.compare_to(scored, hits) | everywhere.with_intervals(performance),
        "same_hits": same_hits,
    }
