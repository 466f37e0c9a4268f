"""Small windows for the tests of metrics and baselines."""

from typing import Any

import numpy as np

Hit = tuple[int, int, float, float]


def window(*hits: Hit, bars: int = 1, dtype: Any = np.float32) -> np.ndarray:
    """One window of hits at (step, drum, velocity, offset): [1, 16 * bars, 27]."""
    tensor = np.zeros((1, 16 * bars, 27), dtype)
    for step, drum, velocity, offset in hits:
        tensor[0, step, [drum, 9 + drum, 18 + drum]] = 1, velocity, offset
    return tensor


def random_windows(n: int, seed: int, share: float = 0.2, bars: int = 2) -> np.ndarray:
    """Windows with a hit in this share of the cells: float32 [n, 16 * bars, 27]."""
    rng = np.random.RandomState(seed)
    hits = rng.random_sample((n, 16 * bars, 9)) < share
    parts = [rng.uniform(0.1, 1, hits.shape), rng.uniform(-1, 1, hits.shape)]
    return np.concatenate([hits, *(hits * part for part in parts)], axis=-1).astype(np.float32)
