"""The controls of a decoder that is told the hits of the steps around each step."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def add_context(hits: np.ndarray, num_steps: int) -> np.ndarray:
    """Return for each step the hits of `num_steps` before it, its own, and `num_steps` after it.

    Args:
      hits: [..., steps, drums]; there are no hits outside.
      num_steps: 0 or more.

    Returns:
      [..., steps, drums * (1 + 2 * num_steps)], in order of time.
    """
    padding = [(0, 0)] * (hits.ndim - 2) + [(num_steps, num_steps), (0, 0)]
    around = sliding_window_view(np.pad(hits, padding), 1 + 2 * num_steps, axis=-2)
    depth = hits.shape[-1] * (1 + 2 * num_steps)
    return np.swapaxes(around, -1, -2).reshape(*hits.shape[:-1], depth)
