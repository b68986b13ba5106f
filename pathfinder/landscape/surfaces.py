"""Where to score around a minimum: the ray or plane, and the coordinates on it, that the settings of a surface give."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.geometry.planes import Plane, Ray
from pathfinder.landscape.directions import principal_directions, random_directions
from pathfinder.landscape.settings import Surface
from pathfinder.settings import grid_points
from pathfinder.training.trajectory import Trajectory
from pathfinder.weights.space import WeightSpace

_ROOM = 0.2  # around a trajectory, as a fraction of its extent


@dataclass(frozen=True)
class Landscape:
    """A profile or surface in weight space, ready to score; `settings.Surface` is what the user asks for.

    Attributes:
        geometry: a ray or a plane through the minimum.
        t: the coordinates of the points to score; the corners if the losses choose the points.
        trajectory: the checkpoints of the minimum's training in these coordinates: epoch, x, y (for two axes) and
            distance, and for principal directions the fraction of variance along each axis; empty without checkpoints.
        spans: the two ends of each axis.
    """

    geometry: Ray | Plane
    t: Float[Tensor, "points *coordinates"]
    trajectory: pd.DataFrame
    spans: list[tuple[float, float]]

    def grid(self, points: int | Sequence[int]) -> Float[Tensor, "points *coordinates"]:
        """Coordinates over the same spans, with this many points along each axis."""
        return _grid(self.geometry, points, self.spans)


def build_landscape(
    space: WeightSpace, theta: Float[Tensor, " weights"], settings: Surface, trajectory: Trajectory
) -> Landscape:
    """Choose the directions and coordinates of a profile or surface around theta.

    Args:
        space: the weight space.
        theta: the minimum.
        settings: axes, directions, span and points.
        trajectory: the training that led to theta; it may be empty.

    Raises:
        PathfinderError: if the settings use principal directions and the trajectory has too few checkpoints.
    """
    thetas = trajectory.thetas
    explained: list[float] = []
    if settings.directions == "trajectory":
        principal = principal_directions(thetas, settings.axes)
        directions, explained = principal.directions, principal.explained
    else:
        directions = random_directions(
            space,
            theta,
            settings.axes,
            normalize=settings.normalize,
            keep_1d=settings.keep_1d,
            orthogonal=settings.orthogonal,
            seed=settings.seed,
        )
    geometry = Ray(theta, *directions) if settings.axes == 1 else Plane.around(theta, *directions)
    located = geometry.locate(thetas) if thetas else torch.zeros(0, settings.axes + 1)
    spans = settings.spans or [(-1.0, 1.0)] * settings.axes
    if settings.span is None and settings.directions == "trajectory":
        spans = _spans_around(located[:, :-1])
    t = _grid(geometry, grid_points(settings.points), spans)
    return Landscape(geometry, t, _table(geometry, located, trajectory.epochs, explained), spans)


def _grid(geometry: Ray | Plane, points: int | Sequence[int], spans: list[tuple[float, float]]) -> Tensor:
    if isinstance(geometry, Plane):
        return geometry.grid(points, span=spans)
    if not isinstance(points, int):
        raise PathfinderError(f"a profile has one axis, so points must be one number, got {list(points)}.")
    return geometry.grid(points, span=spans[0])


def _spans_around(located: Tensor) -> list[tuple[float, float]]:
    """The two ends of each axis such that all points and the minimum lie between them, with some room."""
    low, high = located.min(0).values.clamp_max(0), located.max(0).values.clamp_min(0)
    room = _ROOM * (high - low)
    return list(zip((low - room).tolist(), (high + room).tolist(), strict=True))


def _table(geometry: Ray | Plane, located: Tensor, epochs: list[int], explained: list[float]) -> pd.DataFrame:
    table = pd.DataFrame(located.numpy(), columns=[*geometry.axes, "distance"])
    table.insert(0, "epoch", epochs)
    return table.assign(**{f"explained_{axis}": share for axis, share in zip(geometry.axes, explained, strict=False)})
