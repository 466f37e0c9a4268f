"""Features of windows, and comparisons of sets of windows by them: pure NumPy.

Conventions
-----------

A set of windows is an array [n, steps, 3 * drums] of hits (0 or 1), velocities (0 to 1) and offsets
(in half steps ahead of the grid), as in data/grid.py; a step is a 16th. All functions take the
meter of the windows, 4/4 by default, whose bars have 16 steps. No feature depends on the tempo. A
value over 0.5 is a hit. Non-finite values are not hits, and a hit whose velocity or offset is
non-finite is left out of that mean. A feature of no hits is 0.

`FEATURES` describe each window, `compare_sets` compares two sets by the distances between the
features of their windows (distances.py, after Yang and Lerch 2020). `nearest`, `copies` and
`diversity` compare the hits alone, by F1.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from groovae.metrics import distances
from groovae.music.drums import (
    CLOSED_HIHAT,
    CRASH,
    HIGH_TOM,
    KICK,
    LOW_TOM,
    MAX_DRUMS,
    MID_TOM,
    OPEN_HIHAT,
    RIDE,
    SNARE,
)

Meter = tuple[int, int]  # numerator and denominator

MAX_VELOCITY = 127
STREAMS = (
    (KICK,),
    (SNARE, LOW_TOM, MID_TOM, HIGH_TOM),
    (CLOSED_HIHAT, OPEN_HIHAT, CRASH, RIDE),
)
DEPTHS = range(3, 3 * MAX_DRUMS + 1, 3)
CHUNK = 256  # rows of a matrix of all pairs


class Parts(NamedTuple):
    """Hits (bool), velocities and offsets of windows, each [n, steps, drums]."""

    hits: np.ndarray
    velocities: np.ndarray
    offsets: np.ndarray


class Profile(NamedTuple):
    """Means over a set of windows by 16th of the bar, each [steps_per_bar]; NaN without a hit.

    Attributes:
      hits: Hits per bar, of all drums.
      velocity: Mean velocity, 0 to 127.
      lateness: Mean lateness in 16ths, positive behind the grid.
    """

    hits: np.ndarray
    velocity: np.ndarray
    lateness: np.ndarray


class Feature(NamedTuple):
    """A feature of a window: a function of windows [n, steps, 3 * drums] and their meter.

    It returns [n] or [n, k].
    """

    label: str
    unit: str
    function: Callable[[np.ndarray, Meter], np.ndarray]

    def __call__(self, windows: np.ndarray, meter: Meter = (4, 4)) -> np.ndarray:
        return self.function(windows, meter)


def steps_per_bar(meter: Meter) -> int:
    """Return the 16ths in a bar.

    >>> steps_per_bar((4, 4)), steps_per_bar((6, 8))
    (16, 12)
    """
    return 16 * meter[0] // meter[1]


def metrical_weights(meter: Meter) -> list[int]:
    """Return the metrical weight of each 16th of a bar: 0 for the first, less for weaker ones.

    In 4/4 the weights are those of the bar, a half, a quarter, an eighth and a 16th. A meter of
    eighths or 16ths in threes, such as 6/8, has beats of three; bars of 5 or 7 beats have no larger
    groups than beats.

    >>> metrical_weights((3, 4))
    [0, -3, -2, -3, -1, -3, -2, -3, -1, -3, -2, -3]
    >>> metrical_weights((6, 8))
    [0, -3, -2, -3, -2, -3, -1, -3, -2, -3, -2, -3]
    """
    beats, is_compound = meter[0], meter[1] >= 8 and meter[0] > 3 and meter[0] % 3 == 0
    if is_compound:
        beats //= 3
    units = [steps_per_bar(meter)]
    while beats % 2 == 0:
        beats //= 2
        units.append(units[-1] // 2)
    if beats > 1:
        units.append(units[-1] // beats)
    if is_compound:
        units.append(units[-1] // 3)
    while units[-1] > 1:
        units.append(units[-1] // 2)
    strengths = [[step % unit == 0 for unit in units].index(True) for step in range(units[0])]
    return [-strength for strength in strengths]


def check_shape(windows: np.ndarray, min_bars: int = 1, meter: Meter = (4, 4)) -> None:
    """Raise a ValueError unless windows are [n, whole bars, 3 * drums] with 1 to 32 drums."""
    shape, bar_steps = np.shape(windows), steps_per_bar(meter)
    is_valid = len(shape) == 3 and shape[1] % bar_steps == 0 and shape[2] in DEPTHS
    if not is_valid or shape[1] < min_bars * bar_steps:
        raise ValueError(
            f"windows must be [n, {bar_steps} * bars, 3 * drums] with 1 to {MAX_DRUMS} drums, got "
            f"{list(shape)}"
        )


def split(windows: np.ndarray) -> Parts:
    """Split windows [..., 3 * drums] into their parts; non-finite values are not hits."""
    hits, velocities, offsets = np.split(np.asarray(windows), 3, axis=-1)
    return Parts((hits > 0.5) & np.isfinite(hits), velocities, offsets)


def parts(windows: np.ndarray, meter: Meter = (4, 4)) -> Parts:
    """Check windows and split them.

    Raises:
      ValueError: see `check_shape`.
    """
    check_shape(windows, meter=meter)
    return split(windows)


def density(windows: np.ndarray, meter: Meter = (4, 4)) -> np.ndarray:
    """Return the hits per bar, of all drums: [n]."""
    return parts(windows, meter).hits.sum(axis=(1, 2)) / _bars(windows, meter)


def syncopation(windows: np.ndarray, meter: Meter = (4, 4)) -> np.ndarray:
    """Return the syncopation per bar, 0 or more: [n].

    After Longuet-Higgins and Lee, "The rhythmic interpretation of monophonic music", Music
    Perception 1, 1984: a note is syncopated if a stronger position than its own
    (`metrical_weights`) passes before the next note, by the difference of the weights. Here a note
    counts once, for the strongest such position. Low, middle and high drums (STREAMS) are separate
    rhythms whose syncopation is added up, as in Gómez-Marín, Jordà and Herrera, "Drum rhythm
    spaces", Journal of New Music Research 49, 2020. A snare drum on 2 and 4 thus has 1 and 2 per
    bar, but 10 / 4 in a window of 4 bars, as what follows the window is unknown.
    """
    hits = parts(windows, meter).hits
    weights = np.resize(metrical_weights(meter), hits.shape[1])
    total = np.zeros(len(hits))
    for classes in STREAMS:
        present = [drum for drum in classes if drum < hits.shape[2]]
        stream = np.logical_or.reduce(hits[:, :, present], axis=2)
        passed = np.full(len(hits), -np.inf)  # the strongest position until the next note
        for step in reversed(range(len(weights))):
            total += np.where(stream[:, step], np.maximum(passed - weights[step], 0), 0)
            passed = np.where(stream[:, step], -np.inf, np.maximum(passed, weights[step]))
    return total / _bars(windows, meter)


def swing(windows: np.ndarray, meter: Meter = (4, 4)) -> np.ndarray:
    """Return the lateness of the second and fourth 16th of a beat against the others: [n].

    In 16ths, the difference of the means over all hits; 0 is straight, and also the value of a
    window with hits on one of the two sides only. For a swing ratio r (long to short 16th; Friberg
    and Sundström, "Swing ratios and ensemble timing in jazz performance", Music Perception 19,
    2002) it is 2 * r / (1 + r) - 1: 1/3 for triplets. Swung eighths show in `microtiming` at the
    third 16th; beyond 5 to 3 they are nearer to the fourth and count as early there.
    """
    played = parts(windows, meter)
    sums, counts = _by_position(-played.offsets / 2, played.hits, meter)
    straight, swung = (
        [side[:, first::2].sum(axis=1) for side in (sums, counts)] for first in (0, 1)
    )
    difference = _ratio(*swung) - _ratio(*straight)
    return np.where((straight[1] > 0) & (swung[1] > 0), difference, 0)


def microtiming(windows: np.ndarray, meter: Meter = (4, 4)) -> np.ndarray:
    """Return the mean lateness at each 16th of the bar, in 16ths: [n, steps_per_bar]."""
    played = parts(windows, meter)
    return _ratio(*_by_position(-played.offsets / 2, played.hits, meter))


def velocity(windows: np.ndarray, meter: Meter = (4, 4)) -> np.ndarray:
    """Return the mean velocity at each 16th of the bar, 0 to 127: [n, steps_per_bar]."""
    played = parts(windows, meter)
    return MAX_VELOCITY * _ratio(*_by_position(played.velocities, played.hits, meter))


def drums(windows: np.ndarray, meter: Meter = (4, 4)) -> np.ndarray:
    """Return the share of each drum class in the hits, 0 to 1: [n, drums]."""
    counts = parts(windows, meter).hits.sum(axis=1)
    return _ratio(counts, counts.sum(axis=1, keepdims=True))


FEATURES = {
    "density": Feature("density", "hits a bar", density),
    "syncopation": Feature("syncopation", "a bar", syncopation),
    "swing": Feature("swing", "16ths late", swing),
    "microtiming": Feature("microtiming", "16ths late", microtiming),
    "velocity": Feature("velocity", "of 127", velocity),
    "drums": Feature("drums", "share of hits", drums),
}


def profile(windows: np.ndarray, meter: Meter = (4, 4)) -> Profile:
    """Return hits, velocity and lateness by 16th of the bar over all windows of a set."""
    played = parts(windows, meter)
    (velocities, struck), (lateness, timed) = (
        [part.sum(axis=0) for part in _by_position(values, played.hits, meter)]
        for values in (played.velocities, -played.offsets / 2)
    )
    hits = played.hits.reshape(-1, steps_per_bar(meter), played.hits.shape[2]).sum(axis=(0, 2))
    with np.errstate(invalid="ignore"):
        return Profile(
            hits / max(len(windows) * _bars(windows, meter), 1),
            MAX_VELOCITY * velocities / struck,
            lateness / timed,
        )


def compare_sets(
    samples: np.ndarray, data: np.ndarray, meter: Meter = (4, 4)
) -> dict[str, dict[str, Any]]:
    """Compare the distributions of each feature in samples and in data.

    Args:
      samples: [n, steps, 3 * drums].
      data: [m, steps, 3 * drums].
      meter: Of both.

    Returns:
      For each of FEATURES a dict that JSON can hold: its `label` and `unit`; `mean` and `std` of
      `samples` and of `data`, lists if the feature is [n, k]; those of the distances
      `intra_samples`, `intra_data` and `inter`; `kl_divergence` (nats) and `overlapped_area` (0 to
      1) of intra_samples and inter, and `kl_divergence_data` and `overlapped_area_data` of
      intra_data and inter. A value that needs two windows is NaN without them, with a warning.

    Raises:
      ValueError: a shape is wrong, or the numbers of drums differ.
    """
    if np.shape(samples)[-1:] != np.shape(data)[-1:]:
        raise ValueError(f"shapes differ: {np.shape(samples)} and {np.shape(data)}")
    for name, windows in (("samples", samples), ("data", data)):
        if len(windows) < 2:
            warnings.warn(f"fewer than two windows in the {name}: no distances", stacklevel=2)
    return {name: _compare(feature, samples, data, meter) for name, feature in FEATURES.items()}


def nearest(
    windows: np.ndarray, others: np.ndarray, meter: Meter = (4, 4)
) -> tuple[np.ndarray, np.ndarray]:
    """Find for each window the one of others whose hits are most similar.

    Args:
      windows: [n, steps, 3 * drums].
      others: [m, steps, 3 * drums], at least one.
      meter: Of both.

    Returns:
      The index of the other window, int [n], the lowest of equally near ones, and the F1 of the
      hits, 0 to 1, [n]; 1 if neither has hits.

    Raises:
      ValueError: a shape is wrong, the shapes differ, or there are no others.
    """
    if not len(others):
        raise ValueError("there are no other windows to search")
    found = [(f1.argmax(axis=1), f1.max(axis=1)) for f1 in _f1(windows, others, meter)]
    index, best = zip(*found, strict=True) if found else ([np.zeros(0, int)], [np.zeros(0)])
    return np.concatenate(index), np.concatenate(best)


def copies(
    samples: np.ndarray, train: np.ndarray, over: float = 0.95, meter: Meter = (4, 4)
) -> float:
    """Return the share of samples whose nearest training window has a hit F1 above `over`.

    0 without training windows and NaN without samples, with a warning.

    >>> train = np.zeros((2, 16, 3))
    >>> train[0, [0, 8], 0] = 1  # two hits; the second window is silent
    >>> samples = train.copy()
    >>> samples[1, 4, 0] = 1
    >>> copies(samples, train)
    0.5
    """
    if not len(samples) or not len(train):
        warnings.warn("no samples, or no training windows: copies cannot be counted", stacklevel=2)
        return 0.0 if len(samples) else math.nan
    return float(np.mean(nearest(samples, train, meter)[1] > over))


def diversity(samples: np.ndarray, meter: Meter = (4, 4)) -> dict[str, float]:
    """Return how different samples are: 1 - F1 of the hits, 0 to 1.

    Returns:
      The mean over all pairs, `all_pairs`, and over the most similar other sample of each,
      `nearest_other`; NaN for fewer than two samples, with a warning.
    """
    n = len(samples)
    if n < 2:
        warnings.warn("fewer than two samples: no diversity", stacklevel=2)
        return {"all_pairs": math.nan, "nearest_other": math.nan}
    total, best = 0.0, []
    for number, f1 in enumerate(_f1(samples, samples, meter)):
        rows = np.arange(len(f1))
        f1[rows, CHUNK * number + rows] = 0  # skip the sample itself
        total += f1.sum(dtype=np.float64)
        best.append(f1.max(axis=1))
    nearest_f1 = np.concatenate(best).mean(dtype=np.float64)
    return {
        "all_pairs": float(1 - total / (n * (n - 1))),
        "nearest_other": float(1 - nearest_f1),
    }


def _bars(windows: np.ndarray, meter: Meter) -> int:
    return windows.shape[1] // steps_per_bar(meter)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return sums / np.maximum(counts, 1)


def _by_position(
    values: np.ndarray, where: np.ndarray, meter: Meter
) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and counts of the finite values in `where` by 16th of the bar.

    Both are [n, steps_per_bar].
    """
    where = where & np.isfinite(values)
    n, steps, num_drums = where.shape
    bars = (n, steps // steps_per_bar(meter), steps_per_bar(meter), num_drums)
    sums = np.where(where, values, 0).reshape(bars).sum(axis=(1, 3), dtype=np.float64)
    return sums, where.reshape(bars).sum(axis=(1, 3))


def _f1(windows: np.ndarray, others: np.ndarray, meter: Meter) -> Iterator[np.ndarray]:
    """Yield the F1 of the hits of all pairs, CHUNK windows at a time: float32 [CHUNK, m]."""
    if np.shape(windows)[1:] != np.shape(others)[1:]:
        raise ValueError(f"shapes differ: {np.shape(windows)} and {np.shape(others)}")
    theirs = _patterns(others, meter)
    ours = theirs if windows is others else _patterns(windows, meter)
    for start in range(0, len(ours), CHUNK):
        rows = ours[start : start + CHUNK]
        total = rows.sum(axis=1)[:, np.newaxis] + theirs.sum(axis=1)
        yield np.where(total > 0, 2 * (rows @ theirs.T) / np.maximum(total, 1), 1)


def _patterns(windows: np.ndarray, meter: Meter) -> np.ndarray:
    """Return the hits of each window as a row of 0 and 1, float32."""
    hits = parts(windows, meter).hits
    return hits.reshape(len(hits), hits.shape[1] * hits.shape[2]).astype(np.float32)


def _compare(
    feature: Feature, samples: np.ndarray, data: np.ndarray, meter: Meter
) -> dict[str, Any]:
    """Return the entry of `compare_sets` for one feature."""
    a, b = feature(samples, meter), feature(data, meter)
    entry: dict[str, Any] = {"label": feature.label, "unit": feature.unit}
    entry |= {"samples": _moments(a), "data": _moments(b)}
    a, b = (np.atleast_2d(values.T).T for values in (a, b))  # [n] becomes [n, 1]
    largest = distances.max_distance(a, b)
    if len(a) and len(b) and not largest:
        warnings.warn(f"all windows have the same {feature.label}", stacklevel=4)
    inter = distances.between(a, b, largest)
    entry["inter"] = {"mean": inter.mean, "std": inter.std}
    for name, values, suffix in (("samples", a, ""), ("data", b, "_data")):
        intra = distances.within(values, largest)
        entry[f"intra_{name}"] = {"mean": intra.mean, "std": intra.std}
        entry[f"kl_divergence{suffix}"] = distances.kl_divergence(intra, inter)
        entry[f"overlapped_area{suffix}"] = distances.overlapped_area(intra, inter)
    return entry


def _moments(values: np.ndarray) -> dict[str, Any]:
    """Return mean and standard deviation over the windows, NaN without any."""
    if not len(values):
        values = np.full((1, *values.shape[1:]), np.nan)
    return {"mean": values.mean(axis=0).tolist(), "std": values.std(axis=0).tolist()}
