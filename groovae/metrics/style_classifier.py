"""A classifier of musical styles, to measure which style is heard in a groove: pure NumPy.

A ridge regression of the style on the hits and velocities of each drum and 16th, averaged over the
bars of a window. Each style has equal weight, whatever its number of windows.
"""

from collections.abc import Sequence

import numpy as np

from groovae.metrics.features import Meter, parts, steps_per_bar

# Of the Groove MIDI Dataset, those with recordings enough to learn from.
STYLES = (*("rock", "funk", "jazz", "latin", "hiphop", "soul", "punk", "neworleans", "afrobeat"),)
PENALTY = 0.3  # chosen on the validation split


class StyleClassifier:
    """Regression of the style, one against the others.

    Attributes:
      styles: The styles it knows.
    """

    def __init__(
        self,
        windows: np.ndarray,
        styles: Sequence[str],
        known: Sequence[str] = STYLES,
        meter: Meter = (4, 4),
    ):
        """Fit windows [n, steps, 3 * drums] and the style of each; those not `known` are left out.

        Raises:
          ValueError: there are fewer than two styles.
        """
        names = np.asarray(styles)
        self.styles, self._meter = tuple(name for name in known if name in set(styles)), meter
        if len(self.styles) < 2:
            raise ValueError(f"two styles or more are needed, got {', '.join(self.styles)}")
        used = np.isin(names, self.styles)
        inputs = self._features(windows[used])
        self._mean, self._scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
        targets = (names[used][:, np.newaxis] == np.array(self.styles)).astype(np.float64)
        weights = (1 / targets.sum(axis=0))[targets.argmax(axis=1), np.newaxis]
        weights /= weights.mean()
        inputs = self._standardize(inputs)
        penalty = PENALTY * len(inputs) * np.eye(inputs.shape[1])
        penalty[-1] = 0  # of the constant
        weighted = (weights * inputs).T
        self._weights = np.linalg.solve(weighted @ inputs + penalty, weighted @ targets)

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Return the most likely style of each window, [n]."""
        scores = self._standardize(self._features(windows)) @ self._weights
        return np.array(self.styles)[scores.argmax(axis=1)]

    def _standardize(self, inputs: np.ndarray) -> np.ndarray:
        return np.c_[(inputs - self._mean) / self._scale, np.ones(len(inputs))]

    def _features(self, windows: np.ndarray) -> np.ndarray:
        """Return hits and velocities of each drum and 16th, averaged over the bars: [n, k]."""
        hits, velocities, _ = parts(windows, self._meter)
        steps = steps_per_bar(self._meter)
        bars = [
            values.reshape(len(values), -1, steps, values.shape[2]).mean(axis=1)
            for values in (hits, velocities * hits)
        ]
        return np.concatenate(bars, axis=1).reshape(len(windows), -1)
