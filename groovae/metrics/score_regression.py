"""Ridge regression of velocity and timing on the score, a baseline that hears context: pure NumPy.

A score is which drum is hit at which step. The predictors of a hit are its drum, its step, the hits
of all drums within REACH steps before and after, how often each drum is hit in the window, and 1.

>>> hits = np.zeros((50, 16, 1), bool)
>>> hits[:, [0, 4]] = True
>>> velocities = np.where(np.arange(16)[:, None] == 0, 0.9, 0.5) * np.ones((50, 1, 1))
>>> found = fit(hits, hits, velocities, 0 * velocities).predict(hits, hits)[0]
>>> found[0, [0, 4], 0].round(1).tolist()
[0.9, 0.5]
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

REACH = 8
PENALTY = 10.0
CHUNK = 256  # windows at a time
LIMITS = ((0, 1), (-1, 1))  # of velocities and offsets


class ScoreRegression(NamedTuple):
    """Coefficients of the predictors, [predictors, 2], for velocities and offsets."""

    coefficients: np.ndarray

    def predict(self, hits: np.ndarray, score: np.ndarray) -> list[np.ndarray]:
        """Return velocities and offsets of hits, each [n, steps, drums], 0 elsewhere.

        Args:
          hits: The hits to play, bool [n, steps, drums].
          score: All hits that are known, bool of the same shape.
        """
        found = [np.zeros(hits.shape) for _ in LIMITS]
        for rows, cells, predictors in _chunks(hits, score):
            values = predictors @ self.coefficients
            for part, value, limits in zip(found, values.T, LIMITS, strict=True):
                part[rows][cells] = np.clip(value, *limits)
        return found


def fit(
    hits: np.ndarray, score: np.ndarray, velocities: np.ndarray, offsets: np.ndarray
) -> ScoreRegression:
    """Fit the velocities and offsets of hits; arguments are [n, steps, drums], see `predict`.

    Hits with a non-finite value are left out.
    """
    hits = hits & np.isfinite(velocities) & np.isfinite(offsets)
    steps, drums = hits.shape[1:]
    size = drums + steps + (2 * REACH + 1) * drums + drums + 1
    squares, products = np.zeros((size, size)), np.zeros((size, 2))
    for rows, cells, predictors in _chunks(hits, score):
        values = np.stack([part[rows][cells] for part in (velocities, offsets)], axis=1)
        squares += predictors.T @ predictors
        products += predictors.T @ values
    penalty = PENALTY * np.eye(size)
    penalty[-1, -1] = 1e-6  # of the constant
    return ScoreRegression(np.linalg.solve(squares + penalty, products))


def predictors_of(hits: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the predictors of each hit, in the order of `np.nonzero`: float32 [hits, k]."""
    n, steps, drums = hits.shape
    window, step, drum = np.nonzero(hits)
    padded = np.zeros((n, steps + 2 * REACH, drums), np.float32)
    padded[:, REACH : REACH + steps] = score
    around = np.stack([padded[window, step + i] for i in range(2 * REACH + 1)], axis=1)
    parts = (
        *(np.eye(drums, dtype=np.float32)[drum], np.eye(steps, dtype=np.float32)[step]),
        around.reshape(len(window), (2 * REACH + 1) * drums),
        score.mean(axis=1, dtype=np.float32)[window],
    )
    return np.concatenate([*parts, np.ones((len(window), 1), np.float32)], axis=1)


def _chunks(hits: np.ndarray, score: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield the windows of each chunk, their hits, and the predictors of these."""
    for start in range(0, len(hits), CHUNK):
        rows = slice(start, start + CHUNK)
        yield rows, hits[rows], predictors_of(hits[rows], score[rows]).astype(np.float64)
