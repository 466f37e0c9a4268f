"""Latent space: distributions, interpolation, and thresholds of hits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groovae.model import latent

SHARES = st.floats(0, 1)
SEEDS = st.integers(0, 2**31 - 1)
POINTS = arrays(np.float64, (3, 4), elements=st.floats(-5, 5))

# Tolerance of a mean in standard errors: one in 500 million is further off.
ERRORS = 6

# Steps and chains


@given(z=POINTS, noise=POINTS)
def test_step_of_0_returns_z_and_step_of_1_returns_noise(z: np.ndarray, noise: np.ndarray) -> None:
    np.testing.assert_array_equal(latent.step_away(z, noise, 0), z)
    np.testing.assert_array_equal(latent.step_away(z, noise, 1), noise)


@settings(max_examples=30)
@given(drift=SHARES, seed=SEEDS)
def test_chain_is_normal_and_correlated_by_distance(drift: float, seed: int) -> None:
    rng = np.random.RandomState(seed)
    links = np.stack([latent.chain(4, 2, drift, rng) for _ in range(5_000)])
    assert links.shape == (5_000, 4, 2)
    draws = links.transpose(1, 0, 2).reshape(4, -1)
    error = ERRORS / math.sqrt(draws.shape[1])
    np.testing.assert_allclose(draws.mean(axis=1), 0, atol=error)
    np.testing.assert_allclose(draws.var(axis=1), 1, atol=error * math.sqrt(2))
    distances = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    expected = math.sqrt(1 - drift**2) ** distances
    np.testing.assert_allclose(np.corrcoef(draws), expected, atol=error)


def test_chains_and_dimensions_are_independent() -> None:
    rng = np.random.RandomState(1)
    links = np.stack([latent.chain(3, 2, 0.5, rng) for _ in range(20_000)])
    across_dimensions = np.corrcoef(links[:, 0, 0], links[:, 1, 1])[0, 1]
    across_chains = np.corrcoef(links[:-1, 0, 0], links[1:, 0, 0])[0, 1]
    assert abs(across_dimensions) < ERRORS / math.sqrt(20_000)
    assert abs(across_chains) < ERRORS / math.sqrt(20_000)


@given(seed=SEEDS)
def test_drift_0_repeats_and_drift_1_draws_independently(seed: int) -> None:
    still, new = (latent.chain(5, 4, drift, np.random.RandomState(seed)) for drift in (0, 1))
    np.testing.assert_array_equal(still, np.repeat(still[:1], 5, axis=0))
    np.testing.assert_array_equal(new, np.random.RandomState(seed).randn(5, 4))


# Interpolation


@given(start=POINTS, end=POINTS)
def test_slerp_is_exact_at_both_ends(start: np.ndarray, end: np.ndarray) -> None:
    np.testing.assert_array_equal(latent.slerp(start, end, 0.0), start)
    np.testing.assert_array_equal(latent.slerp(start, end, 1.0), end)


@given(start=POINTS, end=POINTS, share=SHARES)
def test_slerp_equals_magentas_where_that_is_finite(
    start: np.ndarray, end: np.ndarray, share: float
) -> None:
    ours = latent.slerp(start, end, share)
    assert np.isfinite(ours).all()
    for row, a, b in zip(ours, start, end, strict=True):
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        omega = math.acos(np.clip(a @ b / lengths, -1, 1)) if lengths > 1e-3 else 0
        if 1e-3 < omega < math.pi - 1e-3:
            weights = [math.sin(line * omega) / math.sin(omega) for line in (1 - share, share)]
            np.testing.assert_allclose(row, weights[0] * a + weights[1] * b, rtol=1e-6, atol=1e-6)


def test_slerp_halfway_between_right_angles() -> None:
    start, end = np.array([[2.0, 0], [0, 1]]), np.array([[0, 2.0], [1, 0]])
    half = math.sqrt(0.5)
    np.testing.assert_allclose(
        latent.slerp(start, end, 0.5), [[2 * half, 2 * half], [half, half]], atol=1e-12
    )
    third = latent.slerp(start, end, 1 / 3)
    np.testing.assert_allclose(
        third[0], [2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)], atol=1e-12
    )


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0, -2.0, 0.0])
def test_slerp_is_linear_between_parallel_points(factor: float) -> None:
    start = np.array([[0.6, -0.8, 0.0]])
    for share in (0.25, 0.5):
        straight = (1 - share + share * factor) * start
        got = latent.slerp(start, factor * start, share)
        if factor:
            np.testing.assert_allclose(got, straight, atol=1e-12)
        assert np.isfinite(got).all()


# Hits


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("logit", [-2.0, -0.3, 0.0, 1.5])
def test_hit_rate_is_the_sigmoid_of_the_logit(logit: float, temperature: float) -> None:
    rng = np.random.RandomState(5)
    hits = logit > latent.thresholds((100, 100, 9), temperature, rng)
    expected = 1 / (1 + math.exp(-logit / temperature))
    error = ERRORS * math.sqrt(expected * (1 - expected) / hits.size)
    assert hits.mean() == pytest.approx(expected, abs=error)


def test_thresholds_are_0_at_temperature_0() -> None:
    thresholds = latent.thresholds((2, 3, 9), 0.0, np.random.RandomState(1))
    np.testing.assert_array_equal(thresholds, np.zeros((2, 3, 9)))


def test_each_threshold_draws_one_number_at_any_temperature() -> None:
    after = []
    for temperature in (0.0, 0.5, 2.0):
        rng = np.random.RandomState(3)
        latent.thresholds((2, 16, 9), temperature, rng)
        after.append(rng.random_sample())
    assert after == [np.random.RandomState(3).random_sample(2 * 16 * 9 + 1)[-1]] * 3


def test_more_thresholds_start_with_the_same_values() -> None:
    short, long = (latent.thresholds((n, 4, 9), 0.7, np.random.RandomState(2)) for n in (2, 5))
    np.testing.assert_array_equal(short, long[:2])


class Extremes:
    """Random numbers at the ends of [0, 1), where the logarithm is infinite."""

    def random_sample(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.resize([0.0, np.nextafter(1.0, 0.0)], shape)


def test_thresholds_are_finite_at_both_ends() -> None:
    thresholds = latent.thresholds((1, 2, 9), 1.0, Extremes())  # type: ignore[arg-type]
    assert thresholds.dtype == np.float32
    assert np.isfinite(thresholds).all()
    assert thresholds.min() < -10
    assert thresholds.max() > 10


@given(hits=arrays(np.float32, (2, 4, 9), elements=st.sampled_from([0, 1])))
def test_forced_hits_are_exactly_the_given_ones(hits: np.ndarray) -> None:
    for logit in (-1e30, 0.0, 1e30):
        np.testing.assert_array_equal(
            np.float32(logit) > latent.forced_hit_thresholds(hits), hits > 0.5
        )


def test_condition_on_hits_divides_by_the_likelihood() -> None:
    tensors = np.array([[[1, 0, 1, 0.3, 0.9, 0.02, -0.2, 0.9, 0.01]]], np.float32)
    likelihoods = np.array([[[0.5, 0.5, 0.01]]], np.float32)
    conditioned = latent.condition_on_hits(tensors, likelihoods)
    np.testing.assert_allclose(
        conditioned, [[[1, 0, 1, 0.6, 1.0, 0.02 / 0.05, -0.4, 1.0, 0.01 / 0.05]]], rtol=1e-6
    )


@given(
    tensors=arrays(np.float32, (1, 2, 9), elements=st.floats(-1, 1, width=32)),
    likelihoods=arrays(np.float32, (1, 2, 3), elements=st.floats(0, 1, width=32)),
)
def test_condition_on_hits_keeps_certain_hits_and_ranges(
    tensors: np.ndarray, likelihoods: np.ndarray
) -> None:
    hits, velocities, offsets = np.split(latent.condition_on_hits(tensors, likelihoods), 3, axis=-1)
    np.testing.assert_array_equal(hits, tensors[..., :3])
    assert velocities.max() <= 1
    assert np.abs(offsets).max() <= 1
    np.testing.assert_array_equal(
        latent.condition_on_hits(tensors, np.ones_like(likelihoods)), tensors
    )
