"""How windows hold together from bar to bar, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_windows import random_windows

from groovae.metrics.structure import LABELS, hits_per_bar, structure
from groovae.music.drums import CLOSED_HIHAT, KICK, SNARE


def window(bars: int = 2, steps_per_bar: int = 16, **steps: list[int]) -> np.ndarray:
    """One window, [1, steps, 27], with hits at these steps."""
    grid = np.zeros((1, bars * steps_per_bar, 27), np.float32)
    for drum, name in ((KICK, "kick"), (SNARE, "snare"), (CLOSED_HIHAT, "hihat")):
        grid[0, steps.get(name, []), drum] = 1
    return grid


def test_bar_similarity_is_the_f1_of_adjacent_bars() -> None:
    assert structure(window(kick=[0, 8, 16, 24]))["bar_similarity"] == 1
    assert structure(window(kick=[0, 8, 16]))["bar_similarity"] == pytest.approx(2 / 3)
    assert structure(window(kick=[0], snare=[16]))["bar_similarity"] == 0
    assert structure(window())["bar_similarity"] == 1
    three = window(bars=3, kick=[0, 16, 40])
    assert structure(three)["bar_similarity"] == 0.5


def test_sparse_bars_have_fewer_than_6_hits() -> None:
    windows = window(hihat=[0, 2, 4, 6, 8, 16, 18, 20, 22, 24, 26])
    np.testing.assert_array_equal(hits_per_bar(windows), [[5, 6]])
    assert structure(windows)["sparse_bars"] == 0.5


def test_backbeat_and_downbeat_count_snare_and_kick_at_their_16ths() -> None:
    measured = structure(window(kick=[0, 8], snare=[4, 12, 20]))
    assert measured["backbeat"] == 0.75
    assert measured["downbeat"] == 0.5


def test_other_meters_have_bars_of_their_own_and_no_backbeat() -> None:
    waltz = structure(window(steps_per_bar=12, kick=[0, 12]), meter=(3, 4))
    assert (waltz["downbeat"], waltz["bar_similarity"]) == (1, 1)
    assert math.isnan(waltz["backbeat"])
    march = structure(window(steps_per_bar=8, snare=[4, 12]), meter=(2, 4))
    assert march["backbeat"] == 1


def test_nothing_to_measure_is_nan() -> None:
    assert all(math.isnan(value) for value in structure(np.zeros((0, 32, 27))).values())
    single = structure(window(bars=1, kick=[0]))
    assert math.isnan(single["bar_similarity"])
    assert single["downbeat"] == 1
    assert math.isnan(structure(np.zeros((2, 32, 3)))["backbeat"])


@given(seed=st.integers(0, 2**32 - 2))
def test_all_measures_are_shares(seed: int) -> None:
    measured = structure(random_windows(5, seed, bars=4))
    assert list(measured) == list(LABELS)
    assert all(0 <= value <= 1 for value in measured.values())
