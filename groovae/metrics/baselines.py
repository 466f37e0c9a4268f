"""Baselines: predictions without a model, which a metric must beat to mean anything. Pure NumPy.

Windows are [n, steps, 3 * drums] as in data/grid.py. Baselines are fitted on training windows:

    for baseline in fit(train).predict(reference):
        tally(reference, baseline.estimate, tempo_qpm)     # of scores.py

Baselines of timing and velocity have the hits of the reference:

    on_grid      on the grid, with the mean velocity; a baseline of timing only
    mean         with the mean offset and velocity of all hits
    bar_mean     with the means of the drum at the 16th of the bar
    window_mean  with the means of the drum at the step of the window
    bar_median   with the medians of the drum at the 16th of the bar, which minimise the mean
                 absolute error
    ridge        with a ridge regression on the score (see score_regression.py)
    feel         with the velocities and offsets of the nearest training window (see `copy_feel`)

A drum without hits at a place has the mean (median) of all hits. Baselines of hits have the mean
offset and velocity:

    most_common  the most common pattern of hits of the training windows
    frequency    each drum at each 16th of the bar at which more than a certain share of the
                 training bars have it, the share with the highest F1 on the training windows

A baseline of all three:

    nearest      the training window with the highest F1 of the hits, or of those hits that the
                 model's encoder receives

Non-finite values are not hits, and are left out of means and medians of velocities and offsets.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from groovae.metrics import score_regression
from groovae.metrics.features import Meter, Parts, nearest, parts, split, steps_per_bar
from groovae.metrics.score_regression import ScoreRegression

PERFORMED = ("timing", "velocity")  # aspects of given hits
THRESHOLDS = np.arange(1, 100) / 100
LABELS = {
    "on_grid": "on the grid",
    "mean": "mean",
    "bar_mean": "mean by drum and 16th",
    "window_mean": "mean by drum and step",
    "bar_median": "median by drum and 16th",
    "ridge": "ridge regression on the score",
    "feel": "feel of the nearest window",
    "most_common": "most common pattern",
    "frequency": "frequent hits",
    "nearest": "nearest training window",
}


class Baseline(NamedTuple):
    """The predictions of one baseline.

    Attributes:
      name: Key of LABELS.
      aspects: What it predicts, of "hits", "timing" and "velocity".
      estimate: Windows of the shape of the reference, float32.
    """

    name: str
    aspects: tuple[str, ...]
    estimate: np.ndarray


class Performance(NamedTuple):
    """Velocities and offsets of hits, which broadcast to [n, steps, drums]."""

    velocities: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, eq=False)
class Baselines:
    """Baselines fitted on training windows.

    Attributes:
      train: The windows.
      train_inputs: What a model receives of them.
      performances: By name, for the hits of the reference.
      regression: Of velocities and offsets on the score.
      patterns: By name, bool [steps, drums].
      most_common_count: How many windows have the most common pattern.
      threshold: The share of bars above which `frequency` has a hit.
      meter: Of the windows.
    """

    train: np.ndarray
    train_inputs: np.ndarray
    performances: dict[str, Performance]
    regression: ScoreRegression
    patterns: dict[str, np.ndarray]
    most_common_count: int
    threshold: float
    meter: Meter = (4, 4)

    def predict(self, reference: np.ndarray, inputs: np.ndarray | None = None) -> list[Baseline]:
        """Return the predictions of all baselines.

        Args:
          reference: [n, steps, 3 * drums], with the steps and drums of the training windows.
          inputs: What a model receives of them, by default all.

        Raises:
          ValueError: the shape is another one.
        """
        if np.shape(reference)[1:] != self.train.shape[1:]:
            raise ValueError(f"shapes differ: {np.shape(reference)} and {self.train.shape}")
        hits = parts(reference, self.meter).hits
        found = [
            Baseline(name, PERFORMED[:1] if name == "on_grid" else PERFORMED, _play(hits, how))
            for name, how in self.performances.items()
        ]
        inputs = reference if inputs is None else inputs
        regressed = self.regression.predict(hits, hits | parts(inputs, self.meter).hits)
        found.append(Baseline("ridge", PERFORMED, _play(hits, Performance(*regressed))))
        index, _ = nearest(inputs, self.train_inputs, self.meter)
        copied = self.train[index].astype(np.float32)
        found.append(Baseline("feel", PERFORMED, copy_feel(copied, hits)))
        for name, pattern in self.patterns.items():
            played = _play(np.broadcast_to(pattern, hits.shape), self.performances["mean"])
            found.append(Baseline(name, ("hits",), played))
        return [*found, Baseline("nearest", ("hits", *PERFORMED), copied)]


def fit(
    train: np.ndarray, train_inputs: np.ndarray | None = None, meter: Meter = (4, 4)
) -> Baselines:
    """Fit all baselines, and warn if there are no hits to fit them on.

    Args:
      train: [n, steps, 3 * drums], at least one window; kept without a copy.
      train_inputs: What a model receives of them, by default all.
      meter: Of the windows.

    Raises:
      ValueError: the shape is wrong, or there is no window.
    """
    played, bar_steps = parts(train, meter), steps_per_bar(meter)
    if not len(train):
        raise ValueError("there are no windows to fit baselines on")
    if not played.hits.any():
        warnings.warn("the training windows have no hits: baselines are silent", stacklevel=2)
    steps, num_drums = played.hits.shape[1:]
    bars, num_bars = _cut(played, bar_steps, num_drums), steps // bar_steps
    mean = _average(_cut(played, 1, 1))
    train_inputs = train if train_inputs is None else train_inputs
    score = played.hits | parts(train_inputs, meter).hits
    performances = {
        "on_grid": Performance(mean.velocities, np.zeros((1, 1))),
        "mean": mean,
        "bar_mean": _repeat(_average(bars), num_bars),
        "window_mean": _average(played),
        "bar_median": _repeat(_average(bars, np.nanmedian), num_bars),
    }
    pattern, count = _most_common(played.hits)
    threshold, frequent = _frequent(bars.hits)
    return Baselines(
        train=train,
        train_inputs=train_inputs,
        performances=performances,
        regression=score_regression.fit(played.hits, score, *played[1:]),
        patterns={"most_common": pattern, "frequency": np.tile(frequent, (num_bars, 1))},
        most_common_count=count,
        threshold=threshold,
        meter=meter,
    )


def copy_feel(donors: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Return float32 windows of these hits with the velocities and offsets of donor windows.

    A hit has those of the donor's hit at the same step and drum, or else the mean of the donor's
    hits at the step, of all its hits, or 0.

    Args:
      donors: [n, steps, 3 * drums].
      hits: bool [n, steps, drums].
    """
    donor, found = split(np.asarray(donors, np.float64)), []
    for values in (donor.velocities, donor.offsets):
        known = filled = np.where(donor.hits & np.isfinite(values), values, np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on steps and windows without hits
            for axes in (2, (1, 2)):
                means = np.nanmean(known, axes, keepdims=True)
                filled = np.where(np.isnan(filled), means, filled)
        found.append(np.nan_to_num(filled))
    return _play(hits, Performance(*found))


def _play(hits: np.ndarray, performance: Performance) -> np.ndarray:
    """Return float32 windows of these hits; velocities and offsets are 0 elsewhere."""
    played = [np.where(hits, values, 0) for values in performance]
    return np.concatenate([hits, *played], axis=-1, dtype=np.float32)


def _cut(played: Parts, steps: int, num_drums: int) -> Parts:
    """Cut windows into shorter ones."""
    return Parts(*(part.reshape(-1, steps, num_drums) for part in played))


def _repeat(performance: Performance, num_bars: int) -> Performance:
    return Performance(*(np.tile(values, (num_bars, 1)) for values in performance))


def _average(played: Parts, average: Callable[..., Any] = np.nanmean) -> Performance:
    """Average the velocities and offsets of the hits over the windows, to [steps, drums].

    A cell without hits has the average of all hits, or 0 if there are none.
    """
    found = []
    for values in (played.velocities, played.offsets):
        known = np.where(played.hits & np.isfinite(values), values.astype(np.float64), np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on cells without hits
            cells, overall = average(known, axis=0), average(known)
        found.append(np.nan_to_num(np.where(np.isnan(cells), overall, cells)))
    return Performance(*found)


def _most_common(hits: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the most common pattern and its count; of equally common ones the first in order."""
    packed = np.packbits(hits.reshape(len(hits), -1), axis=1)
    _, index, counts = np.unique(packed, axis=0, return_index=True, return_counts=True)
    return hits[index[counts.argmax()]], int(counts.max())


def _frequent(bars: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the best of THRESHOLDS, the highest of equal ones, and the cells above it."""
    counts = bars.sum(axis=0)
    patterns = [counts > threshold * len(bars) for threshold in THRESHOLDS]
    f1 = np.array(
        [
            2 * counts[pattern].sum() / max(pattern.sum() * len(bars) + counts.sum(), 1)
            for pattern in patterns
        ]
    )
    best = int(np.flatnonzero(f1 == np.max(f1))[-1])
    return float(THRESHOLDS[best]), patterns[best]
