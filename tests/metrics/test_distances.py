"""Distances and densities by hand, against SciPy, and of degenerate sets."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groovae.metrics.distances import (
    Distances,
    between,
    density,
    kl_divergence,
    max_distance,
    overlapped_area,
    within,
)

SETS = arrays(
    np.float64, st.tuples(st.integers(2, 12), st.just(2)), elements=st.floats(-1e6, 1e6, width=32)
)


@pytest.fixture
def stats() -> Any:
    return pytest.importorskip("scipy.stats")


def normal(n: int, mean: float, seed: int, k: int = 1) -> np.ndarray:
    return np.random.RandomState(seed).normal(mean, 1, (n, k))


def intra_and_inter(a: np.ndarray, b: np.ndarray) -> tuple[Distances, Distances]:
    return within(a, max_distance(a, b)), between(a, b, max_distance(a, b))


def pairs(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """All distances by plain loops; within a set, from each member to every other one."""
    if b is None:
        rows = [(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]
    else:
        rows = [(x, y) for x in a for y in b]
    return np.array([math.dist(x, y) for x, y in rows])


def test_distances_by_hand() -> None:
    a, b = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 1.0]])
    intra, inter = intra_and_inter(a, b)
    assert (intra.counts.sum(), intra.mean, intra.std) == (2, 5, 0)  # 5 there and 5 back
    assert inter.counts.sum() == 2  # 1 and the root of 9 + 9
    assert inter.mean == pytest.approx((1 + math.sqrt(18)) / 2, rel=1e-12)
    assert inter.std == pytest.approx((math.sqrt(18) - 1) / math.sqrt(2), rel=1e-12)


@pytest.mark.parametrize("k", [1, 16])
@pytest.mark.parametrize("n", [2, 3, 300])
def test_distances_match_plain_loops(n: int, k: int) -> None:
    a, b = normal(n, 0, 1, k), normal(n + 1, 2, 2, k)
    found = intra_and_inter(a, b)
    for distances, expected in zip(found, (pairs(a), pairs(a, b)), strict=True):
        assert distances.counts.sum() == len(expected)
        assert distances.mean == pytest.approx(expected.mean(), rel=1e-9)
        assert distances.std == pytest.approx(expected.std(ddof=1), rel=1e-6, abs=1e-9)
        middles = np.repeat(np.arange(len(distances.counts)), distances.counts.astype(int))
        np.testing.assert_allclose(
            middles * distances.bin_width, np.sort(expected), atol=0.51 * distances.bin_width
        )


@pytest.mark.parametrize("k", [1, 9])
def test_densities_match_scipy(stats: Any, k: int) -> None:
    a, b = normal(80, 0, 1, k), normal(60, 1, 2, k)
    points = np.linspace(-3, max_distance(a, b) + 3, 1000)
    for distances, expected in zip(intra_and_inter(a, b), (pairs(a), pairs(a, b)), strict=True):
        kernels = stats.gaussian_kde(expected, "scott")
        assert distances.bandwidth == pytest.approx(kernels.covariance[0, 0] ** 0.5, rel=1e-6)
        scaled = kernels(points) / kernels(points).sum()
        np.testing.assert_allclose(density(distances, points), scaled, atol=2e-3 * scaled.max())


def test_area_and_divergence_match_scipy(stats: Any) -> None:
    a, b = normal(80, 0, 1), normal(60, 1, 2)
    p, q = (stats.gaussian_kde(found) for found in (pairs(a), pairs(a, b)))
    points = np.linspace(-3, max_distance(a, b) + 3, 4000)
    p, q = p(points), q(points)
    area = np.sum(np.minimum(p, q)) * (points[1] - points[0])
    intra, inter = intra_and_inter(a, b)
    assert overlapped_area(intra, inter) == pytest.approx(area, rel=2e-3)
    assert kl_divergence(intra, inter) == pytest.approx(stats.entropy(p, q), rel=1e-2)


def test_similar_sets_overlap_more() -> None:
    a = normal(200, 0, 1)
    areas, divergences = [], []
    for shift in (0, 1, 3, 30):
        intra, inter = intra_and_inter(a, normal(200, shift, 2))
        areas.append(overlapped_area(intra, inter))
        divergences.append(kl_divergence(intra, inter))
    assert areas == sorted(areas, reverse=True)
    assert divergences == sorted(divergences)
    assert areas[0] > 0.95
    assert divergences[0] < 0.01
    assert areas[-1] < 1e-6
    assert 20 < divergences[-1] < math.log(1e13)


def test_identical_members_overlap() -> None:
    a = np.full((5, 3), 7.0)
    intra, inter = intra_and_inter(a, a.copy())
    assert overlapped_area(intra, inter) == pytest.approx(1)
    assert kl_divergence(intra, inter) == pytest.approx(0, abs=1e-12)


def test_different_constant_sets_do_not_overlap() -> None:
    intra, inter = intra_and_inter(np.zeros((5, 1)), np.ones((5, 1)))
    assert overlapped_area(intra, inter) < 1e-6
    assert 20 < kl_divergence(intra, inter) < math.log(1e13)


def test_single_member_has_no_distances() -> None:
    intra, inter = intra_and_inter(np.zeros((1, 1)), np.ones((4, 1)))
    assert math.isnan(overlapped_area(intra, inter))
    assert math.isnan(kl_divergence(intra, inter))
    assert math.isnan(intra.mean)
    assert (inter.mean, inter.std) == (1, 0)
    assert max_distance(np.zeros((0, 1)), np.zeros((0, 1))) == 0


def test_outlier_leaves_a_density() -> None:
    a = np.concatenate([normal(50, 0, 1), [[1e9]]])
    intra, inter = intra_and_inter(a, a.copy())
    assert 0.9 < overlapped_area(intra, inter) <= 1


@given(a=SETS, b=SETS)
def test_areas_and_divergences_are_in_range(a: np.ndarray, b: np.ndarray) -> None:
    intra, inter = intra_and_inter(a, b)
    assert -1e-12 <= overlapped_area(intra, inter) <= 1 + 1e-12
    assert -1e-9 <= kl_divergence(intra, inter) < math.log(1e13)
