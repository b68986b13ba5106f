"""Landscape: the profile or surface around a minimum that is asked for, as a geometry and coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.geometry.planes import Flat, Plane, Ray
from pathfinder.landscape.directions import principal_directions, random_directions
from pathfinder.landscape.settings import Surface
from pathfinder.training.trajectory import Trajectory
from pathfinder.weights.space import WeightSpace

_ROOM = 0.2  # around a trajectory, as a share of its extent


@dataclass(frozen=True)
class Landscape:
    """Where to score around a minimum.

    Attributes:
        geometry: a ray or a plane around it.
        t: the coordinates.
        trajectory: the checkpoints of its training on that geometry: epoch, x, y (for two axes), distance, and the
            share of their variance along each axis, where these are principal directions; empty if none were kept.
        spans: the two ends along each axis.
    """

    geometry: Flat
    t: Float[Tensor, "points *coordinates"]
    trajectory: pd.DataFrame
    spans: list[tuple[float, float]]

    def grid(self, points: int | Sequence[int]) -> Float[Tensor, "points *coordinates"]:
        """Coordinates over the same spans, so many along each axis."""
        return _grid(self.geometry, points, self.spans)


def landscape(space: WeightSpace, theta: Float[Tensor, " weights"], settings: Surface, walked: Trajectory) -> Landscape:
    """The landscape around theta.

    Args:
        space: the weight space.
        theta: the minimum.
        settings: what is asked for.
        walked: the training that led to theta; it may be empty.

    Raises:
        PathfinderError: if principal directions are asked for and the trajectory does not suffice.
    """
    thetas = walked.thetas
    explained: list[float] = []
    if settings.directions == "trajectory":
        principal = principal_directions(thetas, settings.axes)
        directions, explained = principal.directions, principal.explained
    else:
        drawn = {key: getattr(settings, key) for key in ("normalize", "keep_1d", "orthogonal", "seed")}
        directions = random_directions(space, theta, settings.axes, **drawn)
    geometry = Ray(theta, *directions) if settings.axes == 1 else Plane.around(theta, *directions)
    located = geometry.locate(thetas) if thetas else torch.zeros(0, settings.axes + 1)
    spans = settings.spans or [(-1.0, 1.0)] * settings.axes
    if settings.span is None and settings.directions == "trajectory":
        spans = _holding(located[:, :-1])
    t = _grid(geometry, settings.points, spans)
    return Landscape(geometry, t, _table(geometry, located, walked.epochs, explained), spans)


def _grid(geometry: Flat, points: int | Sequence[int], spans: list[tuple[float, float]]) -> Tensor:
    return geometry.grid(points, span=spans if len(spans) > 1 else spans[0])


def _holding(located: Tensor) -> list[tuple[float, float]]:
    """The two ends along each axis that hold the points and the minimum, with some room."""
    low, high = located.min(0).values.clamp_max(0), located.max(0).values.clamp_min(0)
    room = _ROOM * (high - low)
    return list(zip((low - room).tolist(), (high + room).tolist(), strict=True))


def _table(geometry: Flat, located: Tensor, epochs: list[int], explained: list[float]) -> pd.DataFrame:
    table = pd.DataFrame(located.numpy(), columns=[*geometry.axes, "distance"])
    table.insert(0, "epoch", epochs)
    return table.assign(**{f"explained_{axis}": share for axis, share in zip(geometry.axes, explained, strict=False)})
