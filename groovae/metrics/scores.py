"""How near grooves come to others: pure NumPy, in the manner of mir_eval.

Conventions
-----------

A window is an array [steps, 3 * drums] of hits (0 or 1), velocities (0 to 1) and offsets (in half
steps ahead of the grid), as in grid.py; 16 steps are a bar. Windows come in sets [n, steps,
3 * drums] of which each may have a tempo of its own, and in pairs: the reference first, what is
judged by it, the estimate, second.

A hit is a value over 0.5. Two hits are the same if window, step and drum are. Timing and velocity
are compared where both have a hit, and a number that is none (NaN or infinite) leaves that hit out
of its mean; as a hit it is none. All hits count alike, whatever window they are in ("micro").

`tally` counts and sums, and everything else follows from its sums, which add up over windows,
drums and positions in the bar:

    tallies = tally(reference, estimate, tempo_qpm)
    scores(tallies)                                     # by the keys of METRICS
    interval(bootstrap(tallies, recordings)["hit_f1"])  # the middle 95 % of the draws

Where there is nothing to judge, scores are still defined, and `validate` warns: hits are perfect
(1) where neither has any, and 0 where only one has; timing and velocity are NaN without a hit in
common, their correlation with fewer than two or where either is constant, and the density error is
NaN without a window.

Sources
-------

Precision, recall and F-measure are those of `mir_eval.onset` (Raffel et al., "mir_eval: a
transparent implementation of common MIR metrics", ISMIR 2014), with the cells of the grid for its
window of 50 ms and 1 instead of 0 for two empty sets. The timing error in ms is that of Gillick et
al., "Learning to groove with inverse sequence transformations", ICML 2019 (whose error in 16ths is
squared, while here it is absolute as well). Intervals are percentiles of a bootstrap, with
recordings for its units: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapters
8 and 13.
"""

import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from groovae.metrics import features
from groovae.metrics.features import LOUDEST, STEPS_PER_BAR
from groovae.music.drums import CLASS_NAMES

MIN_VARIANCE = 1e-12  # as a share of the mean square; what is below it is rounding

Tallies = dict[str, np.ndarray]


class Metric(NamedTuple):
    """What a score is called, what it is counted in, and which values are good ones."""

    label: str
    unit: str
    better: Literal["higher", "lower", "zero"]


METRICS = {
    "hit_precision": Metric("hit precision", "", "higher"),
    "hit_recall": Metric("hit recall", "", "higher"),
    "hit_f1": Metric("hit F1", "", "higher"),
    "timing_mae_ms": Metric("timing error", "ms", "lower"),
    "timing_mae_16ths": Metric("timing error", "16ths", "lower"),
    "timing_bias_ms": Metric("timing bias", "ms late", "zero"),
    "velocity_mae": Metric("velocity error", "of 127", "lower"),
    "velocity_correlation": Metric("velocity correlation", "", "higher"),
    "density_mae": Metric("density error", "hits a bar", "lower"),
}


