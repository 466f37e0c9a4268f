"""Fit a prior to the latents of music: a mixture of Gaussians, by EM. Pure NumPy, deterministic.

The windows of each style get components of their own, one for RECORDINGS_PER_COMPONENT recordings.
More components resemble the music more closely, up to copying it: one that covers a single
repetitive recording gives near copies of it. With this number there are fewer near copies of
training windows among samples than among other recordings (see docs/results.md). Deviations are
scaled by SPREAD, since the outskirts of a component are less like music.
"""

from collections.abc import Sequence

import numpy as np

from groovae.errors import UsageError
from groovae.model.prior import MAX_COMPONENTS, Prior

MIN_WINDOWS = 256
MIN_STYLE_WINDOWS = 20
RECORDINGS_PER_COMPONENT = 10
SPREAD = 0.85
MIN_VARIANCE = 0.01
MAX_ITERATIONS = 60
TOLERANCE = 1e-4  # of the mean log-likelihood, in nats


def fit(mu: np.ndarray, styles: Sequence[str], recordings: Sequence[str], model: str) -> Prior:
    """Fit a prior to latents.

    Args:
      mu: Latent means of windows, [n, z_size].
      styles: The style of each window, empty if unknown. Styles with fewer than MIN_STYLE_WINDOWS
        windows share components without a style.
      recordings: The id of the recording that each window is from.
      model: The fingerprint of the model.

    Raises:
      UsageError: there are fewer than MIN_WINDOWS windows.
    """
    check_number(len(mu))
    mu, groups = mu.astype(np.float64), _frequent_only(styles)
    ids = np.array(recordings, dtype=str)
    per_component = max(RECORDINGS_PER_COMPONENT, 2 * len(np.unique(ids)) / MAX_COMPONENTS)
    mixtures = {}
    for name in np.unique(groups).tolist():
        num = max(1, round(len(np.unique(ids[groups == name])) / per_component))
        mixtures[name] = fit_mixture(mu[groups == name], num, np.random.RandomState(0))
    parts = [
        (weights * np.mean(groups == name), means, SPREAD * np.sqrt(variances))
        for name, (weights, means, variances) in mixtures.items()
    ]
    weights, means, deviations = (
        np.concatenate(arrays).astype(np.float32) for arrays in zip(*parts, strict=True)
    )
    of_components = [name for name, (shares, *_) in mixtures.items() for _ in shares]
    return Prior(weights, means, deviations, tuple(of_components), model, len(mu))


def direction(mu: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean latent of the upper quarter by a value minus that of the lower, [z_size].

    Args:
      mu: Latent means of windows, [n, z_size].
      values: A value of each window, such as its density, [n].
    """
    low, high = np.quantile(values, [0.25, 0.75])
    difference = mu[values >= high].mean(axis=0) - mu[values <= low].mean(axis=0)
    return np.asarray(difference, np.float32)


def check_number(num_windows: int) -> None:
    """Raise a UsageError if there are too few windows to fit a prior to."""
    if num_windows < MIN_WINDOWS:
        raise UsageError(
            f"a prior is fitted to {MIN_WINDOWS} windows or more, got {num_windows:,}: samples of "
            "fewer would be copies of them; `groovae info RECORDS` shows what is lost and why"
        )


def fit_mixture(
    points: np.ndarray, num: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a mixture of Gaussians with diagonal covariances by expectation maximization.

    Args:
      points: float64 [n, k], n of 1 or more.
      num: The number of components; those left with less than a point are dropped.
      rng: Chooses the first means as k-means++ does.

    Returns:
      The weights [num], which sum to 1, and the means and variances, both [num, k].
    """
    means = _distant_points(points, num, rng)
    variances = np.tile(points.var(axis=0) + MIN_VARIANCE, (len(means), 1))
    weights = np.full(len(means), 1 / len(means))
    likelihood = -np.inf
    for _ in range(MAX_ITERATIONS):
        shares, new_likelihood = _expect(points, weights, means, variances)
        totals = shares.sum(axis=0)
        is_kept = totals >= 1 - TOLERANCE  # a single point's may be rounded down
        shares, totals = shares[:, is_kept], totals[is_kept]
        means = shares.T @ points / totals[:, np.newaxis]
        squares = shares.T @ points**2 / totals[:, np.newaxis]
        variances = np.maximum(squares - means**2, 0) + MIN_VARIANCE
        weights = totals / totals.sum()
        if new_likelihood - likelihood < TOLERANCE:
            break
        likelihood = new_likelihood
    return weights, means, variances


def _frequent_only(styles: Sequence[str]) -> np.ndarray:
    """Return the styles, with an empty text for those with few windows."""
    names, counts = np.unique(np.array(styles, dtype=str), return_counts=True)
    frequent = names[counts >= MIN_STYLE_WINDOWS]
    return np.where(np.isin(styles, frequent), np.array(styles, dtype=str), "")


def _distant_points(points: np.ndarray, num: int, rng: np.random.RandomState) -> np.ndarray:
    """Choose points, each with a probability that grows with its distance from the others."""
    chosen = [int(rng.randint(len(points)))]
    squares = np.full(len(points), np.inf)
    while len(chosen) < num:
        squares = np.minimum(squares, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        if not squares.sum():  # no other points are left
            break
        chosen.append(int(rng.choice(len(points), p=squares / squares.sum())))
    return points[chosen]


def _expect(
    points: np.ndarray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the share of each component in each point, [n, num], and the mean log-likelihood."""
    constants = np.log(weights) - 0.5 * (np.log(2 * np.pi * variances) + means**2 / variances).sum(
        axis=1
    )
    logs = constants - 0.5 * points**2 @ (1 / variances).T + points @ (means / variances).T
    largest = logs.max(axis=1, keepdims=True)
    shares = np.exp(logs - largest)
    totals = shares.sum(axis=1, keepdims=True)
    return shares / totals, float((largest + np.log(totals)).mean())
