"""The loss around a point: directions, surfaces, curvature."""

from pathfinder.landscape.directions import principal_directions, random_directions
from pathfinder.landscape.hessian import Hessian, hessian_extremes

__all__ = ["Hessian", "hessian_extremes", "principal_directions", "random_directions"]
