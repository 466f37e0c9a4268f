"""Training batches, in an order that depends only on the seed and the number of the batch.

An epoch is a permutation of all windows. Batches are cut from the epochs in a row, so a batch may
span two of them, and training that is resumed at step n gets the same batches as without the
interruption. Augmentation and note dropout are drawn anew for each batch.

Of n workers, worker k takes the batches k, n + k, 2 n + k, ...
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from groovae.config.controls import make_controls
from groovae.data.augment import augment, augment_tempo
from groovae.data.window_cache import CachedWindows
from groovae.data.windows import to_inputs
from groovae.music.tempo import DEFAULT_QPM


class Batch(NamedTuple):
    """A batch as of Magenta's `data.get_dataset`: arrays of float32 [n, steps, depth].

    Attributes:
      inputs: The encoder's inputs.
      outputs: The decoder's targets.
      controls: The decoder's controls beside z, of depth 0 in most configs.
      lengths: int32 [n], the number of steps.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    controls: np.ndarray
    lengths: np.ndarray


def order(
    num_windows: int, batch_size: int, seed: int, first: int = 0, every: int = 1
) -> Iterator[np.ndarray]:
    """Yield the window indices of batches `first`, `first + every`, ..., without end."""

    @functools.lru_cache(maxsize=1)
    def permutation(epoch: int) -> np.ndarray:
        # RandomState gives the same numbers in all versions of NumPy, unlike Generator.
        return np.random.RandomState([seed, epoch]).permutation(num_windows)

    for number in itertools.count(first, every):
        positions = np.arange(number * batch_size, (number + 1) * batch_size)
        epochs = positions // num_windows
        yield np.concatenate(
            [
                permutation(epoch)[positions[epochs == epoch] % num_windows]
                for epoch in range(epochs[0], epochs[-1] + 1)
            ]
        )


def training_batches(
    windows: CachedWindows,
    batch_size: int,
    seed: int,
    first: int = 0,
    every: int = 1,
    kinds: Sequence[str] = (),
) -> Iterator[Batch]:
    """Yield batches in `order`, without end, of windows changed by `augment`, if there are kinds.

    A thread prepares the next one.
    """

    indices_of = order(len(windows), batch_size, seed, first, every)
    batches = (
        _batch(windows, indices, np.random.RandomState([seed, number]), kinds)
        for number, indices in zip(itertools.count(first, every), indices_of, strict=False)
    )
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(next, batches)
        while True:
            batch = prepared.result()
            prepared = pool.submit(next, batches)
            yield batch


def evaluation_batches(windows: CachedWindows, batch_size: int) -> Iterator[Batch]:
    """Yield each window once, in order; the last batch may be smaller."""
    for first in range(0, len(windows), batch_size):
        indices = np.arange(first, min(first + batch_size, len(windows)))
        yield _batch(windows, indices, np.random.RandomState(first))


def _batch(
    windows: CachedWindows,
    indices: np.ndarray,
    rng: np.random.RandomState,
    kinds: Sequence[str] = (),
) -> Batch:
    layout, outputs = windows.layout, augment(windows.outputs(indices), kinds, rng)
    lengths = np.full(len(indices), layout.window_steps, np.int32)
    inputs = to_inputs(outputs, layout, rng)
    tempo_qpm: np.ndarray | float = DEFAULT_QPM
    if layout.tempo_as_control:
        tempo_qpm = augment_tempo(windows.tempos_qpm(indices), kinds, rng)
    controls = make_controls(inputs, outputs, layout, tempo_qpm)
    return Batch(inputs, outputs, controls, lengths)
