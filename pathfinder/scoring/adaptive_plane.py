"""Score a plane where it matters: in rounds, at the points where what is known says least.

A coarse grid, then rounds of points in the triangles over which two splines through all points so far disagree most
(the triangles and the points in them are those of python-adaptive's Learner2D). Everything follows from the losses in
the order in which their points were asked for, rounded, so interrupted work continues with the same points.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import LinearNDInterpolator, RBFInterpolator
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve
from pathfinder.geometry.planes import Plane
from pathfinder.scoring.adaptive import TOLERANCE as PATH_TOLERANCE
from pathfinder.scoring.adaptive import explore
from pathfinder.scoring.scores import Closeness, Point
from pathfinder.settings import check_kind, number

SIDE = 5  # points of the first grid along each axis
ROUND = 25  # points of a round, and of the first grid
MOST = 400  # points of a plane
TOLERANCE = 0.03  # of log(loss + 0.01)
CLIP = 10.0  # nats; figures do not show more
FLOOR = 0.01  # nats added before the logarithm is taken
_HIGHEST = 100.0  # nats of interpolated losses: if they ended at 10, splines would swing next to the edge
_TOP = float(np.log(CLIP + FLOOR))
_DIGITS = 6  # of the logarithms, so that last bits, which depend on the processor, do not choose points
_LARGE = 0.3  # the weight of a triangle's size, against what the splines say
_SHARE = 95  # percent of the points of a round are known better than its gap says

Bounds = tuple[tuple[float, float], tuple[float, float]]
Losses = Float[np.ndarray, " points"]


def heights_of(losses: Losses) -> Losses:
    """What is interpolated: log(loss + 0.01), of at most 100 nats; losses that are not finite count as 100 nats."""
    inside = np.nan_to_num(losses, nan=_HIGHEST, posinf=_HIGHEST).clip(max=_HIGHEST)
    return np.log(inside + FLOOR).round(_DIGITS)


def interpolate(
    at: Float[np.ndarray, "points 2"], heights: Losses, wanted: Float[np.ndarray, "wanted 2"]
) -> Float[np.ndarray, " wanted"]:
    """Heights between six scattered points or more: a quintic spline (radial basis functions), over axes of one length.

    >>> at = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [0.0, 1.0], [4.0, 1.0], [1.0, 0.3]])
    >>> interpolate(at, at @ [1.0, 2.0], np.array([[1.0, 0.5]])).round(6)
    array([2.])
    """
    low, size = at.min(0), np.ptp(at, axis=0)
    return RBFInterpolator((at - low) / size, heights, kernel="quintic")((wanted - low) / size)


def ask(bounds: Bounds, losses: Losses) -> Float[Tensor, "asked 2"]:
    """All points asked for so far, and after them those of the next round.

    Args:
        bounds: the two ends of each axis.
        losses: of the points so far, in the order in which they were asked for; whole rounds.

    >>> ask(((0.0, 1.0), (0.0, 2.0)), np.zeros(0)).shape
    torch.Size([25, 2])
    """
    return torch.tensor(_explorer(bounds).ask(heights_of(losses).tolist()), dtype=torch.float64)


class _Explorer:
    """Asks for points round by round; what it was told already it does not work out again.

    Args:
        bounds: the two ends of each axis.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._begin()

    def ask(self, heights: list[float]) -> list[Any]:
        """The points with these heights, in the order of asking, and those of the next round."""
        if heights[: len(self._heights)] != self._heights:
            self._begin()
        for height in heights[len(self._heights) :]:
            self._learner.tell(self._points[len(self._heights)], height)
            self._heights.append(height)
            if len(self._heights) == len(self._points):
                self._points += self._learner.ask(ROUND)[0]
        return self._points[: len(heights) + ROUND]

    def _begin(self) -> None:
        from adaptive.learner.learner2D import Learner2D  # takes a second to import

        grid = np.stack(np.meshgrid(*(np.linspace(*ends, SIDE) for ends in self._bounds), indexing="ij"), axis=-1)
        self._points: list[Any] = [tuple(point) for point in grid.reshape(-1, 2).tolist()]
        self._heights: list[float] = []
        self._learner: Any = Learner2D(None, self._bounds, loss_per_triangle=_doubt)  # ty: ignore[invalid-argument-type]


@lru_cache(4)
def _explorer(bounds: Bounds) -> _Explorer:
    return _Explorer(bounds)


