"""How much of its latent space a model uses: pure NumPy."""

import math
from typing import Any

import numpy as np

ACTIVE_VARIANCE = 0.01


COLLAPSED_SHARE = 0.05


def usage(mu: np.ndarray, sigma: np.ndarray, free_bits: float) -> dict[str, Any]:
    """How much of its latent space a model uses.

    The KL divergence of N(mu, sigma^2) from N(0, I) is in bits, the mean over the windows. A
    dimension is active if the variance of `mu` over the windows is over 0.01 (Burda, Grosse,
    Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016). The posterior has collapsed where
    fewer than a twentieth of the dimensions are: the decoder then plays without listening.

    Args:
      mu: [n, z_size].
      sigma: [n, z_size], over 0.
      free_bits: How many bits cost nothing in training (Magenta's hparam).

    Returns:
      `kl_bits`, `free_bits`, `bits_beyond_free`, which may be negative, `active_dimensions` (None
      for fewer than two windows), `dimensions`, `collapsed`, and `warning`, a line, empty where all
      is well.
    """
    nats = 0.5 * (np.square(mu) + np.square(sigma) - 1 - 2 * np.log(sigma)).sum(axis=-1)
    kl_bits = float(np.mean(nats) / math.log(2)) if len(mu) else 0.0
    active = int(np.sum(np.var(mu, axis=0) > ACTIVE_VARIANCE)) if len(mu) > 1 else None
    collapsed = active is not None and active < COLLAPSED_SHARE * mu.shape[1]
    warning = ""
    if collapsed:
        warning = (
            f"posterior collapse: {active} of {mu.shape[1]} dimensions of z are active, so the "
            "model hardly listens; train it with a smaller max_beta or more free_bits"
        )
    return {
        "kl_bits": kl_bits,
        "free_bits": float(free_bits),
        "bits_beyond_free": kl_bits - free_bits,
        "active_dimensions": active,
        "dimensions": int(mu.shape[1]),
        "collapsed": collapsed,
        "warning": warning,
    }
