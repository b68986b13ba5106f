"""How many examples a path needs: to score it, and to re-estimate BatchNorm along it.

Both begin with 1,000 and double them until more would not change what is read off the path.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.scoring.adaptive import FIRST, FLOOR, rise
from pathfinder.scoring.checks import Limits, compare, largest
from pathfinder.scoring.means import STANDARD_ERRORS, Values, estimate

TOLERANCE = 0.05  # half of the interval of a barrier, as a share of the largest loss
# Statistics from some of the examples against those from more. Twelve differences are looked at, of two metrics on two
# splits at three points: by chance alone one is beyond two standard errors in four cases of ten, beyond three in one of
# thirty.
DRIFT = Limits(error=0.25, loss=0.01, sigmas=3.0)
LEAST = 1000  # examples
_MORE = 4  # times as many


def enough_to_score(
    values: Callable[[int, Tensor], Sequence[Values]], sizes: Mapping[str, int], tolerance: float = TOLERANCE
) -> int:
    """How many examples of each split know the barrier of a path to a tolerance.

    The path is scored at seven equal points on 1,000 examples. On more, only its ends and, for each split, the point
    with the largest rise above the straight line between their losses: these make the barrier. A split that has no more
    examples is left out of the decision.

    Args:
        values: the value of each example at the points t, of so many examples of each split.
        sizes: how many each split has.
        tolerance: half of the 95 % interval of the rise, as a share of the largest loss.
    """
    t, most = torch.linspace(0, 1, FIRST, dtype=torch.float64), max(sizes.values())
    for count in _sizes(most):
        t, shares = _worst(t, values(count, t))
        if all(share <= tolerance for split, share in shares.items() if sizes[split] > count):
            return count
    return most


def enough_to_reestimate(values: Callable[[int], Sequence[Values]], most: int) -> int:
    """How many examples re-estimate BatchNorm so that four times as many hardly change the scores.

    Statistics from all of them would cost more than they save; those from four times as many are half as far off.

    Args:
        values: the value of each example at some points of a path, with statistics re-estimated from so many.
        most: how many there are.
    """
    kept = cache(values)
    for count in _sizes(most):
        more = kept(min(_MORE * count, most))
        differences = (compare(*both) for both in zip(more, kept(count), strict=True))
        if all(largest(one, DRIFT) is None for one in differences):
            return count
    return most


def _sizes(most: int) -> Iterator[int]:
    """1,000, 2,000, 4,000, ... as long as there are more."""
    count = LEAST
    while count < most:
        yield count
        count *= 2


def _worst(t: Float[Tensor, " points"], found: Sequence[Values]) -> tuple[Float[Tensor, " worst"], dict[str, float]]:
    """The ends and the points with the largest rise; half the interval of each split's, by the largest loss."""
    at, points, shares = t.numpy(), {0.0, 1.0}, {}
    for metric, split in found[0]:
        if metric != "loss":
            continue
        weights = found[0].weights.get((metric, split))
        losses = np.stack([values[metric, split] for values in found]).astype(np.float64)
        means = np.array([estimate(row, weights).mean for row in losses])
        k = 1 + int(rise(at, means)[1:-1].argmax())
        above = losses[k] - (1 - at[k]) * losses[0] - at[k] * losses[-1]
        points.add(float(at[k]))
        shares[split] = STANDARD_ERRORS * estimate(above, weights).error / (np.abs(means).max() + FLOOR)
    return torch.tensor(sorted(points), dtype=torch.float64), shares
