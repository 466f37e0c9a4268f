"""Training batches: which windows come when, and what the model sees of them.

The order is a function of the seed and the batch's number alone. An epoch is a permutation of all
windows, and the batches walk through one epoch after the other, so that each window is seen once in
each, a batch may lie across two, and a training that goes on at step n gets the batches it would
have got. Note dropout is drawn anew for each batch.

Of several workers, number k of n takes the batches k, n + k, 2 n + k, ...
"""

import functools
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from groovae.data.window_cache import CachedWindows
from groovae.data.windows import to_controls, to_inputs


class Batch(NamedTuple):
    """Windows as Magenta's `data.get_dataset` gives them, float32 [n, steps, depth] each.

    Attributes:
      inputs: What the encoder sees.
      outputs: What the decoder shall give.
      controls: What it is told beside z, of depth 0 in most configs.
      lengths: int32 [n], the number of steps.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    controls: np.ndarray
    lengths: np.ndarray


def order(
    num_windows: int, batch_size: int, seed: int, first: int = 0, every: int = 1
) -> Iterator[np.ndarray]:
    """Yields the numbers of the windows in batches `first`, `first + every`, ..., without end."""

    @functools.lru_cache(maxsize=1)
    def permutation(epoch: int) -> np.ndarray:
        # Unlike NumPy's newer generators, RandomState promises the same numbers in all versions.
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
    windows: CachedWindows, batch_size: int, seed: int, first: int = 0, every: int = 1
) -> Iterator[Batch]:
    """Yields batches in `order`, without end, each made while the one before is trained on."""

    def make(number: int, indices: np.ndarray) -> Batch:
        return _batch(windows, indices, np.random.RandomState([seed, number]))

    batches = map(
        make,
        itertools.count(first, every),
        order(len(windows), batch_size, seed, first, every),
    )
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches)
        while True:
            batch = coming.result()
            coming = pool.submit(next, batches)
            yield batch


def evaluation_batches(windows: CachedWindows, batch_size: int) -> Iterator[Batch]:
    """Yields each window once, in order; the last batch may be smaller."""
    for first in range(0, len(windows), batch_size):
        indices = np.arange(first, min(first + batch_size, len(windows)))
        yield _batch(windows, indices, np.random.RandomState(first))


def _batch(windows: CachedWindows, indices: np.ndarray, rng: np.random.RandomState) -> Batch:
    layout, outputs = windows.layout, windows.outputs(indices)
    lengths = np.full(len(indices), layout.window_steps, np.int32)
    return Batch(to_inputs(outputs, layout, rng), outputs, to_controls(outputs, layout), lengths)
