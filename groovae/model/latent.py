"""Points in latent space, and thresholds that decide hits: pure NumPy.

A latent `z` is an array [..., z_size]; the model's prior of it is N(0, I). The decoder outputs a
logit for each hit, and there is a hit where the logit is above a threshold.
"""

import math

import numpy as np

MIN_LIKELIHOOD = 0.05


def step_away(z: np.ndarray, noise: np.ndarray, length: float) -> np.ndarray:
    """Return a neighbour of `z`: sqrt(1 - length^2) * z + length * noise.

    If `z` and `noise` are drawn from N(0, I), so is the result. A `length` of 0 returns `z`, 1
    returns `noise`.

    >>> step_away(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.6)
    array([0.8, 0.6])
    """
    return math.sqrt(1 - length**2) * z + length * noise


def chain(
    num_links: int,
    z_size: int,
    drift: float,
    rng: np.random.RandomState,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Draw correlated latents [num_links, z_size], each `step_away` from the previous by `drift`.

    Each is distributed as N(0, I); the correlation of two is sqrt(1 - drift^2)^distance. The first
    is drawn independently, or is a step away from `start` [z_size].
    """
    links = rng.randn(num_links, z_size)
    if start is not None:
        links[0] = step_away(start, links[0], drift)
    for i in range(1, num_links):
        links[i] = step_away(links[i - 1], links[i], drift)
    return links


def slerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """Interpolate spherically from `start` [n, z_size] to `end`, row by row.

    Equals `TrainedModel.interpolate` (magenta/models/music_vae/trained_model.py), but interpolates
    linearly between parallel points, where that divides by 0.

    >>> slerp(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), 0.5).round(3)
    array([[0.707, 0.707]])
    """
    cosine = np.sum(start * end, axis=-1, keepdims=True)
    norms = [np.linalg.norm(z, axis=-1, keepdims=True) for z in (start, end)]
    omega = np.arccos(np.clip(cosine / np.maximum(norms[0] * norms[1], 1e-12), -1, 1))
    is_parallel = np.sin(omega) < 1e-6
    sine = np.where(is_parallel, 1, np.sin(omega))
    weights = [
        np.where(is_parallel, part, np.sin(part * omega) / sine) for part in (1 - share, share)
    ]
    return weights[0] * start + weights[1] * end


def thresholds(
    shape: tuple[int, ...], temperature: float, rng: np.random.RandomState
) -> np.ndarray:
    """Draw thresholds by which hits are sampled from Bernoulli(sigmoid(logit / temperature)).

    With u uniform in (0, 1), `logit > temperature * log(u / (1 - u))` has just that probability. At
    temperature 0 there is a hit where the logit is above 0.

    Args:
      shape: [n, steps, drums].
      temperature: 0 or more.
      rng: The source of one number for each threshold, at any temperature.
    """
    u = np.clip(rng.random_sample(shape), 1e-7, 1 - 1e-7)
    return (temperature * np.log(u / (1 - u))).astype(np.float32)


def forced_hit_thresholds(hits: np.ndarray) -> np.ndarray:
    """Return thresholds that force exactly the given hits, which are 1 or 0.

    >>> forced_hit_thresholds(np.array([1, 0]))
    array([-inf,  inf], dtype=float32)
    """
    return np.where(hits > 0.5, np.float32(-np.inf), np.float32(np.inf))


def condition_on_hits(tensors: np.ndarray, likelihoods: np.ndarray) -> np.ndarray:
    """Return tensors with velocities and offsets conditioned on the hit being present.

    The decoder is trained by squared error on velocities and offsets that are 0 where there is no
    hit. So it predicts an expectation over hit and no hit, which is the expectation given a hit
    times the likelihood of the hit: an unlikely hit would be played too softly and too close to the
    grid. This function divides by the likelihood, or by MIN_LIKELIHOOD if that is greater, since
    the quotient of two small numbers is unreliable.

    Args:
      tensors: float32 [n, steps, 3 * drums], as decoded.
      likelihoods: Of each hit, [n, steps, drums].

    >>> tensors = np.array([1, 0.3, 0.1], np.float32)  # a hit, its velocity and its offset
    >>> condition_on_hits(tensors, np.array([0.5], np.float32))
    array([1. , 0.6, 0.2], dtype=float32)
    """
    hits, velocities, offsets = np.split(tensors, 3, axis=-1)
    divisors = np.maximum(likelihoods, MIN_LIKELIHOOD)
    conditioned = [hits, np.minimum(velocities / divisors, 1), np.clip(offsets / divisors, -1, 1)]
    return np.concatenate(conditioned, axis=-1)
