"""Distributions of timing and velocity over all hits of a set of windows: pure NumPy.

Errors of single hits reward a cautious mean; distributions show whether a set is played as freely
as music is. The KL divergence, in nats, is that of the reference from the estimate: of histograms
with equal bins, TIMING_BINS from half a step early to half a step late and VELOCITY_BINS from 0 to
127, with half a count added to each bin. Hits need not match.

>>> reference = np.zeros((1, 16, 3))
>>> reference[0, ::4] = [1, 0.8, 0.1]
>>> compare(reference, reference, tempo_qpm=120)
{'timing_kl': 0.0, 'velocity_kl': 0.0, 'timing_std_ms': 0.0, 'velocity_std': 0.0}
"""

import numpy as np

from groovae.metrics.features import MAX_VELOCITY, split

TIMING_BINS = 40
VELOCITY_BINS = 32


def compare(
    reference: np.ndarray, estimate: np.ndarray, tempo_qpm: float | np.ndarray
) -> dict[str, float]:
    """Compare the hits of two sets of windows, [n, steps, 3 * drums].

    Args:
      reference: Windows of drummers.
      estimate: Windows of as many, or other ones.
      tempo_qpm: Of the estimate, one number or one for each window.

    Returns:
      `timing_kl` and `velocity_kl`, the divergences, and the standard deviations of the estimate:
      `timing_std_ms` of the time from the grid, and `velocity_std` in units of 127. NaN if either
      set has no hits.
    """
    ours, theirs = _values(estimate), _values(reference)
    if not min(ours.shape[1], theirs.shape[1]):
        return dict.fromkeys(("timing_kl", "velocity_kl", "timing_std_ms", "velocity_std"), np.nan)
    half_step_ms = _of_hits(estimate, 7_500 / np.asarray(tempo_qpm, np.float64))
    return {
        "timing_kl": _divergence(theirs[0], ours[0], TIMING_BINS, -1),
        "velocity_kl": _divergence(theirs[1], ours[1], VELOCITY_BINS, 0),
        "timing_std_ms": float(np.std(ours[0] * half_step_ms)),
        "velocity_std": float(np.std(ours[1] * MAX_VELOCITY)),
    }


def _values(windows: np.ndarray) -> np.ndarray:
    """Return offsets and velocities of the hits, [2, hits]."""
    played = split(windows)
    where = played.hits & np.isfinite(played.offsets) & np.isfinite(played.velocities)
    return np.stack([played.offsets[where], played.velocities[where]]).astype(np.float64)


def _of_hits(windows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the value of the window of each hit."""
    played = split(windows)
    where = played.hits & np.isfinite(played.offsets) & np.isfinite(played.velocities)
    return np.broadcast_to(values.reshape(-1, 1, 1), where.shape)[where]


def _divergence(reference: np.ndarray, estimate: np.ndarray, bins: int, least: float) -> float:
    """Return the KL divergence of histograms of values from `least` to 1."""
    p, q = (
        np.histogram(np.clip(values, least, 1), bins, (least, 1))[0] + 0.5
        for values in (reference, estimate)
    )
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum(p * np.log(p / q)))
