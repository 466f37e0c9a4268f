"""Tests of groovae.data.augment: what each kind changes, and what it keeps."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_windows import random_windows, window

from groovae.config.layout import layout_of
from groovae.data import window_cache
from groovae.data.augment import KINDS, TEMPO_SCALE, augment, augment_tempo, parse_kinds
from groovae.data.batches import training_batches
from groovae.data.records import find
from groovae.errors import UsageError
from groovae.music.drums import CLASS_NAMES, CLOSED_HIHAT, RIDE

LAYOUT = layout_of("groovae_4bar")
GIVEN_TEMPO = layout_of("groovae_2bar_humanize_hits")
OTHERS = [drum for drum, name in enumerate(CLASS_NAMES) if name not in ("closed hi-hat", "ride")]
OTHERS = [drum for drum in OTHERS if "tom" not in CLASS_NAMES[drum]]


def changed(windows: np.ndarray, *kinds: str, seed: int = 0) -> list[np.ndarray]:
    found = augment(windows, kinds, np.random.RandomState(seed))
    assert (found.shape, found.dtype) == (windows.shape, np.float32)
    return np.split(found, 3, axis=-1)


def changed_part(
    windows: np.ndarray, kind: str, part: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a part, of hits, velocities and offsets, before and after; the others are the same."""
    before, after = np.split(windows, 3, axis=-1), changed(windows, kind, seed=seed)
    for number in range(3):
        assert np.array_equal(after[number], before[number]) == (number != part)
    return before[part], after[part]


@given(st.integers(0, 2**31 - 1))
def test_velocities_keep_their_order_and_range(seed: int) -> None:
    windows = random_windows(3, seed)
    before, after = changed_part(windows, "velocity", 1, seed)
    assert after.max() <= 1
    for values, found in zip(before, after, strict=True):
        assert (np.diff(found.ravel()[values.ravel().argsort()]) >= 0).all()


@given(st.integers(0, 2**31 - 1))
def test_offsets_stay_in_their_steps(seed: int) -> None:
    windows = random_windows(3, seed)
    hits = np.split(windows, 3, axis=-1)[0]
    _, after = changed_part(windows, "timing", 2, seed)
    assert np.abs(after).max() <= 1
    assert not after[hits == 0].any()


@given(st.integers(0, 2**31 - 1))
def test_drums_keep_each_hit(seed: int) -> None:
    windows = random_windows(3, seed)
    parts = np.split(windows, 3, axis=-1)
    found = changed(windows, "drums", seed=seed)
    for before, after in zip(parts, found, strict=True):
        np.testing.assert_array_equal(after[..., OTHERS], before[..., OTHERS])
        np.testing.assert_array_equal(np.sort(after, axis=-1), np.sort(before, axis=-1))
    assert not np.abs(found[1])[found[0] == 0].any()


def test_hihat_and_ride_are_exchanged_unless_both_are_played() -> None:
    only_ride = np.repeat(window((0, RIDE, 0.5, 0.1)), 100, axis=0)
    hits, velocities, _ = changed(only_ride, "drums")
    assert 30 < hits[:, 0, CLOSED_HIHAT].sum() < 70
    np.testing.assert_array_equal(velocities[:, 0, CLOSED_HIHAT], hits[:, 0, CLOSED_HIHAT] / 2)
    both = np.repeat(window((0, RIDE, 0.5, 0.1), (4, CLOSED_HIHAT, 0.5, 0.1)), 100, axis=0)
    np.testing.assert_array_equal(np.concatenate(changed(both, "drums"), axis=-1), both)


def test_tempos_are_a_little_faster_or_slower() -> None:
    windows, tempos = random_windows(2, 0), np.linspace(60, 180, 1000)
    factors = augment_tempo(tempos, ["tempo"], np.random.RandomState(0)) / tempos
    assert 1 / TEMPO_SCALE <= factors.min() < 1 / 1.019
    assert 1.019 < factors.max() <= TEMPO_SCALE
    assert augment(windows, ["tempo"], np.random.RandomState(0)) is windows


def test_without_kinds_all_is_the_same() -> None:
    windows, tempos = random_windows(2, 0), np.array([120.0])
    assert augment(windows, (), np.random.RandomState(0)) is windows
    assert augment_tempo(tempos, ["velocity"], np.random.RandomState(0)) is tempos


def test_batches_are_changed_anew_and_resume(records: Path) -> None:
    windows = window_cache.load(find(records), GIVEN_TEMPO, records.parent)
    kinds = list(KINDS)
    whole = list(itertools.islice(training_batches(windows, 50, 3, kinds=kinds), 8))
    resumed = next(training_batches(windows, 50, 3, first=5, kinds=kinds))
    for part, expected in zip(resumed, whole[5], strict=True):
        np.testing.assert_array_equal(part, expected)
    epochs = [
        {each.tobytes() for batch in part for each in batch.outputs}
        for part in (whole[:4], whole[4:])
    ]
    assert not epochs[0] & epochs[1]


def test_kinds_are_checked() -> None:
    assert parse_kinds("velocity, drums", LAYOUT) == ["velocity", "drums"]
    assert parse_kinds("", LAYOUT) == []
    assert parse_kinds("tempo", GIVEN_TEMPO) == ["tempo"]
    with pytest.raises(UsageError, match="'swing'"):
        parse_kinds("velocity,swing", LAYOUT)
    with pytest.raises(UsageError, match="groovae_2bar_humanize_hits"):
        parse_kinds("tempo", LAYOUT)
    with pytest.raises(UsageError, match="2"):
        parse_kinds("drums", dataclasses.replace(LAYOUT, pitch_classes=((36,), (38,))))
