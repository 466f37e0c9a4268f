"""Distances within and between sets, and the similarity of their densities: pure NumPy.

After Yang and Lerch, "On the evaluation of generative models in music", Neural Computing and
Applications 32, 2020, and their program mgeval. Two sets are similar in a feature if the distances
within a set (intra) are distributed like those between the sets (inter). As in mgeval:

- Euclidean distances from each member to every other one of its set, so that each pair counts
  twice, and to every one of the other set;
- Gaussian kernel densities with Scott's bandwidth (the standard deviation times the number of
  distances to the power of -1/5);
- the overlapping area of an intra and an inter density, and the KL divergence of the intra from
  the inter density, in nats.

Unlike mgeval:

- Both densities are evaluated at the same GRID_POINTS points, which reach four bandwidths beyond
  the smallest and the largest distance, and are scaled to sum to 1. (mgeval cuts the area off, and
  pairs points of two different grids for the divergence.)
- Distances are counted in BINS bins, with the kernels at their centres, so that millions of them
  take a second. A kernel is at least as wide as the spacing of the points, so that equal distances
  have a density, and no density is below MIN_DENSITY, so that the divergence is finite.

A set has the same density of distances as its copy:

>>> a = np.random.RandomState(0).normal(size=(100, 1))
>>> largest = max_distance(a, a)
>>> round(overlapped_area(within(a, largest), between(a, a, largest)), 2)
0.99
"""

import math
from typing import NamedTuple

import numpy as np

BINS = 2048
GRID_POINTS = 1000
MIN_DENSITY = 1e-12  # where all points sum to 1
CHUNK = 256  # rows of the matrix of all distances


class Distances(NamedTuple):
    """A histogram of Euclidean distances.

    Attributes:
      counts: float64 [BINS]; counts[i] distances are about i * bin_width.
      bin_width: Width of a bin.
      mean: Mean distance, NaN without distances.
      std: Sample standard deviation, likewise.
    """

    counts: np.ndarray
    bin_width: float
    mean: float
    std: float

    @property
    def bandwidth(self) -> float:
        """Standard deviation of a kernel by Scott's rule."""
        return self.std * float(self.counts.sum()) ** -0.2


def max_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return an upper bound of all distances within and between sets [n, k] and [m, k]."""
    values = np.concatenate([a, b])
    return float(np.linalg.norm(np.ptp(values, axis=0))) if len(values) else 0.0


def within(a: np.ndarray, largest: float) -> Distances:
    """Measure the distances from each member of a set to every other one.

    Args:
      a: float64 [n, k].
      largest: Of `max_distance`; the same for all distances that are compared.
    """
    return _measure(a, a, largest, num_self=len(a))


def between(a: np.ndarray, b: np.ndarray, largest: float) -> Distances:
    """Measure the distances from each member of `a` [n, k] to every one of `b` [m, k]."""
    return _measure(a, b, largest, num_self=0)


def kl_divergence(intra: Distances, inter: Distances) -> float:
    """Return the KL divergence of the first density from the second, in nats.

    NaN if either has no distances, as in `overlapped_area`.
    """
    points = _points(intra, inter)
    if points is None:
        return math.nan
    p, q = density(intra, points), density(inter, points)
    return float(np.sum(p * np.log(p / q)))


def overlapped_area(intra: Distances, inter: Distances) -> float:
    """Return the overlapping area of the densities, 0 to 1."""
    points = _points(intra, inter)
    if points is None:
        return math.nan
    return float(np.sum(np.minimum(density(intra, points), density(inter, points))))


def density(distances: Distances, points: np.ndarray) -> np.ndarray:
    """Return the kernel density at equally spaced points [num], scaled to sum to 1."""
    width = max(distances.bandwidth, points[1] - points[0])
    used = np.flatnonzero(distances.counts)
    from_kernels = (points[:, np.newaxis] - used * distances.bin_width) / width
    found = np.exp(-0.5 * from_kernels**2) @ distances.counts[used]
    found = np.maximum(found / found.sum(), MIN_DENSITY)
    return found / found.sum()


def _measure(a: np.ndarray, b: np.ndarray, largest: float, num_self: int) -> Distances:
    """Count all distances but `num_self` of a member to itself, which are 0."""
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
    counts[0] -= num_self
    num = float(counts.sum())
    if not num:
        return Distances(counts, bin_width, math.nan, math.nan)
    variance = max(squares - total**2 / num, 0) / max(num - 1, 1)
    return Distances(counts, bin_width, total / num, math.sqrt(variance))


def _points(*both: Distances) -> np.ndarray | None:
    """Return the points at which densities are compared, None if either has no distances."""
    if not all(distances.counts.any() for distances in both):
        return None
    used = np.flatnonzero(sum(distances.counts for distances in both)) * both[0].bin_width
    margin = max(both[0].bin_width, *(4 * distances.bandwidth for distances in both))
    return np.linspace(used[0] - margin, used[-1] + margin, GRID_POINTS)
