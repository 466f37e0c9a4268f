"""What holds a groove together from bar to bar, as means over a set of windows: pure NumPy.

Windows and meter are those of features.py; only hits count. Drummers repeat bars with variations,
hardly ever leave a bar nearly empty, and in most styles play the snare on 2 and 4 and the kick on
1. Samples that do so as often as the data, no more and no less, hold together as the data does.

>>> windows = np.zeros((1, 32, 27))
>>> windows[0, ::8, 0] = windows[0, 4::8, 1] = 1  # kick on 1 and 3, snare on 2 and 4
>>> structure(windows)
{'bar_similarity': 1.0, 'sparse_bars': 1.0, 'backbeat': 1.0, 'downbeat': 1.0}
"""

import math

import numpy as np

from groovae.metrics.features import Meter, parts, steps_per_bar
from groovae.music.drums import KICK, SNARE

SPARSE_HITS = 6
LABELS = {
    "bar_similarity": "hit F1 of a bar with the next",
    "sparse_bars": f"bars with under {SPARSE_HITS} hits",
    "backbeat": "snare on the backbeats",
    "downbeat": "kick on the first beat",
}


def structure(windows: np.ndarray, meter: Meter = (4, 4)) -> dict[str, float]:
    """Measure the structure of a set of windows.

    Args:
      windows: [n, steps, 3 * drums].
      meter: Of the windows.

    Returns:
      `bar_similarity`, the mean hit F1 of a bar with the next one of its window, 1 for two empty
      bars; `sparse_bars`, the share of bars with fewer than SPARSE_HITS hits; `backbeat`, the share
      of the second beats of each pair with a snare, for meters of 2 or 4 quarters; `downbeat`, the
      share of bars whose first 16th has a kick. NaN if there is nothing to measure.
    """
    bars = _bars(windows, meter)
    hits = hits_per_bar(windows, meter)
    return {
        "bar_similarity": _mean(_f1_with_next(bars)),
        "sparse_bars": _mean(hits < SPARSE_HITS),
        "backbeat": _mean(bars[:, :, _backbeats(meter), SNARE])
        if bars.shape[3] > SNARE
        else math.nan,
        "downbeat": _mean(bars[:, :, 0, KICK]),
    }


def hits_per_bar(windows: np.ndarray, meter: Meter = (4, 4)) -> np.ndarray:
    """Return the number of hits in each bar, int [n, bars]."""
    return _bars(windows, meter).sum(axis=(2, 3))


def _bars(windows: np.ndarray, meter: Meter) -> np.ndarray:
    """Return the hits by bar, bool [n, bars, steps_per_bar, drums]."""
    hits = parts(windows, meter).hits
    steps = steps_per_bar(meter)
    return hits.reshape(len(hits), hits.shape[1] // steps, steps, hits.shape[2])


def _f1_with_next(bars: np.ndarray) -> np.ndarray:
    first, second = bars[:, :-1], bars[:, 1:]
    both = (first & second).sum(axis=(2, 3))
    total = first.sum(axis=(2, 3)) + second.sum(axis=(2, 3))
    return np.where(total > 0, 2 * both / np.maximum(total, 1), 1)


def _backbeats(meter: Meter) -> list[int]:
    """Return the 16ths of the second and fourth quarter; none in other meters."""
    return [4, 12][: meter[0] // 2] if meter in ((2, 4), (4, 4)) else []


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if values.size else math.nan
