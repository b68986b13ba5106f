"""The means of a path over all examples, from those over some of them and from a few points that all were scored at."""

import numpy as np

from pathfinder.errors import PathfinderError
from pathfinder.scoring.scores import Scores
from pathfinder.tables.intervals import linearise
from pathfinder.tables.score_names import score_column


def on_all_examples(some: Scores, rescored: Scores, metric: str, split: str) -> np.ndarray:
    """Estimate the means of a metric over all examples at every point of a path.

    The regression estimator (Cochran 1977, chapter 7), with the points that all examples were scored at as auxiliary
    variables: m(t) + sum over these points s of b_s(t) (M(s) - m(s)). Here m is the mean over some of the examples, M
    that over all, and b_s(t) the least-squares coefficients, over the examples, of the values at t on those at all s.
    A sample that is easy at the points s is easy at the points between, by as much as the losses go together.

    Args:
        some: the path, scored on some of the examples.
        rescored: points of it, scored on all.
        metric, split: which mean.

    Returns:
        (points of some,): those of `rescored` where it has the point; within the range of the values of the examples.

    Raises:
        PathfinderError: if `rescored` has a point that `some` has not.
    """
    t, at = some.table["t"].to_numpy(), rescored.table["t"].to_numpy()
    missing = sorted({*at} - {*t})
    if missing:
        raise PathfinderError(f"t = {missing[0]:.3g} was scored on all examples but not on some; score the path there.")
    known, column = np.searchsorted(t, at), score_column(split, metric)
    means, wanted = some.table[column].to_numpy(dtype=float), rescored.table[column].to_numpy(dtype=float)
    values, weights = some.per_example[metric, split].astype(np.float64), some.weights_of(metric, split)
    found = means.copy()
    linear = (values, means) if weights is None else linearise(values, weights)
    if linear is not None:
        finite = np.all(np.isfinite(linear[0]), axis=1)
        around = linear[0][finite] - linear[0][finite].mean(1, keepdims=True)
        use = finite[known] & np.isfinite(wanted)
        at = np.searchsorted(t[finite], t[known[use]])
        coefficients = np.linalg.lstsq(around[at].T, around.T)[0]
        moved = found[finite] + (wanted[use] - means[known[use]]) @ coefficients
        found[finite] = moved.clip(np.nanmin(values[finite]), np.nanmax(values[finite]))
    found[known] = wanted
    return found
