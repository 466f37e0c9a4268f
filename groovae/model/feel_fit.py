"""Fit a drummer's feel to a model's outputs beside the performances: pure NumPy; see feel.py."""

import math

import numpy as np

from groovae.errors import UsageError
from groovae.model.feel import LEVELS, NAMES, Deviations, Feel, parts

MIN_HITS = 2000
PRIOR_HITS = 200  # weight of the values of all drums in those of a drum or of a step of a drum
DECAYS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
MAX_ITERATIONS = 3000


def fit_feel(
    truth: np.ndarray,
    predicted: np.ndarray,
    steps_per_quarter: int,
    steps_per_bar: int,
    model: str,
    hit_threshold: float = 0.0,
) -> Feel:
    """Fit a feel to windows.

    Args:
      truth: Windows as performed, float32 [n, steps, 3 * drums].
      predicted: What the model expects of the same hits, of the same shape.
      steps_per_quarter: Steps in a quarter note.
      steps_per_bar: Steps in a bar.
      model: The fingerprint of the model.
      hit_threshold: See `Feel`.

    Raises:
      UsageError: there are fewer than MIN_HITS hits.
    """
    hits, *performed = np.split(truth.astype(np.float64), 3, axis=-1)
    mask = hits > 0.5
    check_number(int(mask.sum()))
    expected = np.split(predicted.astype(np.float64), 3, axis=-1)[1:]
    fitted = [
        _fit_deviations(mask, *pair, steps_per_quarter, steps_per_bar)
        for pair in zip(performed, expected, strict=True)
    ]
    by_name = dict(zip(NAMES, fitted, strict=True))
    return Feel(
        **by_name,
        hit_threshold=hit_threshold,
        steps_per_quarter=steps_per_quarter,
        model=model,
        hits=int(mask.sum()),
    )


def check_number(num_hits: int) -> None:
    """Raise a UsageError if there are too few hits to fit a feel to."""
    if num_hits < MIN_HITS:
        raise UsageError(
            f"a feel is fitted to {MIN_HITS:,} hits or more, got {num_hits:,}; `groovae info "
            "RECORDS` shows what is lost and why"
        )


def _fit_deviations(
    mask: np.ndarray, truth: np.ndarray, expected: np.ndarray, quarter: int, bar: int
) -> Deviations:
    slope, intercept = _fit_lines(mask, truth, expected)
    deviations = np.where(mask, truth - slope * expected - intercept, np.nan)
    spread = _fit_spread(deviations, bar)
    steps = np.arange(mask.shape[1]) % bar
    units = deviations / spread[steps]
    quantiles = _fit_quantiles(units)
    gauss = np.stack(
        [np.interp(units[..., d], quantiles[d], LEVELS) for d in range(mask.shape[-1])], axis=-1
    )
    shares, decay = _fit_shares(np.where(mask, gauss, 0), mask, quarter, bar)
    return Deviations(slope, intercept, spread, quantiles, shares, decay)


def _fit_lines(
    mask: np.ndarray, truth: np.ndarray, expected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and intercept by drum, drawn towards those of all drums."""
    moments = [mask, expected, truth, expected**2, expected * truth]
    sums = np.array([np.where(mask, moment, 0).sum(axis=(0, 1)) for moment in moments])
    sums += PRIOR_HITS * (sums.sum(axis=1) / mask.sum())[:, np.newaxis]
    _, mean_x, mean_y, square, product = sums / sums[0]
    slope = (product - mean_x * mean_y) / np.maximum(square - mean_x**2, 1e-9)
    return slope, mean_y - slope * mean_x


def _fit_spread(deviations: np.ndarray, bar: int) -> np.ndarray:
    """Return the root mean square by step of the bar and drum, drawn towards that of the drum."""
    squares = deviations.reshape(-1, bar, deviations.shape[-1]) ** 2
    counts, sums = (~np.isnan(squares)).sum(axis=0), np.nansum(squares, axis=0)
    of_all = sums.sum() / counts.sum()
    of_drum = (sums.sum(axis=0) + PRIOR_HITS * of_all) / (counts.sum(axis=0) + PRIOR_HITS)
    return np.sqrt((sums + PRIOR_HITS * of_drum) / (counts + PRIOR_HITS))


def _fit_quantiles(units: np.ndarray) -> np.ndarray:
    """Return the quantiles by drum, increasing, drawn towards those of all drums."""
    shares = _normal_cdf(LEVELS)
    whole = np.nanquantile(units, shares)
    rows = []
    for drum in range(units.shape[-1]):
        values = units[..., drum][~np.isnan(units[..., drum])]
        weight = len(values) / (len(values) + PRIOR_HITS)
        own = np.quantile(values, shares) if len(values) else whole
        rows.append(weight * own + (1 - weight) * whole)
    return np.array(rows) + 1e-6 * LEVELS  # so that they have an inverse


def _fit_shares(
    gauss: np.ndarray, mask: np.ndarray, quarter: int, bar: int
) -> tuple[np.ndarray, float]:
    """Return the share of each part in the variance, and the decay: by least squares.

    They are fitted to the correlations of hits at each distance in steps, of the same drum and of
    different drums, weighted by the number of pairs.
    """
    gauss = gauss / np.sqrt((gauss**2).sum() / mask.sum())
    lags = np.arange(min(gauss.shape[1], 2 * bar))
    products, pairs = (_sum_pairs(array, lags) for array in (gauss, mask.astype(np.float64)))
    seen = pairs > 0
    correlations = products[seen] / pairs[seen]
    weights = np.sqrt(pairs[seen])
    best = (np.inf, np.zeros(0), 0.0)
    for decay in DECAYS:
        design = _design(lags, quarter, bar, decay)[seen]
        shares, error = _solve(design * weights[:, np.newaxis], correlations * weights)
        if error < best[0]:
            best = error, shares, decay
    shares = best[1] / max(best[1].sum(), 1)
    return np.append(shares, 1 - shares.sum()), best[2]


def _sum_pairs(values: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Return sums of products of cells by distance, [2, lags]: of the same drum, of different."""
    sums = np.zeros((2, len(lags)))
    for lag in lags:
        first, second = values[:, : values.shape[1] - lag], values[:, lag:]
        same = (first * second).sum()
        sums[:, lag] = same, (first.sum(axis=-1) * second.sum(axis=-1)).sum() - same
    sums[0, 0] = 0  # of hits with themselves
    return sums


def _design(lags: np.ndarray, quarter: int, bar: int, decay: float) -> np.ndarray:
    """Return what each part but the last adds to the correlations, [2, lags, parts]."""
    columns = [
        np.stack([lags % period == 0, (lags % period == 0) * shared])
        for period, shared in parts(quarter, bar)
    ]
    columns.append(np.stack([decay**lags, decay**lags]))
    return np.stack(columns, axis=-1).astype(np.float64)


def _solve(design: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the least squares solution without negative values, and its squared error."""
    gram, product = design.T @ design, design.T @ target
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    solution = np.zeros(design.shape[1])
    for _ in range(MAX_ITERATIONS):
        solution = np.maximum(solution - step * (gram @ solution - product), 0)
    return solution, float(((design @ solution - target) ** 2).sum())


def _normal_cdf(values: np.ndarray) -> np.ndarray:
    return np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in values])