def validate(
    reference: np.ndarray,
    estimate: np.ndarray,
    tempo_qpm: float | np.ndarray,
    where: np.ndarray | None = None,
) -> None:
    """Checks that two sets of windows can be compared, and warns where that says little.

    Args:
      reference: [n, steps, 3 * drums], steps a multiple of 16, drums at most 9.
      estimate: Of the same shape.
      tempo_qpm: Quarters a minute, of all windows or of each, [n].
      where: bool [n, steps, drums], or None.

    Raises:
      ValueError: a shape is not as above, or a tempo is not a finite number over 0.
    """
    if reference.shape != estimate.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {estimate.shape}")
    if reference.ndim != 3 or reference.shape[1] % STEPS_PER_BAR:
        raise ValueError(f"windows must be [n, 16 * bars, 3 * drums], got {reference.shape}")
    n, steps, depth = reference.shape
    if depth % 3 or not 0 < depth // 3 <= len(CLASS_NAMES):
        raise ValueError(f"the depth must be 3 * drums, of 1 to 9 drums, got {depth}")
    if where is not None and (where.dtype != bool or where.shape != (n, steps, depth // 3)):
        raise ValueError(f"where must be bool {(n, steps, depth // 3)}, got {where.shape}")
    tempo = np.asarray(tempo_qpm, np.float64)
    if tempo.shape not in ((), (n,)):
        raise ValueError(f"the tempo must be a number or one for each of {n}, got {tempo.shape}")
    impossible = tempo[~((tempo > 0) & np.isfinite(tempo))]
    if impossible.size:
        raise ValueError(f"a tempo must be over 0 and finite, got {impossible[0]}")
    for reason in _degenerate(reference, estimate, where):
        warnings.warn(reason, stacklevel=2)


def tally(
    reference: np.ndarray,
    estimate: np.ndarray,
    tempo_qpm: float | np.ndarray,
    where: np.ndarray | None = None,
) -> Tallies:
    """Counts and sums of what two sets of windows have in common and where they differ.

    Args:
      reference: [n, steps, 3 * drums].
      estimate: Of the same shape.
      tempo_qpm: Quarters a minute, of all windows or of each, [n].
      where: bool [n, steps, drums]: timing and velocity are compared only there. Hits always are
        everywhere.

    Returns:
      float64 arrays [n, 16, drums], of window, position in the bar and drum: `wanted`, `found` and
      `same` count hits of the reference, of the estimate and of both; `density` is the hits a bar
      that the estimate has more; `timed` counts the hits whose offsets are compared, and `ms`,
      `sixteenths` and `late_ms` sum how far off (`ms`, `sixteenths`) and how late (`late_ms`) they
      are; `struck` counts the hits whose velocities are, `velocity` sums how far off they are, and
      `x`, `y`, `xx`, `yy` and `xy` are the moments of the velocities of reference (x) and estimate.

    Raises:
      ValueError: see `validate`.
    """
    validate(reference, estimate, tempo_qpm, where)
    hits, velocities, offsets = _parts(reference)
    hits_there, velocities_there, offsets_there = _parts(estimate)
    same = hits & hits_there
    compared = same & (True if where is None else where)
    sixteenth_ms = 60_000 / np.asarray(tempo_qpm, np.float64).reshape(-1, 1, 1) / 4
    bars = max(reference.shape[1] // STEPS_PER_BAR, 1)
    cells = {
        "wanted": hits,
        "found": hits_there,
        "same": same,
        "density": (hits_there.astype(np.float64) - hits) / bars,
        **_timing(offsets, offsets_there, compared, sixteenth_ms),
        **_velocities(velocities, velocities_there, compared),
    }
    return {name: _per_position(cell) for name, cell in cells.items()}


def scores(tallies: Tallies) -> dict[str, float]:
    """The scores of all that was tallied, or of the part of it that was cut out.

    Args:
      tallies: As `tally` returns them, [n, positions, drums].

    Returns:
      By the keys of METRICS, and in their order: precision, recall and F1 of the hits, 0 to 1; mean
      absolute timing error in ms and in 16ths, and how late the estimate is in the mean, in ms;
      mean absolute velocity error, 0 to 127, and Pearson's correlation, -1 to 1; mean absolute
      error of the hits a bar, window by window.
    """
    sums = {name: total.sum() for name, total in _totals(tallies).items()}
    return {name: float(score) for name, score in _from_sums(sums).items()}


def by_drum(tallies: Tallies) -> dict[str, dict[str, float]]:
    """The scores of each drum class, by its name."""
    drums = tallies["same"].shape[2]
    return {
        name: scores({key: sums[:, :, drum : drum + 1] for key, sums in tallies.items()})
        for drum, name in enumerate(CLASS_NAMES[:drums])
    }


def by_position(tallies: Tallies) -> list[dict[str, float]]:
    """The scores of each of the 16 positions in the bar."""
    return [
        scores({key: sums[:, step : step + 1] for key, sums in tallies.items()})
        for step in range(STEPS_PER_BAR)
    ]


def evaluate(
    reference: np.ndarray, estimate: np.ndarray, tempo_qpm: float | np.ndarray
) -> dict[str, Any]:
    """All there is to say of an estimate.

    Args:
      reference: [n, steps, 3 * drums].
      estimate: Of the same shape.
      tempo_qpm: Quarters a minute, of all windows or of each, [n].

    Returns:
      The `scores`, and those `by_drum` and `by_position`.

    Raises:
      ValueError: see `validate`.
    """
    sums = tally(reference, estimate, tempo_qpm)
    return {**scores(sums), "by_drum": by_drum(sums), "by_position": by_position(sums)}


def compare(
    samples: np.ndarray, data: np.ndarray, train: np.ndarray | None = None
) -> dict[str, Any]:
    """How much a set of windows is like another, where there are no pairs; see features.py.

    Args:
      samples: [n, steps, 3 * drums].
      data: [m, steps, 3 * drums], what they are to be like.
      train: [k, steps, 3 * drums], what they are not to be copies of, or None.

    Returns:
      `features`, what `features.compare_sets` says of each; `copies`, the share of the samples that
      are near copies of a window of `train` (None without it); `diversity`, how much samples differ
      from each other.

    Raises:
      ValueError: the shapes do not fit.
    """
    return {
        "features": features.compare_sets(samples, data),
        "copies": None if train is None else features.copies(samples, train),
        "diversity": features.diversity(samples),
    }


def bootstrap(
    tallies: Tallies, groups: np.ndarray, num: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Scores of what might have been recorded instead: groups drawn again, with replacement.

    Windows of one recording resemble each other, so that whole recordings are drawn, as many as
    there are. The same groups and seed draw the same recordings, so that scores of two estimates
    can be compared draw by draw.

    Args:
      tallies: As `tally` returns them.
      groups: int [n], the recording that each window is from.
      num: How often to draw.
      seed: Of the draws.

    Returns:
      By the keys of METRICS, float64 [num].

    Raises:
      ValueError: `groups` is not [n].
    """
    n = len(tallies["same"])
    if np.shape(groups) != (n,):
        raise ValueError(f"groups must be {(n,)}, one for each window, got {np.shape(groups)}")
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        warnings.warn("fewer than two groups to draw from: intervals have no width", stacklevel=2)
    drawn = np.random.RandomState(seed).randint(max(len(names), 1), size=(num, len(names)))
    times = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
    sums = {
        name: times @ np.bincount(group, total, len(names))
        for name, total in _totals(tallies).items()
    }
    return _from_sums(sums)


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """What the middle share of the draws lies between; draws that are NaN are none.

    Args:
      draws: [num], of one score.
      level: The share, 0 to 1.

    Returns:
      The percentiles, NaN if there is no draw.
    """
    known = np.asarray(draws)[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def share_worse(name: str, scores: np.ndarray, than: np.ndarray) -> float:
    """The share of draws in which one score is worse than another, 0 to 1; a tie is half a win.

    Args:
      name: Of METRICS.
      scores: [num], of `bootstrap`.
      than: Of the same groups and seed.

    Returns:
      NaN where no draw has both.
    """
    better = METRICS[name].better
    badness = {"higher": np.negative, "lower": np.positive, "zero": np.abs}[better]
    known = np.isfinite(scores) & np.isfinite(than)
    lead = np.sign(badness(scores[known]) - badness(than[known]))
    return float(np.mean((lead + 1) / 2)) if len(lead) else float("nan")


def _degenerate(
    reference: np.ndarray, estimate: np.ndarray, where: np.ndarray | None
) -> Iterator[str]:
    """Why scores will say little."""
    if not len(reference):
        yield "there are no windows to compare"
        return
    for name, windows in (("reference", reference), ("estimate", estimate)):
        if not np.isfinite(windows).all():
            yield f"the {name} has {np.sum(~np.isfinite(windows))} values that are no numbers"
        if not _parts(windows)[0].any():
            yield f"the {name} has no hits"
    compared = _parts(reference)[0] & _parts(estimate)[0] & (True if where is None else where)
    if np.sum(compared) < 2:
        yield f"too few hits to compare timing and velocity by: {np.sum(compared)}"


def _parts(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits (bool), velocities and offsets (float64), each [n, steps, drums]."""
    hits, velocities, offsets = np.split(np.asarray(windows, np.float64), 3, axis=-1)
    return (hits > 0.5) & np.isfinite(hits), velocities, offsets


def _timing(x: np.ndarray, y: np.ndarray, where: np.ndarray, sixteenth_ms: np.ndarray) -> Tallies:
    """The cells of `tally` on timing, from the offsets of reference (x) and estimate (y)."""
    timed = where & np.isfinite(x) & np.isfinite(y)
    # An offset is how early a hit is, so that the smaller one is the later.
    late = (np.where(timed, x, 0) - np.where(timed, y, 0)) / 2
    return {
        "timed": timed,
        "ms": np.abs(late) * sixteenth_ms,
        "sixteenths": np.abs(late),
        "late_ms": late * sixteenth_ms,
    }


def _velocities(x: np.ndarray, y: np.ndarray, where: np.ndarray) -> Tallies:
    """The cells of `tally` on velocity, 0 to 127."""
    struck = where & np.isfinite(x) & np.isfinite(y)
    x, y = LOUDEST * np.where(struck, x, 0), LOUDEST * np.where(struck, y, 0)
    moments = {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return {"struck": struck, "velocity": np.abs(x - y), **moments}


def _per_position(cells: np.ndarray) -> np.ndarray:
    """[n, steps, drums] summed over the bars: [n, 16, drums]."""
    n, steps, drums = cells.shape
    bars = cells.reshape(n, steps // STEPS_PER_BAR, STEPS_PER_BAR, drums)
    return bars.sum(axis=1, dtype=np.float64)


def _totals(tallies: Tallies) -> Tallies:
    """The sums of each window, [n]: what can be added up to the sums of any set of windows."""
    totals = {name: sums.sum(axis=(1, 2)) for name, sums in tallies.items()}
    return {**totals, "density": np.abs(totals["density"]), "windows": np.ones_like(totals["same"])}


def _from_sums(sums: dict[str, Any]) -> dict[str, Any]:
    """The scores of sums over windows, of one set (numbers) or of many (arrays)."""
    same, found, wanted = sums["same"], sums["found"], sums["wanted"]
    is_silent = found + wanted == 0
    return {
        "hit_precision": _ratio(same, found, is_silent),
        "hit_recall": _ratio(same, wanted, is_silent),
        "hit_f1": _ratio(2 * same, found + wanted, 1),
        "timing_mae_ms": _ratio(sums["ms"], sums["timed"]),
        "timing_mae_16ths": _ratio(sums["sixteenths"], sums["timed"]),
        "timing_bias_ms": _ratio(sums["late_ms"], sums["timed"]),
        "velocity_mae": _ratio(sums["velocity"], sums["struck"]),
        "velocity_correlation": _correlation(sums),
        "density_mae": _ratio(sums["density"], sums["windows"]),
    }


def _ratio(part: Any, whole: Any, empty: Any = np.nan) -> Any:
    """`part / whole`, and `empty` where there is nothing to divide by."""
    is_empty = whole <= 0
    return np.where(is_empty, empty, part / np.where(is_empty, 1, whole))


def _correlation(sums: dict[str, Any]) -> Any:
    """Pearson's, from its moments; NaN where either side is constant but for rounding."""
    n, x, y = sums["struck"], sums["x"], sums["y"]
    squares = n * np.array([sums["xx"], sums["yy"]])
    variances = squares - np.array([x, y]) ** 2
    is_constant = (variances <= MIN_VARIANCE * squares).any(axis=0)
    whole = np.where(is_constant, 0, np.sqrt(np.maximum(variances, 0).prod(axis=0)))
    return np.clip(_ratio(n * sums["xy"] - x * y, whole), -1, 1)
