"""What a metric must beat to mean anything: guesses that need no model. Pure NumPy.

Windows are [n, steps, 3 * drums] as in grid.py. All that a baseline knows is fitted on training
windows:

    for baseline in fit(train).estimates(reference):
        tally(reference, baseline.estimate, tempo_qpm)     # of metrics.py

Those that speak for timing or velocity have the reference's own hits, and say only how these are
played:

    on_grid      exactly on the grid, with the mean velocity; speaks for timing only
    mean         with the mean offset and the mean velocity of all hits
    bar_mean     with those of their drum and 16th of the bar
    window_mean  with those of their drum and step of the window
    bar_median   with the medians of their drum and 16th of the bar: what has the smallest mean
                 absolute error

A drum that is nowhere hit there has the mean (median) of all hits. Those that speak for hits play
them with the mean offset and velocity:

    most_common  the pattern of hits that most training windows have
    frequency    each drum in every 16th of the bar where more than a certain share of the training
                 bars have it; the share that has the highest F1 on the training windows

And the last speaks for all three, for timing and velocity where it has the reference's hits:

    nearest      the training window with the highest F1 of its hits; for a model that does not
                 get to see all of a window, of the hits that it sees

A number that is none (NaN or infinite) is no hit, and as a velocity or an offset it is left out.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from groovae.metrics.features import STEPS_PER_BAR, Parts, nearest, parts

THRESHOLDS = np.arange(1, 100) / 100
ALL = ("hits", "timing", "velocity")


class Baseline(NamedTuple):
    """A guess at each window of a reference.

    Attributes:
      name: As the module lists them.
      label: For people.
      speaks_for: Of "hits", "timing" and "velocity" what it is a guess at.
      estimate: Windows like the reference's.
    """

    name: str
    label: str
    speaks_for: tuple[str, ...]
    estimate: np.ndarray


class Feel(NamedTuple):
    """How hits are played: velocities and offsets that can be broadcast to [n, steps, drums]."""

    velocities: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, eq=False)
class Baselines:
    """What `fit` found in training windows.

    Attributes:
      train: The windows themselves.
      train_seen: What a model gets to see of them.
      mean: Of all hits, [1, 1].
      bar_mean: By drum and 16th of the bar, like `bar_median` repeated to [steps, drums].
      window_mean: By drum and step, [steps, drums].
      bar_median: Like `bar_mean`.
      most_common: The pattern, bool [steps, drums].
      most_common_count: In how many windows it is.
      threshold: The share of bars over which `frequency` has a hit.
      frequency: bool [steps, drums].
    """

    train: np.ndarray
    train_seen: np.ndarray
    mean: Feel
    bar_mean: Feel
    window_mean: Feel
    bar_median: Feel
    most_common: np.ndarray
    most_common_count: int
    threshold: float
    frequency: np.ndarray

    def estimates(self, reference: np.ndarray, seen: np.ndarray | None = None) -> list[Baseline]:
        """What each baseline makes of each window.

        Args:
          reference: [n, steps, 3 * drums], steps and drums those of the training windows.
          seen: What a model gets to see of it; all of it where it is None.

        Raises:
          ValueError: its shape is another.
        """
        if np.shape(reference)[1:] != self.train.shape[1:]:
            raise ValueError(f"shapes differ: {np.shape(reference)} and {self.train.shape}")
        hits, felt = parts(reference).hits, ("timing", "velocity")
        on_grid = Feel(self.mean.velocities, np.zeros((1, 1)))
        return [
            Baseline("on_grid", "on the grid", ("timing",), _play(hits, on_grid)),
            Baseline("mean", "mean", felt, _play(hits, self.mean)),
            Baseline("bar_mean", "mean by drum and 16th", felt, _play(hits, self.bar_mean)),
            Baseline("window_mean", "mean by drum and step", felt, _play(hits, self.window_mean)),
            Baseline("bar_median", "median by drum and 16th", felt, _play(hits, self.bar_median)),
            self._same_for_all("most_common", "most common pattern", hits),
            self._same_for_all("frequency", "frequent hits", hits),
            Baseline(
                "nearest",
                "nearest training window",
                ALL,
                self._nearest(reference if seen is None else seen),
            ),
        ]

    def _same_for_all(self, name: str, label: str, hits: np.ndarray) -> Baseline:
        pattern = np.broadcast_to(getattr(self, name), hits.shape)
        return Baseline(name, label, ("hits",), _play(pattern, self.mean))

    def _nearest(self, seen: np.ndarray) -> np.ndarray:
        return self.train[nearest(seen, self.train_seen)[0]].astype(np.float32)


def fit(train: np.ndarray, train_seen: np.ndarray | None = None) -> Baselines:
    """Fits all baselines, and warns where there is not a single hit to fit them on.

    Args:
      train: [n, steps, 3 * drums], at least one window; it is kept, not copied.
      train_seen: What a model gets to see of it; all of it where it is None.

    Raises:
      ValueError: the shape is another, or there is no window.
    """
    played = parts(train)
    if not len(train):
        raise ValueError("there is no window to fit baselines on")
    if not played.hits.any():
        warnings.warn("the training windows have no hits: baselines are silent", stacklevel=2)
    steps, num_drums = played.hits.shape[1:]
    bars = _cut(played, STEPS_PER_BAR, num_drums)
    num_bars = steps // STEPS_PER_BAR
    pattern, count = _most_common(played.hits)
    threshold, frequency = _frequency(bars.hits)
    return Baselines(
        train=train,
        train_seen=train if train_seen is None else train_seen,
        mean=_feel(_cut(played, 1, 1), _means),
        bar_mean=_repeat(_feel(bars, _means), num_bars),
        window_mean=_feel(played, _means),
        bar_median=_repeat(_feel(bars, _medians), num_bars),
        most_common=pattern,
        most_common_count=count,
        threshold=threshold,
        frequency=np.tile(frequency, (num_bars, 1)),
    )


def _play(hits: np.ndarray, feel: Feel) -> np.ndarray:
    """Windows of these hits, float32; velocity and offset are 0 where there is none."""
    felt = [np.where(hits, values, 0) for values in feel]
    return np.concatenate([hits, *felt], axis=-1, dtype=np.float32)


def _cut(played: Parts, steps: int, num_drums: int) -> Parts:
    """The same steps and drums as shorter windows."""
    return Parts(*(part.reshape(-1, steps, num_drums) for part in played))


def _repeat(feel: Feel, num_bars: int) -> Feel:
    return Feel(*(np.tile(values, (num_bars, 1)) for values in feel))


def _feel(played: Parts, average: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Feel:
    """The average velocities and offsets of the hits, [steps, drums]."""
    both = (played.velocities, played.offsets)
    return Feel(*(average(values, played.hits & np.isfinite(values)) for values in both))


def _means(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Over the windows; where there is nothing the mean of all, and 0 if that is nothing too."""
    sums = np.where(where, values, 0).sum(axis=0, dtype=np.float64)
    counts = where.sum(axis=0)
    overall = sums.sum() / max(counts.sum(), 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), overall)


def _medians(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """As `_means`, of medians."""
    overall = np.median(values[where]) if where.any() else 0.0
    found = np.full(values.shape[1:], overall, np.float64)
    for step, drum in zip(*np.nonzero(where.any(axis=0)), strict=True):
        found[step, drum] = np.median(values[where[:, step, drum], step, drum])
    return found


def _most_common(hits: np.ndarray) -> tuple[np.ndarray, int]:
    """The pattern that most windows have, and how many do; of equals the first when sorted."""
    packed = np.packbits(hits.reshape(len(hits), -1), axis=1)
    _, index, counts = np.unique(packed, axis=0, return_index=True, return_counts=True)
    return hits[index[counts.argmax()]], int(counts.max())


def _frequency(bars: np.ndarray) -> tuple[float, np.ndarray]:
    """The best of THRESHOLDS, of equals the highest, and the cells over it.

    F1 follows from how often each cell is hit.
    """
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
