"""What sets of windows are like, and how much one is like another: pure NumPy.

Conventions
-----------

A set of windows is an array [n, steps, 3 * drums] of hits (0 or 1), velocities (0 to 1) and offsets
(in half steps ahead of the grid), as in grid.py; 16 steps are a bar, and a 16th is one of them. No
feature depends on the tempo. A hit is a value over 0.5; a number that is none (NaN or infinite) is
no hit, and as a velocity or an offset leaves that hit out of its mean. Where a mean has nothing to
go by, a feature is 0: a window without hits is 0 in all of them.

`FEATURES` say what a window is like, `compare_sets` how alike two sets are in each of them, by the
distances between windows (distances.py, after Yang and Lerch 2020). `nearest`, `copies` and
`diversity` look at the hits alone, and count how many of them two windows share (F1).
"""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from groovae.metrics import distances
from groovae.music.drums import (
    CLASS_NAMES,
    CLOSED_HIHAT,
    CRASH,
    HIGH_TOM,
    KICK,
    LOW_TOM,
    MID_TOM,
    OPEN_HIHAT,
    RIDE,
    SNARE,
)

STEPS_PER_BAR = 16
LOUDEST = 127
# How strong each 16th of a 4/4 bar is: the bar, its halves, its quarters, eighths and 16ths.
METRICAL_WEIGHTS = (0, -4, -3, -4, -2, -4, -3, -4, -1, -4, -3, -4, -2, -4, -3, -4)
STREAMS = (
    (KICK,),
    (SNARE, LOW_TOM, MID_TOM, HIGH_TOM),
    (CLOSED_HIHAT, OPEN_HIHAT, CRASH, RIDE),
)
CHUNK = 256  # rows of a matrix of all pairs


class Parts(NamedTuple):
    """Hits (bool), velocities and offsets of windows, each [n, steps, drums]."""

    hits: np.ndarray
    velocities: np.ndarray
    offsets: np.ndarray


class Profile(NamedTuple):
    """A set of windows by the 16th of the bar, each [16]; means are NaN where nothing is hit.

    Attributes:
      hits: In a bar, of all drums.
      velocity: Mean, 0 to 127.
      lateness: Mean, in 16ths, behind the grid positive.
    """

    hits: np.ndarray
    velocity: np.ndarray
    lateness: np.ndarray


class Feature(NamedTuple):
    """A number, or some numbers, that say what a window is like.

    Called with windows [n, steps, 3 * drums] it gives float64 [n] or [n, k].
    """

    label: str
    unit: str
    function: Callable[[np.ndarray], np.ndarray]

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        return self.function(windows)


def parts(windows: np.ndarray) -> Parts:
    """The three parts of windows, whose numbers that are none are no hits.

    Raises:
      ValueError: the shape is not [n, 16 * bars, 3 * drums] with 1 to 9 drums.
    """
    shape = np.shape(windows)
    fits = len(shape) == 3 and shape[1] and not shape[1] % STEPS_PER_BAR and not shape[2] % 3
    if not fits or not 0 < shape[2] // 3 <= len(CLASS_NAMES):
        raise ValueError(
            f"windows must be [n, 16 * bars, 3 * drums] of 1 to 9 drums, got {list(shape)}"
        )
    hits, velocities, offsets = np.split(np.asarray(windows), 3, axis=-1)
    return Parts((hits > 0.5) & np.isfinite(hits), velocities, offsets)


def density(windows: np.ndarray) -> np.ndarray:
    """Hits in a bar, of all drums: [n]."""
    return parts(windows).hits.sum(axis=(1, 2)) / _bars(windows)


def syncopation(windows: np.ndarray) -> np.ndarray:
    """Syncopation in a bar, 0 or more: [n].

    After Longuet-Higgins and Lee, "The rhythmic interpretation of monophonic music", Music
    Perception 1, 1984: a note is syncopated if a stronger position than its own (METRICAL_WEIGHTS)
    passes before the next note, by the difference of the weights. Here it counts once, by the
    strongest position that it is held over. The sum is taken over the low, middle and high drums
    (STREAMS), each a rhythm of its own, as Gómez-Marín, Jordà and Herrera do in "Drum rhythm
    spaces", Journal of New Music Research 49, 2020. A snare drum on two and four is thus syncopated
    by 1 and 2 a bar; in a window of 4 bars by 10 / 4, as nothing is known of what follows it.
    """
    hits = parts(windows).hits
    weights = np.resize(METRICAL_WEIGHTS, hits.shape[1])
    total = np.zeros(len(hits))
    for classes in STREAMS:
        present = [drum for drum in classes if drum < hits.shape[2]]
        stream = np.logical_or.reduce(hits[:, :, present], axis=2)
        passed = np.full(len(hits), -np.inf)  # the strongest position until the next note
        for step in reversed(range(len(weights))):
            total += np.where(stream[:, step], np.maximum(passed - weights[step], 0), 0)
            passed = np.where(stream[:, step], -np.inf, np.maximum(passed, weights[step]))
    return total / _bars(windows)


