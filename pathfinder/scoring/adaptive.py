"""Score a path where it matters: next to its largest loss, and where its losses bend.

Seven equal points, then bisections until the largest loss and the integral of every split are known to a tolerance. On
the committed paths of 61 points this finds the same maxima from at most 15 in the median.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.progress import Progress
from pathfinder.scoring.scores import Closeness, Point
from pathfinder.settings import number

FIRST = 7  # equal points; from 3 the largest of two maxima can be missed
TYPICAL = 15  # points of a path, about the median
MOST = 61  # points of a path
TOLERANCE = 0.01  # of a maximum and of an integral
_CLOSEST = 1 / 128  # two points are never closer than half of this
_END = 1 / 24  # from a largest loss at an end, how near the next point must lie
FLOOR = 1e-4  # nats added before the logarithm is taken, which may meet losses of zero
_FINE = 601  # points at which interpolated losses are integrated

Losses = Float[np.ndarray, "columns points"]


def open_ended(progress: Progress) -> Progress:
    """Progress towards a number of points that is not known yet: more than were asked for so far."""
    return lambda done, total: progress(done, max(total + 2, TYPICAL))


def explore(
    score: Callable[[Tensor], Sequence[Point]], tolerance: float = TOLERANCE, most: int = MOST
) -> tuple[Float[Tensor, " points"], list[Point], Closeness]:
    """Score a path at the points that its losses ask for.

    Args:
        score: scores the points t; it is given all points asked for so far, in the order in which they were, and need
            not score those again that it knows.
        tolerance: relative, of the largest loss and of the integral of every split.
        most: the most points.

    Returns:
        t, rising from 0 to 1; what was scored there; how well the path is known.

    Raises:
        PathfinderError: if the tolerance is not between 0 and 1.
    """
    if not 0 < number(tolerance, "tolerance") < 1:
        raise PathfinderError(f"tolerance must be above 0 and below 1, got {tolerance}.")
    asked, error = np.linspace(0, 1, FIRST), np.nan
    scored = score(torch.from_numpy(asked))
    while True:
        order = np.argsort(asked)
        t, losses = asked[order], _losses([scored[i] for i in order])
        wanted = wanted_next(t, losses, tolerance)
        if not wanted or len(asked) >= most:
            known = not _unknown(t, losses, tolerance, closest=0.0)
            return torch.from_numpy(t), [scored[i] for i in order], Closeness(known, float(error))
        more = np.array(wanted[: most - len(asked)])
        asked = np.concatenate([asked, more])
        scored = score(torch.from_numpy(asked))
        found = _losses(scored[-len(more) :])
        error = (np.abs(_interpolate(t, losses, more) - found) / (found + FLOOR)).max()


def wanted_next(t: Float[np.ndarray, " points"], losses: Losses, tolerance: float) -> list[float]:
    """Where to score next, rising; nowhere once every loss is known.

    A largest loss, or rise of the loss above the straight line between its ends, is known once it is at most four
    tolerances above its neighbours: a parabola through equal points is at most an eighth of that higher. An integral is
    known once leaving any point out changes it by less than two tolerances.

    Args:
        t: where the path was scored, rising from 0 to 1.
        losses: the mean loss of each split there.
        tolerance: as for `explore`.

    >>> t = np.linspace(0, 1, 7)
    >>> wanted_next(t, np.exp(-20 * (t - 0.4)[None] ** 2), 0.01)
    [0.25, 0.41666666666666663]
    >>> wanted_next(t, np.ones((1, 7)), 0.01)
    []
    """
    return [float(t[i] + t[i + 1]) / 2 for i in sorted(_unknown(t, losses, tolerance, _CLOSEST))]


def _unknown(t: np.ndarray, losses: Losses, tolerance: float, closest: float) -> set[int]:
    """The left ends of the intervals, wider than `closest`, within which a loss is not known."""
    found: set[int] = set()
    for values in losses:
        found |= (
            _around_peak(t, values, values, tolerance, closest)
            or _around_peak(t, rise(t, values), values, tolerance, closest)
            or _around_bend(t, values, tolerance, closest)
        )
    return found


def rise(t: Float[np.ndarray, " points"], values: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Values at t, from 0 to 1, above the straight line between the first and the last."""
    return values - (1 - t) * values[0] - t * values[-1]


def integral_of(t: Float[np.ndarray, " points"], values: Float[np.ndarray, " points"]) -> float:
    """The mean over t of a loss, or of an error, that was scored there: monotone cubics through log(loss + 1e-4).

    NaN where a value is not finite.

    >>> t = np.array([0.0, 0.1, 0.5, 1.0])
    >>> round(integral_of(t, np.exp(t)), 3)
    1.718
    """
    if not np.isfinite(values).all():
        return float("nan")
    fine = np.linspace(t[0], t[-1], _FINE)
    return float(np.trapezoid(_interpolate(t, values[None], fine)[0], fine) / (t[-1] - t[0]))


def _around_peak(t: np.ndarray, values: np.ndarray, losses: np.ndarray, tolerance: float, closest: float) -> set[int]:
    """The intervals next to the largest value, unless it is known to a share of the loss there."""
    k, last = int(values.argmax()), len(t) - 1
    around = [i for i in (k - 1, k + 1) if 0 <= i <= last]
    drop = max(values[k] - values[i] for i in around)
    near = k in (0, last) and abs(t[around[0]] - t[k]) <= _END
    if near or drop < 4 * tolerance * (losses[k] + FLOOR):
        return set()
    return {min(i, k) for i in around if abs(t[i] - t[k]) > closest}


def _around_bend(t: np.ndarray, values: np.ndarray, tolerance: float, closest: float) -> set[int]:
    """The intervals next to the point without which the integral would be most off, unless it is known."""
    whole = integral_of(t, values)
    changes = [
        abs(integral_of(np.delete(t, i), np.delete(values, i)) - whole) if t[i + 1] - t[i - 1] > closest else 0
        for i in range(1, len(t) - 1)
    ]
    worst = int(np.argmax(changes))
    if changes[worst] < 2 * tolerance * (whole + FLOOR):
        return set()
    return {i for i in (worst, worst + 1) if t[i + 1] - t[i] > closest}


def _interpolate(t: np.ndarray, losses: Losses, at: np.ndarray) -> np.ndarray:
    """Losses between the points, (columns, len(at))."""
    return np.exp(PchipInterpolator(t, np.log(losses + FLOOR), axis=1)(at)) - FLOOR


def _losses(scored: Sequence[Point]) -> Losses:
    """The mean loss of each split at each point; ten times the largest of the others where it is not finite."""
    splits = [split for metric, split, *kind in scored[0][1] if metric == "loss" and not kind]
    losses = np.array([[row[f"{split}_loss"] for row, _ in scored] for split in splits], dtype=float)
    most = 10 * losses[np.isfinite(losses)].max(initial=1.0)
    return np.nan_to_num(losses, nan=most, posinf=most)
