"""Scores of grooves against reference grooves: pure NumPy, in the manner of mir_eval.

Conventions
-----------

A window is an array [steps, 3 * drums] of hits (0 or 1), velocities (0 to 1) and offsets (in half
steps ahead of the grid), as in data/grid.py. Functions take sets of windows [n, steps, 3 * drums],
first the reference, then the estimate, the tempo of all or of each, and the meter, 4/4 by default,
whose bars have 16 steps.

A value over 0.5 is a hit. Hits match if they have the same window, step and drum; timing and
velocity are compared for matching hits. Non-finite values are not hits, and a hit whose velocity or
offset is non-finite is left out of that mean. All hits count alike (micro-averaging). Without data
a score is still defined, and `validate` warns: hits score 1 if both sets are empty and 0 if one
is; timing and velocity are NaN without a matching hit, the correlation with fewer than two or if
either side is constant, and the density error without a window.

`tally` counts hits and sums errors; all scores follow from sums of its counts over any windows,
drums and positions in the bar. Kicks on beats 1, 2 and 3, of which the last is estimated late:

>>> reference = np.zeros((1, 16, 3))
>>> reference[0, [0, 4, 8], :2] = [[1, 0.5], [1, 0.6], [1, 0.7]]
>>> estimate = reference.copy()
>>> estimate[0, [8, 9]] = estimate[0, [9, 8]]
>>> round(summarize(tally(reference, estimate, tempo_qpm=120))["hit_f1"], 3)
0.667

To add a metric, see docs/add-a-metric.md.

Sources
-------

Precision, recall and F-measure: `mir_eval.onset` (Raffel et al., "mir_eval: a transparent
implementation of common MIR metrics", ISMIR 2014), with grid cells instead of a window of 50 ms,
and 1 instead of 0 for two empty sets. Timing error in ms: Gillick et al., "Learning to groove with
inverse sequence transformations", ICML 2019; likewise the squared error in 16ths.
Percentile intervals of a bootstrap over recordings: Efron and Tibshirani, "An introduction to the
bootstrap", 1993, chapters 8 and 13.
"""

import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from groovae.metrics import features
from groovae.metrics.features import MAX_VELOCITY, Meter, check_shape, split, steps_per_bar
from groovae.music.drums import class_names

MIN_VARIANCE = 1e-12  # as a share of the mean square; less is rounding

Tallies = dict[str, np.ndarray]
Sums = dict[str, Any]  # of tallies: numbers, or arrays of equal shape


class Metric(NamedTuple):
    """A score of `summarize`.

    Attributes:
      label: Its name in tables and charts.
      unit: Its unit, or empty.
      better: Which values are better; "zero" means those near 0.
      aspect: What it measures.
    """

    label: str
    unit: str
    better: Literal["higher", "lower", "zero"]
    aspect: Literal["hits", "timing", "velocity"]


METRICS = {
    "hit_precision": Metric("hit precision", "", "higher", "hits"),
    "hit_recall": Metric("hit recall", "", "higher", "hits"),
    "hit_f1": Metric("hit F1", "", "higher", "hits"),
    "timing_mae_ms": Metric("timing error", "ms", "lower", "timing"),
    "timing_mae_16ths": Metric("timing error", "16ths", "lower", "timing"),
    "timing_mse_16ths": Metric("squared timing error", "16ths", "lower", "timing"),
    "timing_bias_ms": Metric("timing bias", "ms late", "zero", "timing"),
    "velocity_mae": Metric("velocity error", "of 127", "lower", "velocity"),
    "velocity_correlation": Metric("velocity correlation", "", "higher", "velocity"),
    "density_mae": Metric("density error", "hits a bar", "lower", "hits"),
}


