"""Divergence and spread of timing and velocity, by hand."""

import math

import numpy as np
import pytest
from make_windows import random_windows, window

from groovae.metrics.distributions import TIMING_BINS, compare
from groovae.music.drums import KICK, SNARE


def test_spread_is_that_of_the_estimate() -> None:
    """Half steps of 62.5 ms at 120 qpm, and of 125 ms at 60."""
    reference = random_windows(2, 1)
    estimate = np.concatenate([window((0, KICK, 0.5, 0.4)), window((4, SNARE, 0.7, -0.2))])
    found = compare(reference[:, :16], estimate, np.array([120.0, 60.0]))
    assert found["timing_std_ms"] == pytest.approx(25)  # 25 ms and -25 ms
    assert found["velocity_std"] == pytest.approx(12.7)


def test_divergence_by_hand() -> None:
    """One hit each, in different bins: (1.5 and 0.5, 38 times 0.5) / 21."""
    reference, estimate = window((0, KICK, 0.5, 0.5)), window((3, SNARE, 0.5, -0.5))
    found = compare(reference, estimate, 120)
    assert found["timing_kl"] == pytest.approx(math.log(3) / (1 + TIMING_BINS / 2))
    assert found["velocity_kl"] == 0


def test_equal_sets_and_silent_sets() -> None:
    windows = random_windows(5, 2)
    found = compare(windows, windows[::-1], 100)
    assert (found["timing_kl"], found["velocity_kl"]) == (0, 0)
    assert all(map(math.isnan, compare(windows, 0 * windows, 100).values()))
