"""How much of its latent space a model uses: pure NumPy."""

import math
from typing import Any

import numpy as np

ACTIVE_VARIANCE = 0.01
COLLAPSED_SHARE = 0.05


def usage(mu: np.ndarray, sigma: np.ndarray, free_bits: float) -> dict[str, Any]:
    """Measure the KL divergence of the posteriors and the active dimensions.

    The KL divergence of N(mu, sigma^2) from N(0, I) is the mean over the windows, in bits. A
    dimension is active if the variance of `mu` over the windows is above 0.01 (Burda, Grosse,
    Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016). If fewer than 5 % are, the
    posterior has collapsed: the decoder ignores z.

    Args:
      mu: [n, z_size].
      sigma: [n, z_size], positive.
      free_bits: Bits without a cost in training (Magenta's hparam).

    Returns:
      `kl_bits`, `free_bits`, `bits_beyond_free` (may be negative), `active_dimensions` (None for
      fewer than two windows), `dimensions`, `collapsed`, and `warning`, one line or empty.
    """
    nats = 0.5 * (np.square(mu) + np.square(sigma) - 1 - 2 * np.log(sigma)).sum(axis=-1)
    kl_bits = float(np.mean(nats) / math.log(2)) if len(mu) else 0.0
    active = int(np.sum(np.var(mu, axis=0) > ACTIVE_VARIANCE)) if len(mu) > 1 else None
    dimensions = int(mu.shape[1])
    collapsed = active is not None and active < COLLAPSED_SHARE * dimensions
    warning = (
        f"posterior collapse: {active} of {dimensions} latent dimensions are active, so the "
        "decoder ignores its input; train with a smaller max_beta or more free_bits"
    )
    return {
        "kl_bits": kl_bits,
        "free_bits": float(free_bits),
        "bits_beyond_free": kl_bits - free_bits,
        "active_dimensions": active,
        "dimensions": dimensions,
        "collapsed": collapsed,
        "warning": warning if collapsed else "",
    }
