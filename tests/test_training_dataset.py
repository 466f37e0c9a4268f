"""Windows to batches: each of Magenta's windows once in an epoch, in an order a seed repeats."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groovae.configs import CONFIG_MAP, get_config
from groovae.upstream import magenta_configs, tf
from groovae.windows import Report, Windows, load_windows, read_sequences, training_dataset

TAP = "groovae_2bar_tap_fixed_velocity"
NOTE_DROPOUT = "groovae_2bar_tap_fixed_velocity_note_dropout"
BATCH_SIZE = 40  # five batches are the 200 windows of the fixture `records`


def load_all(records: Path, name: str = "groovae_4bar") -> list[Windows]:
    return list(load_windows(str(records), get_config(name).data_converter, Report()))


def batches(
    windows: list[Windows],
    count: int,
    name: str = "groovae_4bar",
    batch_size: int = BATCH_SIZE,
    seed: int | None = None,
) -> list[tuple[np.ndarray, ...]]:
    converter = get_config(name).data_converter
    with tf.Graph().as_default(), tf.Session() as session:
        dataset = training_dataset(lambda: windows, converter, batch_size, 500, seed)
        batch = tf.data.make_one_shot_iterator(dataset).get_next()
        return [session.run(batch) for _ in range(count)]


def rows(tensors: Iterable[Sequence[Any]]) -> list[bytes]:
    """Each window as bytes: its inputs, outputs and controls."""
    windows = (window for first in tensors for window in zip(*first[:3], strict=True))
    return [np.concatenate(window, axis=-1).astype(np.float32).tobytes() for window in windows]


@pytest.mark.parametrize("name", sorted(set(CONFIG_MAP) - {NOTE_DROPOUT}))
def test_an_epoch_holds_each_of_magentas_windows_once(records: Path, name: str) -> None:
    converter = magenta_configs.CONFIG_MAP[name].data_converter
    converter.set_mode("train")
    expected = rows(converter.to_tensors(sequence) for sequence in read_sequences(str(records)))
    epoch = batches(load_all(records, name), len(expected) // BATCH_SIZE, name)
    assert len(expected) % BATCH_SIZE == 0
    assert Counter(rows(epoch)) == Counter(expected)


def test_note_dropout_takes_hits_from_the_inputs_only(records: Path) -> None:
    whole = [window for windows in load_all(records, TAP) for window in zip(*windows, strict=True)]
    thinned = load_all(records, NOTE_DROPOUT)
    hits_before = hits_after = 0.0
    for window in (window for windows in thinned for window in zip(*windows, strict=True)):
        inputs, outputs, _ = whole.pop(0)
        np.testing.assert_array_equal(window[1], outputs)
        assert (window[0][:, :9] <= inputs[:, :9]).all()
        hits_before += inputs[:, :9].sum()
        hits_after += window[0][:, :9].sum()
    assert not whole
    assert 0 < hits_after < hits_before


@pytest.mark.parametrize("name", sorted(CONFIG_MAP))
def test_a_batch_has_the_shapes_of_its_config(records: Path, name: str) -> None:
    steps = CONFIG_MAP[name].hparams.max_seq_len
    control_depth = 9 if name == "groovae_2bar_hits_control_tfds" else 0
    inputs, outputs, controls, lengths = batches(load_all(records, name), 1, name, batch_size=3)[0]
    assert inputs.shape == outputs.shape == (3, steps, 27)
    assert controls.shape == (3, steps, control_depth)
    assert inputs.dtype == outputs.dtype == controls.dtype == np.float32
    assert (lengths.dtype, list(lengths)) == (np.int32, [steps] * 3)
    np.testing.assert_array_equal(controls, outputs[:, :, :control_depth])


def test_each_epoch_and_each_seed_has_an_order_of_its_own(records: Path) -> None:
    windows = load_all(records)
    runs = [rows(batches(windows, 10, seed=seed)) for seed in (1, 1, 2, None, None)]
    assert runs[0] == runs[1]
    orders = {tuple(run[half : half + 200]) for run in runs[1:] for half in (0, 200)}
    assert len(orders) == 8
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_a_partial_batch_is_carried_into_the_next_epoch(records: Path) -> None:
    windows = load_all(records)
    six_epochs = rows(batches(windows, 25, batch_size=48))
    assert Counter(six_epochs) == Counter(rows(windows) * 6)


def test_the_windows_are_not_in_the_graph(records: Path) -> None:
    windows, sizes = load_all(records), []
    for count in (1, len(windows)):
        with tf.Graph().as_default() as graph:
            dataset = training_dataset(
                lambda: windows[:count],  # noqa: B023
                get_config().data_converter,
                BATCH_SIZE,
                500,
            )
            tf.data.make_one_shot_iterator(dataset).get_next()
            sizes.append(len(graph.as_graph_def().SerializeToString()))
    assert abs(sizes[0] - sizes[1]) < 16  # the generator's running number may have more digits