def validate(
    reference: np.ndarray,
    estimate: np.ndarray,
    tempo_qpm: float | np.ndarray,
    where: np.ndarray | None = None,
    meter: Meter = (4, 4),
) -> None:
    """Check the arguments of `tally`, and warn if scores will be degenerate.

    Raises:
      ValueError: a shape is wrong, or a tempo is not positive and finite.
    """
    if reference.shape != estimate.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {estimate.shape}")
    check_shape(reference, 0, meter)
    n, steps, depth = reference.shape
    if where is not None and (where.dtype != bool or where.shape != (n, steps, depth // 3)):
        raise ValueError(f"where must be bool {(n, steps, depth // 3)}, got {where.shape}")
    tempo = np.asarray(tempo_qpm, np.float64)
    if tempo.shape not in ((), (n,)):
        raise ValueError(f"the tempo must be a number or one for each of {n}, got {tempo.shape}")
    impossible = tempo[~((tempo > 0) & np.isfinite(tempo))]
    if impossible.size:
        raise ValueError(f"a tempo must be positive and finite, got {impossible[0]}")
    for reason in _degeneracies(reference, estimate, where):
        warnings.warn(reason, stacklevel=2)


def tally(
    reference: np.ndarray,
    estimate: np.ndarray,
    tempo_qpm: float | np.ndarray,
    where: np.ndarray | None = None,
    meter: Meter = (4, 4),
) -> Tallies:
    """Count hits and sum errors by window, position in the bar and drum.

    Args:
      reference: [n, steps, 3 * drums], whole bars, 1 to 32 drums.
      estimate: Of the same shape.
      tempo_qpm: Quarter notes per minute, of all windows or of each, [n].
      where: bool [n, steps, drums], the cells in which timing and velocity are compared, or None
        for all; hits are compared everywhere.
      meter: Of all windows.

    Returns:
      float64 arrays [n, steps_per_bar, drums]: the counts `reference_hits`, `estimate_hits` and
      `matches`; `density`, the additional hits per bar of the estimate; `timed_hits`, the matching
      hits with finite offsets, and over these the sums of the absolute errors `timing_ms` and
      `timing_16ths`, of the squared error `timing_squares` in 16ths, and of `lateness_ms` (positive
      if the estimate is late); `velocity_hits`, those
      with finite velocities, and over these the sums of the absolute error `velocity` and of the
      moments `x`, `y`, `xx`, `yy` and `xy` of reference (x) and estimate (y).

    Raises:
      ValueError: see `validate`.
    """
    validate(reference, estimate, tempo_qpm, where, meter)
    ours, theirs = (split(np.asarray(each, np.float64)) for each in (estimate, reference))
    matches = ours.hits & theirs.hits
    compared = matches & (True if where is None else where)
    sixteenth_ms = 60_000 / np.asarray(tempo_qpm, np.float64).reshape(-1, 1, 1) / 4
    bars = max(reference.shape[1] // steps_per_bar(meter), 1)
    cells = {
        "reference_hits": theirs.hits,
        "estimate_hits": ours.hits,
        "matches": matches,
        "density": (ours.hits.astype(np.float64) - theirs.hits) / bars,
        **_timing(theirs.offsets, ours.offsets, compared, sixteenth_ms),
        **_velocities(theirs.velocities, ours.velocities, compared),
    }
    return {name: _by_position(cell, meter) for name, cell in cells.items()}


def join(tallies: Tallies) -> Tallies:
    """Return the tallies of consecutive windows as those of one long window.

    A groove whose tempo changes can so be scored as a whole, with each bar at its tempo.
    """
    joined = {name: cells.sum(axis=0, keepdims=True) for name, cells in tallies.items()}
    return {**joined, "density": joined["density"] / max(len(tallies["density"]), 1)}


def summarize(tallies: Tallies) -> dict[str, float]:
    """Return the scores of tallies, or of any part of them, by the keys of METRICS."""
    sums = {name: total.sum() for name, total in _window_sums(tallies).items()}
    return {name: float(score) for name, score in _scores(sums).items()}


def by_window(tallies: Tallies) -> list[dict[str, float]]:
    """Return the scores of each window."""
    return _scores_along(0, tallies)


def by_position(tallies: Tallies) -> list[dict[str, float]]:
    """Return the scores of each 16th of the bar."""
    return _scores_along(1, tallies)


def by_drum(tallies: Tallies) -> dict[str, dict[str, float]]:
    """Return the scores of each drum class by its name."""
    return dict(
        zip(class_names(tallies["matches"].shape[2]), _scores_along(2, tallies), strict=True)
    )


def evaluate(
    reference: np.ndarray,
    estimate: np.ndarray,
    tempo_qpm: float | np.ndarray,
    meter: Meter = (4, 4),
) -> dict[str, Any]:
    """Return all scores of an estimate, and those `by_drum` and `by_position`; see `tally`.

    Raises:
      ValueError: see `validate`.
    """
    tallies = tally(reference, estimate, tempo_qpm, meter=meter)
    parts = {"by_drum": by_drum(tallies), "by_position": by_position(tallies)}
    return {**summarize(tallies), **parts}


def compare(
    samples: np.ndarray,
    data: np.ndarray,
    train: np.ndarray | None = None,
    meter: Meter = (4, 4),
) -> dict[str, Any]:
    """Compare two sets of unpaired windows; see features.py.

    Args:
      samples: [n, steps, 3 * drums].
      data: [m, steps, 3 * drums], windows that the samples should resemble.
      train: [k, steps, 3 * drums], windows that they should not copy, or None.
      meter: Of all windows.

    Returns:
      `features`, see `compare_sets`; `copies`, the share of the samples that are near copies of a
      window of `train`, None without it; and the `diversity` of the samples.

    Raises:
      ValueError: the shapes do not fit.
    """
    return {
        "features": features.compare_sets(samples, data, meter),
        "copies": None if train is None else features.copies(samples, train, meter=meter),
        "diversity": features.diversity(samples, meter),
    }


def bootstrap(
    tallies: Tallies, groups: np.ndarray, num: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return scores of random resamples of the groups, drawn with replacement.

    Windows of one recording resemble each other, so recordings are drawn as wholes. With the same
    groups and seed the draws are the same, so that two estimates can be compared draw by draw.

    Args:
      tallies: Of `tally`.
      groups: int [n], the recording of each window.
      num: Number of draws.
      seed: Seed of the draws.

    Returns:
      float64 [num] by the keys of METRICS.

    Raises:
      ValueError: `groups` is not [n].
    """
    n = len(tallies["matches"])
    if np.shape(groups) != (n,):
        raise ValueError(f"groups must be {(n,)}, one for each window, got {np.shape(groups)}")
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        warnings.warn("fewer than two groups to draw from: intervals have no width", stacklevel=2)
    drawn = np.random.RandomState(seed).randint(max(len(names), 1), size=(num, len(names)))
    times = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
    return _scores(
        {
            name: times @ np.bincount(group, total, len(names))
            for name, total in _window_sums(tallies).items()
        }
    )


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the percentiles that enclose the middle share of the draws; NaN draws are ignored.

    >>> interval(np.arange(101.0), level=0.5)
    (25.0, 75.0)
    """
    known = np.asarray(draws)[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def share_worse(name: str, draws: np.ndarray, other_draws: np.ndarray) -> float:
    """Return the share of draws in which a score is worse than another; a tie counts as half.

    Args:
      name: Key of METRICS.
      draws: [num], of `bootstrap`.
      other_draws: [num], of the same groups and seed.

    Returns:
      0 to 1, or NaN if no draw has both scores.
    """
    better = METRICS[name].better
    badness = {"higher": np.negative, "lower": np.positive, "zero": np.abs}[better]
    known = np.isfinite(draws) & np.isfinite(other_draws)
    lead = np.sign(badness(draws[known]) - badness(other_draws[known]))
    return float(np.mean((lead + 1) / 2)) if len(lead) else float("nan")


def _degeneracies(
    reference: np.ndarray, estimate: np.ndarray, where: np.ndarray | None
) -> Iterator[str]:
    """Yield the reasons why scores are degenerate."""
    if not len(reference):
        yield "there are no windows to compare"
        return
    for name, windows in (("reference", reference), ("estimate", estimate)):
        if not np.isfinite(windows).all():
            yield f"the {name} has {np.sum(~np.isfinite(windows))} non-finite values"
        if not split(windows).hits.any():
            yield f"the {name} has no hits"
    matches = split(reference).hits & split(estimate).hits & (True if where is None else where)
    if np.sum(matches) < 2:
        yield f"too few matching hits to compare timing and velocity: {np.sum(matches)}"


def _timing(x: np.ndarray, y: np.ndarray, where: np.ndarray, sixteenth_ms: np.ndarray) -> Tallies:
    """Return the timing cells of `tally` from the offsets of reference (x) and estimate (y)."""
    timed = where & np.isfinite(x) & np.isfinite(y)
    # An offset is how early a hit is, so the smaller one is the later.
    late = (np.where(timed, x, 0) - np.where(timed, y, 0)) / 2
    return {
        "timed_hits": timed,
        "timing_ms": np.abs(late) * sixteenth_ms,
        "timing_16ths": np.abs(late),
        "timing_squares": late * late,
        "lateness_ms": late * sixteenth_ms,
    }


def _velocities(x: np.ndarray, y: np.ndarray, where: np.ndarray) -> Tallies:
    """Return the velocity cells of `tally`."""
    known = where & np.isfinite(x) & np.isfinite(y)
    x, y = (MAX_VELOCITY * np.where(known, values, 0) for values in (x, y))
    moments = {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return {"velocity_hits": known, "velocity": np.abs(x - y), **moments}


def _by_position(cells: np.ndarray, meter: Meter) -> np.ndarray:
    """Sum [n, steps, drums] over the bars to [n, steps_per_bar, drums]."""
    n, steps, drums = cells.shape
    bars = cells.reshape(n, steps // steps_per_bar(meter), steps_per_bar(meter), drums)
    return bars.sum(axis=1, dtype=np.float64)


def _scores_along(axis: int, tallies: Tallies) -> list[dict[str, float]]:
    """Return the scores of each slice along an axis of the tallies."""
    slices = [
        (*[slice(None)] * axis, slice(i, i + 1)) for i in range(tallies["matches"].shape[axis])
    ]
    return [summarize({name: cells[where] for name, cells in tallies.items()}) for where in slices]


def _window_sums(tallies: Tallies) -> Tallies:
    """Return sums by window, [n], which can be added up over any set of windows."""
    sums = {name: cells.sum(axis=(1, 2)) for name, cells in tallies.items()}
    return {**sums, "density": np.abs(sums["density"]), "windows": np.ones_like(sums["matches"])}


def _scores(sums: Sums) -> dict[str, Any]:
    """Return the scores of sums over windows, of one set (numbers) or of several (arrays)."""
    matches, found, wanted = sums["matches"], sums["estimate_hits"], sums["reference_hits"]
    is_silent = found + wanted == 0
    return {
        "hit_precision": _ratio(matches, found, is_silent),
        "hit_recall": _ratio(matches, wanted, is_silent),
        "hit_f1": _ratio(2 * matches, found + wanted, 1),
        "timing_mae_ms": _ratio(sums["timing_ms"], sums["timed_hits"]),
        "timing_mae_16ths": _ratio(sums["timing_16ths"], sums["timed_hits"]),
        "timing_mse_16ths": _ratio(sums["timing_squares"], sums["timed_hits"]),
        "timing_bias_ms": _ratio(sums["lateness_ms"], sums["timed_hits"]),
        "velocity_mae": _ratio(sums["velocity"], sums["velocity_hits"]),
        "velocity_correlation": _correlation(sums),
        "density_mae": _ratio(sums["density"], sums["windows"]),
    }


def _ratio(part: Any, whole: Any, empty: Any = np.nan) -> Any:
    """Return `part / whole`, or `empty` where `whole` is 0."""
    is_empty = whole <= 0
    return np.where(is_empty, empty, part / np.where(is_empty, 1, whole))


def _correlation(sums: Sums) -> Any:
    """Return Pearson's correlation, NaN where either side is constant but for rounding."""
    n, x, y = sums["velocity_hits"], sums["x"], sums["y"]
    squares = n * np.array([sums["xx"], sums["yy"]])
    variances = squares - np.array([x, y]) ** 2
    is_constant = (variances <= MIN_VARIANCE * squares).any(axis=0)
    whole = np.where(is_constant, 0, np.sqrt(np.maximum(variances, 0).prod(axis=0)))
    return np.clip(_ratio(n * sums["xy"] - x * y, whole), -1, 1)
