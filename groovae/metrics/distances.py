"""Distances within and between sets, and how alike these are: after Yang and Lerch, in pure NumPy.

Yang and Lerch, "On the evaluation of generative models in music", Neural Computing and Applications
32, 2020, and their program mgeval: how far the members of a set are from each other (intra), and
from those of another set (inter), each as a density, tells whether the sets are alike in what the
distance is of. Taken as it is there:

- Euclidean distances of each member to every other one of its set, so each pair counts twice, and
  to every one of the other set;
- densities by Gaussian kernels of Scott's width (the standard deviation times the number of
  distances to the power of -1/5);
- of an intra and an inter density the area that both cover, and the KL divergence of the intra
  density from the inter one, in nats.

What differs:

- Both densities are taken at the same GRID_POINTS points and scaled to sum to 1. The points reach
  beyond the smallest and largest distance by four kernel widths, where mgeval cuts the area; for
  the divergence, it pairs the points of two grids that lie in different places.
- Distances are counted in BINS bins, at whose middles the kernels stand, so that millions of them
  take a second. A kernel is at least as wide as two points are apart, so that there is a density
  even where all distances are the same, and no density is below MIN_DENSITY, so that the divergence
  is finite.
"""

import math
from typing import NamedTuple

import numpy as np

BINS = 2048
GRID_POINTS = 1000
MIN_DENSITY = 1e-12  # where all points sum to 1
CHUNK = 256  # rows of the matrix of all distances


class Distances(NamedTuple):
    """Euclidean distances, counted.

    Attributes:
      counts: float64 [BINS]; counts[i] distances are about i * bin_width.
      bin_width: How wide a bin is.
      mean: Of the distances; NaN if there are none, and so is `std`.
      std: Their standard deviation, with n - 1.
    """

    counts: np.ndarray
    bin_width: float
    mean: float
    std: float

    @property
    def scott_width(self) -> float:
        """The standard deviation of a kernel."""
        return self.std * float(self.counts.sum()) ** -0.2


def limit(a: np.ndarray, b: np.ndarray) -> float:
    """What no distance within or between sets [n, k] and [m, k] is over; 0 where there is none."""
    values = np.concatenate([a, b])
    return float(np.linalg.norm(np.ptp(values, axis=0))) if len(values) else 0.0


def within(a: np.ndarray, largest: float) -> Distances:
    """Of each member of a set to every other one.

    Args:
      a: float64 [n, k].
      largest: See `limit`; distances that are compared must be counted up to the same.
    """
    return _count(a, a, largest, len(a))


def between(a: np.ndarray, b: np.ndarray, largest: float) -> Distances:
    """Of each member of a set [n, k] to every one of another, [m, k]; see `within`."""
    return _count(a, b, largest, 0)


def kl_divergence(intra: Distances, inter: Distances) -> float:
    """Of the density of the first from that of the second, in nats, 0 or more.

    NaN where there are no distances, as in `overlapped_area`.
    """
    points = _points(intra, inter)
    if points is None:
        return math.nan
    p, q = density(intra, points), density(inter, points)
    return float(np.sum(p * np.log(p / q)))


def overlapped_area(intra: Distances, inter: Distances) -> float:
    """The area that both densities cover, 0 to 1."""
    points = _points(intra, inter)
    if points is None:
        return math.nan
    return float(np.sum(np.minimum(density(intra, points), density(inter, points))))


def density(distances: Distances, points: np.ndarray) -> np.ndarray:
    """The kernel density at points [num] of equal spacing, scaled to sum to 1."""
    width = max(distances.scott_width, points[1] - points[0])
    used = np.flatnonzero(distances.counts)
    from_kernels = (points[:, np.newaxis] - used * distances.bin_width) / width
    found = np.exp(-0.5 * from_kernels**2) @ distances.counts[used]
    found = np.maximum(found / found.sum(), MIN_DENSITY)
    return found / found.sum()


def _count(a: np.ndarray, b: np.ndarray, largest: float, num_own: int) -> Distances:
    """Counts the distances but for `num_own` of a member to itself, which are 0."""
    counts, bin_width = np.zeros(BINS), (largest or 1.0) / (BINS - 1)
    total = squares = 0.0
    for start in range(0, len(a), CHUNK):
        rows = a[start : start + CHUNK]
        square = np.zeros((len(rows), len(b)))
        for i in range(a.shape[1]):
            square += (rows[:, [i]] - b[:, i]) ** 2
        distances = np.sqrt(square).ravel()
        counts += np.bincount(np.rint(distances / bin_width).astype(int), minlength=BINS)
        total, squares = total + float(distances.sum()), squares + float(square.sum())
    counts[0] -= num_own
    num = float(counts.sum())
    if not num:
        return Distances(counts, bin_width, math.nan, math.nan)
    variance = max(squares - total**2 / num, 0) / max(num - 1, 1)
    return Distances(counts, bin_width, total / num, math.sqrt(variance))


def _points(*both: Distances) -> np.ndarray | None:
    """Where densities are compared; None where one has no distances."""
    if not all(distances.counts.any() for distances in both):
        return None
    used = np.flatnonzero(sum(distances.counts for distances in both)) * both[0].bin_width
    margin = max(both[0].bin_width, *(4 * distances.scott_width for distances in both))
    return np.linspace(used[0] - margin, used[-1] + margin, GRID_POINTS)