def swing(windows: np.ndarray) -> np.ndarray:
    """Lateness of the second and fourth 16th of the beats against the first and third: [n].

    In 16ths, the difference of the means over all hits; 0 is straight, and also the value of a
    window that has hits on only one of the two sides. Where a pair of 16ths is played long and
    short with the ratio r (the swing ratio of Friberg and Sundström, "Swing ratios and ensemble
    timing in jazz performance", Music Perception 19, 2002), it is 2 * r / (1 + r) - 1: 1/3 for
    triplets. Swung eighths show in `microtiming`, at the third 16th; beyond 5 to 3 they lie nearer
    to the fourth, and count as one that is early.
    """
    played = parts(windows)
    sums, counts = _by_position(-played.offsets / 2, played.hits)
    straight, swung = (
        [side[:, first::2].sum(axis=1) for side in (sums, counts)] for first in (0, 1)
    )
    difference = _ratio(*swung) - _ratio(*straight)
    return np.where((straight[1] > 0) & (swung[1] > 0), difference, 0)


def microtiming(windows: np.ndarray) -> np.ndarray:
    """Mean lateness at each 16th of the bar, in 16ths, behind the grid positive: [n, 16]."""
    played = parts(windows)
    return _ratio(*_by_position(-played.offsets / 2, played.hits))


def velocity(windows: np.ndarray) -> np.ndarray:
    """Mean velocity of the hits at each 16th of the bar, 0 to 127: [n, 16]."""
    played = parts(windows)
    return LOUDEST * _ratio(*_by_position(played.velocities, played.hits))


def drums(windows: np.ndarray) -> np.ndarray:
    """The share of each drum class in the hits, 0 to 1: [n, drums]."""
    counts = parts(windows).hits.sum(axis=1)
    return _ratio(counts, counts.sum(axis=1, keepdims=True))


FEATURES = {
    "density": Feature("density", "hits a bar", density),
    "syncopation": Feature("syncopation", "a bar", syncopation),
    "swing": Feature("swing", "16ths late", swing),
    "microtiming": Feature("microtiming", "16ths late", microtiming),
    "velocity": Feature("velocity", "of 127", velocity),
    "drums": Feature("drums", "share of hits", drums),
}


def profile(windows: np.ndarray) -> Profile:
    """Hits, velocity and lateness by the 16th of the bar, over all windows of a set."""
    played = parts(windows)
    (velocities, struck), (lateness, timed) = (
        [part.sum(axis=0) for part in _by_position(values, played.hits)]
        for values in (played.velocities, -played.offsets / 2)
    )
    hits = played.hits.reshape(-1, STEPS_PER_BAR, played.hits.shape[2]).sum(axis=(0, 2))
    with np.errstate(invalid="ignore"):
        return Profile(
            hits / max(len(windows) * _bars(windows), 1),
            LOUDEST * velocities / struck,
            lateness / timed,
        )


def compare_sets(samples: np.ndarray, data: np.ndarray) -> dict[str, dict[str, Any]]:
    """How much samples are like data, feature by feature; see the module.

    Args:
      samples: [n, steps, 3 * drums].
      data: [m, steps, 3 * drums].

    Returns:
      For each of FEATURES a dict of numbers and lists that JSON can hold: its `label` and `unit`;
      `mean` and `std` of `samples` and of `data`, lists where the feature is [n, k]; those of the
      distances `intra_samples`, `intra_data` and `inter`; `kl_divergence` (nats) and
      `overlapped_area` (0 to 1) of intra_samples and inter, and the same of intra_data and inter,
      `kl_divergence_data` and `overlapped_area_data`. What takes two windows and has fewer is NaN,
      with a warning.

    Raises:
      ValueError: a shape is wrong, or the sets have not the same drums.
    """
    if np.shape(samples)[-1:] != np.shape(data)[-1:]:
        raise ValueError(f"shapes differ: {np.shape(samples)} and {np.shape(data)}")
    for name, windows in (("samples", samples), ("data", data)):
        if len(windows) < 2:
            warnings.warn(f"fewer than two windows in the {name}: no distances", stacklevel=2)
    return {name: _compare(feature, samples, data) for name, feature in FEATURES.items()}


