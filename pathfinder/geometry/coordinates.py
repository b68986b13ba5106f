"""Coordinates at which a geometry is scored: as many evenly spaced ones, or those given."""

from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import Geometry
from pathfinder.settings import describe, whole


def coordinates_of(geometry: Geometry, points: Any) -> Float[Tensor, "points *coordinates"]:
    """Coordinates of a geometry in float64 on the CPU.

    Args:
        geometry: whose coordinates.
        points: how many, evenly spaced; or the coordinates themselves, a tensor, array or list.

    Raises:
        PathfinderError: if they are neither a whole number nor finite real coordinates.
    """
    if isinstance(points, Integral | np.bool_ | float | str) or points is None:
        return geometry.grid(whole(points, "points")).detach().cpu().double()
    if not isinstance(points, Tensor):
        points = _tensor_of(points)
    if points.is_complex() or points.dtype == torch.bool:
        raise PathfinderError(f"coordinates must be real numbers, got {points.dtype}.")
    t = points.detach().cpu().double()
    if t.numel() == 0 or t.ndim == 0 or t.shape[1:] != (() if len(geometry.axes) == 1 else (len(geometry.axes),)):
        raise PathfinderError(f"coordinates must be {', '.join(geometry.axes)} for each point, got {tuple(t.shape)}.")
    if not t.isfinite().all():
        raise PathfinderError("coordinates must be finite, got NaN or infinity; leave these points out.")
    return t


def _tensor_of(points: Any) -> Tensor:
    """Coordinates that are not a tensor, in float64: a list would lose digits in float32."""
    try:
        array = np.asarray(points)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PathfinderError(f"points must be a whole number, or coordinates, got {describe(points)}.") from error
    if array.dtype.kind not in "iuf":
        raise PathfinderError(f"points must be a whole number, or real coordinates, got {describe(points)}.")
    return torch.from_numpy(array.astype(np.float64))
