"""KL divergence, active dimensions and posterior collapse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groovae.metrics.latent_usage import usage

SEEDS = st.integers(0, 2**31 - 1)
POINTS = arrays(np.float64, (3, 4), elements=st.floats(-5, 5))


def test_kl_divergence_by_hand() -> None:
    """Of N(1, 1) from N(0, 1) it is half a nat; of N(0, 4) it is (4 - 1) / 2 - log 2 nats."""
    mu, sigma = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[1.0, 2.0], [1.0, 2.0]])
    found = usage(mu, sigma, free_bits=0.5)
    bits = (0.5 + 1.5 - math.log(2)) / math.log(2)
    assert found["kl_bits"] == pytest.approx(bits, rel=1e-12)
    assert found["bits_beyond_free"] == pytest.approx(bits - 0.5, rel=1e-12)
    assert (found["active_dimensions"], found["dimensions"]) == (1, 2)
    assert not found["collapsed"]
    assert not found["warning"]


def test_posterior_equal_to_the_prior_is_a_collapse() -> None:
    found = usage(np.zeros((50, 16)), np.ones((50, 16)), free_bits=48)
    assert (found["kl_bits"], found["active_dimensions"]) == (0, 0)
    assert found["collapsed"]
    assert "0 of 16" in found["warning"]


@given(mu=POINTS, seed=SEEDS)
def test_order_of_windows_is_irrelevant(mu: np.ndarray, seed: int) -> None:
    sigma = np.exp(mu / 10)
    order = np.random.RandomState(seed).permutation(len(mu))
    here, there = (usage(m, s, 1) for m, s in ((mu, sigma), (mu[order], sigma[order])))
    assert here["active_dimensions"] == there["active_dimensions"]
    assert here["kl_bits"] == pytest.approx(there["kl_bits"], abs=1e-9)
    assert here["kl_bits"] >= -1e-9


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_windows_do_not_warn_of_a_collapse(n: int) -> None:
    assert not usage(np.zeros((n, 4)), np.ones((n, 4)), 1)["collapsed"]