def fill_unknown(t: Float[Tensor, "points 2"], values: Losses) -> Losses:
    """Values for `ask`: one that is NaN becomes that of the nearest point, of its round or before, that is not.

    Args:
        t: the points, in the order in which they were asked for.
        values: at each of them; all become 0 if there is none.

    >>> fill_unknown(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]), np.array([1.0, 2.0, np.nan]))
    array([1., 2., 2.])
    """
    at, filled = t.numpy(), values.copy()
    size = np.maximum(np.ptp(at, axis=0), np.finfo(float).tiny) if len(at) else 1.0
    for i in np.flatnonzero(np.isnan(values)):
        known = np.flatnonzero(~np.isnan(values[: (i // ROUND + 1) * ROUND]))
        near = np.square((at[known] - at[i]) / size).sum(1)
        filled[i] = values[known[near.argmin()]] if len(known) else 0.0
    return filled


def judge(t: Float[Tensor, "points 2"], losses: Losses, tolerance: float) -> Closeness:
    """How well a plane is known, from the points of the last two rounds, as the rounds before each of them had them.

    Args:
        t: the points so far, in the order in which they were asked for.
        losses: at each of them; NaN is left out, and a plane is not known if half of a round is.
        tolerance: of log(loss + 0.01) of at most 10 nats, at 95 % of the points of both rounds; they lie where least is
            known, so the rest of the plane is known better.
    """
    at, heights = t.numpy(), np.where(np.isnan(losses), np.nan, heights_of(losses))
    error = max(_gap(at[:end], heights[:end]) for end in (len(at), len(at) - ROUND))
    return Closeness(error <= tolerance, error if np.isfinite(error) else float("nan"))


def _gap(at: Float[np.ndarray, "points 2"], heights: Losses) -> float:
    """By how much heights of the last round were off at 95 % of its points; infinite if too few are known."""
    known = ~np.isnan(heights)
    before, last = np.flatnonzero(known[:-ROUND]), len(at) - ROUND + np.flatnonzero(known[-ROUND:])
    if min(len(before), len(last)) < ROUND / 2:
        return float("inf")
    found = interpolate(at[before], heights[before], at[last]).clip(max=_TOP)
    return float(np.percentile(np.abs(found - heights[last].clip(max=_TOP)), _SHARE))


def explore_plane(
    score: Callable[[Tensor], Sequence[Point]], bounds: Bounds, tolerance: float = TOLERANCE
) -> tuple[Float[Tensor, "points 2"], list[Point], Closeness]:
    """Score a plane at the points that its train loss asks for.

    Args:
        score: scores the points (points, 2); it is given all points asked for so far, in the order in which they were,
            and need not score those again that it knows.
        bounds: the two ends of each axis.
        tolerance: see `judge`.

    Returns:
        The points, in the order in which they were asked for; what was scored there; how well the plane is known.

    Raises:
        PathfinderError: if the tolerance is not above 0.
    """
    if not number(tolerance, "tolerance") > 0:
        raise PathfinderError(f"tolerance must be above 0, got {tolerance}.")
    t = ask(bounds, np.zeros(0))
    while True:
        scored = list(score(t))
        losses = losses_of(scored)
        known = judge(t, losses, tolerance)
        if known.reached or len(t) >= MOST:
            return t, scored, known
        t = ask(bounds, losses)


def explore_any(
    score: Callable[[Tensor], Sequence[Point]], geometry: Geometry, tolerance: float | None
) -> tuple[Tensor, list[Point], Closeness]:
    """Score a path or a plane at the points that its losses ask for.

    Args:
        score: as for `explore_plane`.
        geometry: a plane is looked at over its own grid.
        tolerance: that of a path or of a plane if not given.

    Raises:
        PathfinderError: if it is neither.
    """
    if isinstance(geometry, Curve):
        return explore(score, PATH_TOLERANCE if tolerance is None else tolerance)
    check_kind(geometry, Plane, "what is scored at points=`auto`", "give points for anything but a path or a plane")
    return explore_plane(score, ends_of(geometry.grid(2)), TOLERANCE if tolerance is None else tolerance)


def ends_of(corners: Float[Tensor, "points 2"]) -> Bounds:
    """The two ends of each axis of a grid."""
    (left, bottom), (right, top) = corners.amin(0).tolist(), corners.amax(0).tolist()
    return (left, right), (bottom, top)


def losses_of(scored: Sequence[Point]) -> Losses:
    """The mean loss at each point: of the split `train`, or of the first one if there is none of this name.

    A loss that is not finite counts as 100 nats.
    """
    row = scored[0][0] if scored else {"train_loss": 0.0}
    column = next((name for name in ("train_loss", *row) if name in row and name.endswith("_loss")), next(iter(row)))
    return np.nan_to_num(np.array([point[column] for point, _ in scored], dtype=float), nan=_HIGHEST, posinf=_HIGHEST)


def _doubt(known: LinearNDInterpolator) -> np.ndarray:
    """How much each triangle between the points so far wants another: its size, and how far two splines differ.

    How they differ above 10 nats does not count.
    """
    corners, heights = known.tri.points[known.tri.simplices], known.values.reshape(-1)
    spline = partial(RBFInterpolator, known.tri.points, heights)
    middles = corners.mean(axis=1)
    one, other = (spline(kernel=kernel)(middles).clip(max=_TOP) for kernel in ("quintic", "cubic"))
    apart = np.abs(one - other)
    sides = corners[:, 1:] - corners[:, :1]
    areas = np.abs(np.linalg.det(sides)) / 2
    return 10 * apart * np.sqrt(areas) + _LARGE * areas