def nearest(windows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each window the other one whose hits are most like its own.

    Args:
      windows: [n, steps, 3 * drums].
      others: [m, steps, 3 * drums], at least one.

    Returns:
      Which it is, int [n], the first of those equally near, and the F1 of the hits, 0 to 1, [n]; 1
      where neither has any.

    Raises:
      ValueError: a shape is wrong, the shapes differ, or there are no others.
    """
    if not len(others):
        raise ValueError("there are no other windows to look among")
    found = [(f1.argmax(axis=1), f1.max(axis=1)) for f1 in _f1(windows, others)]
    index, best = zip(*found, strict=True) if found else ([np.zeros(0, int)], [np.zeros(0)])
    return np.concatenate(index), np.concatenate(best)


def copies(samples: np.ndarray, train: np.ndarray, over: float = 0.95) -> float:
    """The share of samples whose nearest training window has a hit F1 over this, 0 to 1.

    It is 0 without a training window and NaN without a sample, with a warning.
    """
    if not len(samples) or not len(train):
        warnings.warn("no samples, or nothing that they could copy", stacklevel=2)
        return 0.0 if len(samples) else math.nan
    return float(np.mean(nearest(samples, train)[1] > over))


def diversity(samples: np.ndarray) -> dict[str, float]:
    """How much samples differ from each other: 1 - F1 of the hits, 0 to 1.

    Returns:
      The means over all pairs, `all_pairs`, and from each to the one most like it,
      `nearest_other`; NaN for fewer than two samples, with a warning.
    """
    n = len(samples)
    if n < 2:
        warnings.warn("fewer than two samples have no diversity", stacklevel=2)
        return {"all_pairs": math.nan, "nearest_other": math.nan}
    total, best = 0.0, []
    for number, f1 in enumerate(_f1(samples, samples)):
        rows = np.arange(len(f1))
        f1[rows, CHUNK * number + rows] = 0  # not to itself
        total += f1.sum(dtype=np.float64)
        best.append(f1.max(axis=1))
    nearest_f1 = np.concatenate(best).mean(dtype=np.float64)
    return {
        "all_pairs": float(1 - total / (n * (n - 1))),
        "nearest_other": float(1 - nearest_f1),
    }


def _bars(windows: np.ndarray) -> int:
    return windows.shape[1] // STEPS_PER_BAR


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return sums / np.maximum(counts, 1)


def _by_position(values: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the values there, and how many they are, by the 16th of the bar: [n, 16]."""
    where = where & np.isfinite(values)
    n, steps, num_drums = where.shape
    bars = (n, steps // STEPS_PER_BAR, STEPS_PER_BAR, num_drums)
    sums = np.where(where, values, 0).reshape(bars).sum(axis=(1, 3), dtype=np.float64)
    return sums, where.reshape(bars).sum(axis=(1, 3))


def _f1(windows: np.ndarray, others: np.ndarray) -> Iterator[np.ndarray]:
    """F1 of the hits of all pairs, CHUNK windows at a time: float32 [up to CHUNK, m]."""
    if np.shape(windows)[1:] != np.shape(others)[1:]:
        raise ValueError(f"shapes differ: {np.shape(windows)} and {np.shape(others)}")
    theirs = _patterns(others)
    ours = theirs if windows is others else _patterns(windows)
    for start in range(0, len(ours), CHUNK):
        rows = ours[start : start + CHUNK]
        total = rows.sum(axis=1)[:, np.newaxis] + theirs.sum(axis=1)
        yield np.where(total > 0, 2 * (rows @ theirs.T) / np.maximum(total, 1), 1)


def _patterns(windows: np.ndarray) -> np.ndarray:
    """The hits of each window as a row of 0 and 1, float32."""
    hits = parts(windows).hits
    return hits.reshape(len(hits), hits.shape[1] * hits.shape[2]).astype(np.float32)


def _compare(feature: Feature, samples: np.ndarray, data: np.ndarray) -> dict[str, Any]:
    """What `compare_sets` says of one feature."""
    a, b = feature(samples), feature(data)
    about: dict[str, Any] = {"label": feature.label, "unit": feature.unit}
    about |= {"samples": _moments(a), "data": _moments(b)}
    a, b = (np.atleast_2d(values.T).T for values in (a, b))  # [n, 1] where it is [n]
    limit = distances.limit(a, b)
    if len(a) and len(b) and not limit:
        warnings.warn(f"all windows are the same in {feature.label}", stacklevel=4)
    inter = distances.between(a, b, limit)
    about["inter"] = {"mean": inter.mean, "std": inter.std}
    for name, values, suffix in (("samples", a, ""), ("data", b, "_data")):
        intra = distances.within(values, limit)
        about[f"intra_{name}"] = {"mean": intra.mean, "std": intra.std}
        about[f"kl_divergence{suffix}"] = distances.kl_divergence(intra, inter)
        about[f"overlapped_area{suffix}"] = distances.overlapped_area(intra, inter)
    return about


def _moments(values: np.ndarray) -> dict[str, Any]:
    """Mean and standard deviation over the windows, NaN without any."""
    if not len(values):
        values = np.full((1, *values.shape[1:]), np.nan)
    return {"mean": values.mean(axis=0).tolist(), "std": values.std(axis=0).tolist()}
