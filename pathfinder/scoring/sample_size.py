"""How many examples a path needs: to score it, and to re-estimate BatchNorm along it.

Both begin with 1,000 and double them until more would not change what is read off the path.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.scoring.adaptive import FIRST, FLOOR
from pathfinder.scoring.checks import Limits, compare, largest
from pathfinder.scoring.means import STANDARD_ERRORS, Values, estimate
from pathfinder.scoring.scores import Scores

TOLERANCE = 0.05  # half of the interval of a barrier, as a share of the largest loss
DRIFT = Limits(error=0.25, loss=0.01)  # statistics from some of the examples against those from all
LEAST = 1000  # examples


def enough_to_score(score: Callable[[int, Tensor], Scores], most: int, tolerance: float = TOLERANCE) -> int:
    """How many examples of each split know the barrier of a path to a tolerance.

    The path is scored at seven equal points on 1,000 examples. On more, only its ends and, for each split, the point
    with the largest rise above the straight line between their losses: these make the barrier. A split that has no more
    examples is left out of the decision.

    Args:
        score: scores the path on so many examples of each split, at the points t.
        most: how many the largest split has.
        tolerance: half of the 95 % interval of the rise, as a share of the largest loss.
    """
    t = torch.linspace(0, 1, FIRST, dtype=torch.float64)
    for count in _sizes(most):
        t, share = _worst(score(count, t), count)
        if share <= tolerance:
            return count
    return most


def enough_to_reestimate(values: Callable[[int], Sequence[Values]], most: int) -> int:
    """How many examples re-estimate BatchNorm as well as all of them.

    Args:
        values: the value of each example at some points of a path, with statistics re-estimated from so many.
        most: how many there are.
    """
    if most <= LEAST:
        return most
    expected = values(most)
    for count in _sizes(most):
        differences = (compare(*both) for both in zip(expected, values(count), strict=True))
        if all(largest(one, DRIFT) is None for one in differences):
            return count
    return most


def _sizes(most: int) -> Iterator[int]:
    """1,000, 2,000, 4,000, ... as long as there are more."""
    count = LEAST
    while count < most:
        yield count
        count *= 2


def _worst(scores: Scores, examples: int) -> tuple[Float[Tensor, " points"], float]:
    """The ends and the points with the largest rise; the largest half interval of a rise by the largest loss.

    Args:
        scores: of some points.
        examples: of each split that may have more.
    """
    t = scores.table["t"].to_numpy()
    found, shares = {0.0, 1.0}, [0.0]
    for split, losses in scores.losses.items():
        weights = scores.weights.get(("loss", split))
        means = np.array([estimate(row, weights).mean for row in losses])
        k = 1 + int((means - (1 - t) * means[0] - t * means[-1])[1:-1].argmax())
        rise = losses[k].astype(np.float64) - (1 - t[k]) * losses[0] - t[k] * losses[-1]
        found.add(float(t[k]))
        if len(rise) == examples:
            shares.append(STANDARD_ERRORS * estimate(rise, weights).error / (np.abs(means).max() + FLOOR))
    return torch.tensor(sorted(found), dtype=torch.float64), float(np.max(shares))
