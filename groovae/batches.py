"""Training batches: which windows come when, and how they reach the training graph.

The order is a function of the seed and the step alone. An epoch is a permutation of all windows,
and the steps walk through one epoch after the other, so that each window is seen once in each, a
batch may lie across two, and a training that goes on at step n gets the batches it would have got.
Note dropout is drawn anew for each batch.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from groovae.cache import CachedWindows
from groovae.upstream import tf
from groovae.windows import to_controls, to_inputs

PREFETCHED = 2


def order(
    num_windows: int, batch_size: int, seed: int, start_step: int = 0
) -> Iterator[np.ndarray]:
    """Yields the numbers of the windows in each batch, from a step on and without end."""

    @functools.lru_cache(maxsize=1)
    def permutation(epoch: int) -> np.ndarray:
        # Unlike NumPy's newer generators, RandomState promises the same numbers in all versions.
        return np.random.RandomState([seed, epoch]).permutation(num_windows)

    for step in itertools.count(start_step):
        positions = np.arange(step * batch_size, (step + 1) * batch_size)
        epochs = positions // num_windows
        yield np.concatenate(
            [
                permutation(epoch)[positions[epochs == epoch] % num_windows]
                for epoch in range(epochs[0], epochs[-1] + 1)
            ]
        )


def training_batches(
    windows: CachedWindows, batch_size: int, seed: int, start_step: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yields batches in `order`, without end.

    Args:
      windows: What to train on.
      batch_size: Windows in a batch.
      seed: For the order and the note dropout.
      start_step: The step whose batch comes first.

    Yields:
      inputs, outputs, controls, lengths: float32 [batch_size, steps, depth] each, and int32
      [batch_size] with the number of steps, as Magenta's `data.get_dataset` gives them.
    """
    layout = windows.layout
    lengths = np.full(batch_size, layout.window_steps, np.int32)
    batches = order(len(windows), batch_size, seed, start_step)
    for step, indices in enumerate(batches, start=start_step):
        outputs = windows.outputs(indices)
        inputs = to_inputs(outputs, layout, np.random.RandomState([seed, step]))
        yield inputs, outputs, to_controls(outputs, layout), lengths


def training_dataset(
    windows: CachedWindows, batch_size: int, seed: int, start_step: int = 0
) -> Any:
    """`training_batches` as a tf.data.Dataset, ahead of the training by a few batches.

    The graph holds a call back into this process, not the windows, which every event file would
    carry along.
    """
    layout = windows.layout
    shape = (batch_size, layout.window_steps)
    dataset = tf.data.Dataset.from_generator(
        lambda: training_batches(windows, batch_size, seed, start_step),
        output_types=(tf.float32, tf.float32, tf.float32, tf.int32),
        output_shapes=(
            (*shape, layout.depth),
            (*shape, layout.depth),
            (*shape, layout.control_depth),
            (batch_size,),
        ),
    )
    return dataset.prefetch(PREFETCHED)
