"""Tests of groovae.data.batches: order, contents and note dropout."""

import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groovae.config import config_map
from groovae.config.config_map import CONFIG_MAP
from groovae.data import window_cache
from groovae.data.batches import evaluation_batches, order, training_batches
from groovae.data.records import find
from groovae.data.window_cache import CachedWindows
from groovae.upstream import magenta_configs

NOTE_DROPOUT = "groovae_2bar_tap_fixed_velocity_note_dropout"
CONTROL_DEPTHS = {
    "groovae_2bar_hits_control_tfds": 9,
    "groovae_2bar_humanize_hits": 9 * 17 + 109,  # and the tempo
    "groovae_2bar_transfer_hits": 9 * 17,
    "groovae_2bar_tap_context": 2 * 17,  # hit and offset of the taps
    "groovae_2bar_add_closed_hh_context": 3 * 8 * 17,
}
BATCH_SIZE = 40  # the fixture `records` has 200 windows


def load(records: Path, name: str = "groovae_4bar", **policy: int) -> CachedWindows:
    return window_cache.load(find(records), config_map.layout(name, **policy), records.parent)


def take(count: int, windows: CachedWindows, batch_size: int = BATCH_SIZE, seed: int = 1):
    return list(itertools.islice(training_batches(windows, batch_size, seed), count))


def rows(batches: Iterable[tuple[np.ndarray, ...]]) -> list[bytes]:
    """Return each window as bytes: its inputs, outputs and controls."""
    windows = (window for batch in batches for window in zip(*batch[:3], strict=True))
    return [np.concatenate(window, axis=-1).astype(np.float32).tobytes() for window in windows]


# Order


@given(
    num_windows=st.integers(1, 60),
    batch_size=st.integers(1, 90),
    seed=st.integers(0, 2**31 - 1),
    start_step=st.integers(0, 20),
)
def test_order_has_each_window_once_per_epoch_and_resumes(
    num_windows: int, batch_size: int, seed: int, start_step: int
) -> None:
    steps = start_step + 2 * num_windows // batch_size + 3
    all_batches = list(itertools.islice(order(num_windows, batch_size, seed), steps))
    resumed = list(
        itertools.islice(order(num_windows, batch_size, seed, start_step), steps - start_step)
    )
    np.testing.assert_array_equal(resumed, all_batches[start_step:])
    numbers = np.concatenate(all_batches)
    for epoch in range(len(numbers) // num_windows):
        once = np.sort(numbers[epoch * num_windows : (epoch + 1) * num_windows])
        np.testing.assert_array_equal(once, np.arange(num_windows))


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = [
        tuple(batch.tolist())
        for seed in (1, 2)
        for batch in itertools.islice(order(99, 99, seed), 5)
    ]
    assert len(set(orders)) == 10


# Contents


@pytest.mark.parametrize("name", sorted(set(CONFIG_MAP) - {NOTE_DROPOUT}))
def test_epoch_has_each_window_of_magenta_once(records: Path, name: str) -> None:
    converter = (magenta_configs.CONFIG_MAP | CONFIG_MAP)[name].data_converter
    converter.set_mode("train")
    expected = rows([converter.to_tensors(sequence) for sequence in find(records)])
    assert len(expected) % BATCH_SIZE == 0
    epoch = take(len(expected) // BATCH_SIZE, load(records, name))
    assert Counter(rows(epoch)) == Counter(expected)


@pytest.mark.parametrize("name", sorted(CONFIG_MAP))
def test_batches_resume_at_any_number(records: Path, name: str) -> None:
    windows = load(records, name)
    whole = list(itertools.islice(training_batches(windows, 3, seed=7), 6))
    resumed = list(itertools.islice(training_batches(windows, 3, seed=7, first=2), 4))
    for ours, theirs in zip(resumed, whole[2:], strict=True):
        for array, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(array, other)
    inputs, outputs, controls, lengths = whole[0]
    steps = CONFIG_MAP[name].hparams.max_seq_len
    assert inputs.shape == outputs.shape == (3, steps, 27)
    assert controls.shape == (3, steps, CONTROL_DEPTHS.get(name, 0))
    assert (lengths.dtype, list(lengths)) == (np.int32, [steps] * 3)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_share_the_batches_of_one_worker(records: Path, workers: int) -> None:
    windows = load(records)
    shares = [
        itertools.islice(training_batches(windows, 8, seed=5, first=k, every=workers), 4)
        for k in range(workers)
    ]
    dealt = [batch for round_ in zip(*shares, strict=True) for batch in round_]
    alone = list(itertools.islice(training_batches(windows, 8, seed=5), 4 * workers))
    assert rows(dealt) == rows(alone)


@pytest.mark.parametrize("batch_size", [7, 40, 200, 999])
def test_evaluation_batches_have_each_window_once_in_order(records: Path, batch_size: int) -> None:
    windows = load(records)
    batches = list(evaluation_batches(windows, batch_size))
    assert [len(batch.lengths) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    outputs = np.concatenate([batch.outputs for batch in batches])
    np.testing.assert_array_equal(outputs, windows.outputs(np.arange(200)))


def test_note_dropout_differs_by_epoch_and_repeats_by_seed(records: Path) -> None:
    windows = load(records, NOTE_DROPOUT)
    count = len(windows) // BATCH_SIZE
    first = take(2 * count, windows)
    assert rows(first) == rows(take(2 * count, windows))
    by_outputs: dict[bytes, set[bytes]] = {}
    for inputs, outputs, _, _ in first:
        for shown, whole in zip(inputs, outputs, strict=True):
            by_outputs.setdefault(whole.tobytes(), set()).add(shown.tobytes())
    assert np.mean([len(shown) > 1 for shown in by_outputs.values()]) > 0.9
