"""Geometries: theta = C(t) @ W, as pure tensors. No modules and no data here."""

from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Bezier, Curve, Line, PolyChain
from pathfinder.geometry.planes import Plane, Ray

__all__ = ["Bezier", "Curve", "Geometry", "Line", "Plane", "PolyChain", "Ray"]
