"""How near one groove comes to another: pure NumPy, in the manner of mir_eval.

Conventions: a groove is an array [..., steps, 3 * drums] of hits (0 or 1), velocities (0 to 1) and
offsets (in half steps ahead of the grid), as in grid.py. The reference comes first. Hits are the
same if step and drum are; timing and velocity are compared where both have a hit, and are NaN where
nothing is in common.
"""

import numpy as np


def compare(reference: np.ndarray, estimate: np.ndarray, tempo_qpm: float) -> dict[str, float]:
    """Hits, timing and velocities of an estimate, as one dict.

    Args:
      reference: [..., steps, 3 * drums].
      estimate: Of the same shape.
      tempo_qpm: At which a step of a 16th is turned into milliseconds.

    Returns:
      `hit_precision`, `hit_recall` and `hit_f1`, 0 to 1; `timing_mae_ms` and `velocity_mae`, the
      mean absolute errors in milliseconds and in 127ths.

    Raises:
      ValueError: the shapes differ.
    """
    if reference.shape != estimate.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {estimate.shape}")
    hits, velocities, offsets = np.split(reference, 3, axis=-1)
    hits_there, velocities_there, offsets_there = np.split(estimate, 3, axis=-1)
    both = (hits > 0.5) & (hits_there > 0.5)
    half_step_ms = 60_000 / tempo_qpm / 4 / 2
    return {
        **hit_scores(hits > 0.5, hits_there > 0.5),
        "timing_mae_ms": _mae(offsets, offsets_there, both) * half_step_ms,
        "velocity_mae": _mae(velocities, velocities_there, both) * 127,
    }


def hit_scores(reference: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of boolean hits; 1 where neither has a hit, as nothing is wrong."""
    same = float(np.sum(reference & estimate))
    found, wanted = float(np.sum(estimate)), float(np.sum(reference))
    return {
        "hit_precision": same / found if found else float(not wanted),
        "hit_recall": same / wanted if wanted else float(not found),
        "hit_f1": 2 * same / (found + wanted) if found + wanted else 1.0,
    }


def _mae(reference: np.ndarray, estimate: np.ndarray, where: np.ndarray) -> float:
    return float(np.mean(np.abs(reference - estimate)[where])) if where.any() else float("nan")
