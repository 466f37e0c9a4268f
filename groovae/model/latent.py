"""Points in latent space, how much it is used, and the chances of hits: pure NumPy.

A latent `z` is an array [..., z_size]; under the prior of a model it is N(0, I).
"""

import math

import numpy as np

MIN_LIKELIHOOD = 0.05


def step_away(z: np.ndarray, noise: np.ndarray, length: float) -> np.ndarray:
    """A neighbour of `z`: sqrt(1 - length^2) * z + length * noise.

    With `z` and `noise` drawn from N(0, I) it is drawn from N(0, I) as well. A length of 0 is `z`
    itself, one of 1 is `noise`.
    """
    return math.sqrt(1 - length**2) * z + length * noise


def chain(num_links: int, z_size: int, drift: float, rng: np.random.RandomState) -> np.ndarray:
    """Latents [num_links, z_size], each a step of length `drift` from the one before.

    The correlation of two links is sqrt(1 - drift^2) to the power of their distance.
    """
    links = rng.randn(num_links, z_size)
    for i in range(1, num_links):
        links[i] = step_away(links[i - 1], links[i], drift)
    return links


def slerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """Spherical linear interpolation from `start` [n, z_size] to `end`, row by row.

    As `TrainedModel.interpolate` (magenta/models/music_vae/trained_model.py), which has no answer
    where the two point the same way; there the straight line is taken.
    """
    cosine = np.sum(start * end, axis=-1, keepdims=True)
    norms = [np.linalg.norm(z, axis=-1, keepdims=True) for z in (start, end)]
    omega = np.arccos(np.clip(cosine / np.maximum(norms[0] * norms[1], 1e-12), -1, 1))
    is_straight = np.sin(omega) < 1e-6
    sine = np.where(is_straight, 1, np.sin(omega))
    weights = [
        np.where(is_straight, line, np.sin(line * omega) / sine) for line in (1 - share, share)
    ]
    return weights[0] * start + weights[1] * end


def thresholds(
    shape: tuple[int, ...], temperature: float, rng: np.random.RandomState
) -> np.ndarray:
    """Thresholds for hits that are drawn: a hit falls where its logit is over its threshold.

    With u uniform in (0, 1), `logit > temperature * log(u / (1 - u))` is true as often as
    Bernoulli(sigmoid(logit / temperature)) is 1, and at a temperature of 0 where a hit is likelier
    than none.

    Args:
      shape: [n, steps, drums].
      temperature: 0 or more.
      rng: Where the numbers come from, one for each threshold, whatever the temperature.
    """
    u = np.clip(rng.random_sample(shape), 1e-7, 1 - 1e-7)
    return (temperature * np.log(u / (1 - u))).astype(np.float32)


def forced_hit_thresholds(hits: np.ndarray) -> np.ndarray:
    """Thresholds by which just these hits fall: 1 or 0 for each step and drum."""
    return np.where(hits > 0.5, np.float32(-np.inf), np.float32(np.inf))


def condition_on_hits(tensors: np.ndarray, likelihoods: np.ndarray) -> np.ndarray:
    """Velocities and offsets as those of a hit, where the decoder gives a mean over hit or not.

    It learns by squared error, and that both are 0 where nothing is hit. So what it says is the
    mean over the grooves that `z` may stand for, in some of which there is no hit: the likelihood
    of the hit times the mean of those that have it. As decoded, a hit is the softer and the stiffer
    the less likely it was. A likelihood below MIN_LIKELIHOOD counts as that, since the quotient of
    two small numbers says little.

    Args:
      tensors: float32 [n, steps, 3 * drums], as decoded.
      likelihoods: Of each hit, [n, steps, drums].
    """
    hits, velocities, offsets = np.split(tensors, 3, axis=-1)
    share = np.maximum(likelihoods, MIN_LIKELIHOOD)
    felt = [hits, np.minimum(velocities / share, 1), np.clip(offsets / share, -1, 1)]
    return np.concatenate(felt, axis=-1)
