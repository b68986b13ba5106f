"""The 95 % interval of a barrier."""

from statistics import NormalDist

import numpy as np

_RESAMPLES = 1000  # enough for two digits of a 95 % interval
_BLOCK = 100  # resamples at a time, to bound memory
_CHOICE, _SIDE = 0.005, 0.0225  # probability of missing the highest point, and the barrier on each side: 5 % in total
_ROUNDING = 1e-12  # relative to the values; smaller variation is rounding


def barrier_interval(
    t: np.ndarray, values: np.ndarray, seed: int = 0, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """The 95 % interval of a barrier over examples, valid for flat paths too.

    The largest of noisy means is too high on average, more so the flatter the path; the interval allows for that. At
    each t let m be the mean over examples of the rise above the straight line between the ends, and s its standard
    error. Three statements hold together with a probability of 95 %:

    - The highest point is one of those where m + c s is at least the largest m - c s. Here c is that of a simultaneous
      band around all points (sup-t, 99.5 %).
    - The barrier is at least the largest m - c s of these points, and at least 0, its value at the ends. Here c is that
      of a simultaneous band below these points (97.75 %).
    - The barrier is at most the largest m + z s of these points, with z the normal quantile (97.75 %) corrected for
      skewness (Hall 1992). One quantile is enough, because only the bound of the highest point has to hold.

    Bands are bootstrapped: each resample of the examples is used for all points. A point whose values do not vary is
    taken as exact. Of weighted examples m is a ratio of sums, sum(w v) / sum(w), and its linearised residuals
    w (v - m) / mean(w) take the place of v - m (Cochran 1977, section 2.11).

    Args:
        t: (points,), from 0 to 1.
        values: (points, examples).
        seed: draws the resamples.
        weights: of the examples, (examples,), or at each point, (points, examples); all 1 if not given.

    Returns:
        The lower and the upper end; NaN if a value is not finite, or a point has no weight.
    """
    means = None
    if weights is not None:
        found = linearise(values, weights)
        if found is None:
            return np.nan, np.nan
        values, means = found
    examples = values.shape[1]
    rise = values.astype(np.float64)
    if not np.isfinite(rise).all():
        return np.nan, np.nan
    first, last = rise[0].copy(), rise[-1].copy()
    for row, along in zip(rise, t, strict=True):  # one row at a time and in place, to bound memory
        row -= (1 - along) * first + along * last
    mean = rise.mean(1)
    rise -= mean[:, None]
    if means is not None:
        mean = means - (1 - t) * means[0] - t * means[-1]
    error, skew = _error_and_skewness(rise, max(float(values.max()), -float(values.min())))
    varies = error > 0
    if varies.any():
        off = _resample(rise, seed)[:, varies] / error[varies]
        around = np.quantile(np.abs(off).max(1), 1 - _CHOICE)
        may = mean + around * error >= max((mean - around * error).max(), 0.0)
        below = np.quantile(off[:, may[varies]].max(1), 1 - _SIDE) if may[varies].any() else 0.0
    else:
        may, below = np.full(len(mean), True), 0.0
    normal = NormalDist().inv_cdf(1 - _SIDE)
    above = normal + np.maximum(skew, 0) * (2 * normal**2 + 1) / (6 * examples**0.5)
    low, high = mean - below * error, mean + above * error
    return float(low[may].max(initial=0.0)), float(high[may].max(initial=0.0))


def linearise(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Values whose plain mean is the weighted one, as far as it is linear in them.

    Args:
        values: (points, examples).
        weights: of the examples, (examples,), or at each point, (points, examples).

    Returns:
        The residuals w (v - m) / mean(w) of the examples with a weight, added to m; and m, (points,). None if a point
        has no weight.
    """
    weights = np.broadcast_to(weights, values.shape)
    counted = (weights > 0).any(0)
    weights, values = weights[:, counted], np.where(weights > 0, values, 0.0)[:, counted].astype(np.float64)
    total = weights.sum(1, keepdims=True)
    if not (total > 0).all():
        return None
    means = (weights * values).sum(1, keepdims=True) / total
    return means + weights * (values - means) * (weights.shape[1] / total), means[:, 0]


def _error_and_skewness(centred: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """The standard error of each row's mean and the skewness of its values; 0 if only rounding makes them vary."""
    examples = centred.shape[1]
    error, skew = np.zeros((2, len(centred)))
    for i, row in enumerate(centred):  # one row at a time, as above
        square = row @ row / examples
        if square > (_ROUNDING * size) ** 2 and examples > 1:
            error[i] = (square / (examples - 1)) ** 0.5
            skew[i] = (row * row) @ row / examples / square**1.5
    return error, skew


def _resample(centred: np.ndarray, seed: int) -> np.ndarray:
    """The means of resampled examples, (resamples, rows); each resample is used for all rows."""
    rng = np.random.default_rng(seed)
    examples = centred.shape[1]
    means = []
    for _ in range(_RESAMPLES // _BLOCK):
        drawn = rng.integers(examples, size=(_BLOCK, examples))
        counts = np.stack([np.bincount(row, minlength=examples) for row in drawn]).astype(np.float64)
        means.append(counts @ centred.T / examples)
    return np.concatenate(means)
