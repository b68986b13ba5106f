"""Flat geometries around a point: C(x) = [1, x] over an origin and a direction, and C(x, y) = [1, x, y] over two."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import Geometry, at_least, weights_of
from pathfinder.geometry.curves import Curve
from pathfinder.geometry.inner import blocks, float64_block, gram, length_of, summed

Span = float | Sequence[float | int]  # reach to both sides, or two ends


class Flat(Geometry):
    """An origin and as many directions as there are axes; coordinates count multiples of the directions."""

    def coefficients(self, t: Float[Tensor, "points *coordinates"]) -> Float[Tensor, "points anchors"]:
        """[1, x] or [1, x, y]."""
        columns = t.view(len(t), -1).unbind(1)
        return torch.stack([torch.ones_like(columns[0]), *columns], dim=1)

    def locate(
        self, theta: Float[Tensor, "points weights"] | Sequence[Float[Tensor, " weights"]]
    ) -> Float[Tensor, "points located"]:
        """The coordinates nearest to each row of theta, by least squares in float64, and how far it is from them.

        Args:
            theta: weights as the rows of a matrix, or one by one.

        Raises:
            PathfinderError: if the directions are zero or parallel.
        """
        directions = self.rows()[1:]
        own = independent(directions)
        rows = theta.view(-1, len(directions[0])) if isinstance(theta, Tensor) else theta
        return torch.stack([self._located(row.to(directions[0].device), own) for row in rows])

    def _located(self, row: Tensor, gram: Tensor) -> Tensor:
        origin, *directions = self.rows()

        def offset(block: slice) -> Tensor:
            return float64_block(row, block) - float64_block(origin, block)

        def along(block: slice) -> list[Tensor]:
            away = offset(block)
            return [torch.dot(float64_block(direction, block), away) for direction in directions]

        def left(block: slice) -> Tensor:
            away = offset(block)
            for x, direction in zip(at, directions, strict=True):
                away = away - x * float64_block(direction, block)
            return away

        at = torch.linalg.solve(gram, summed(along, len(origin)))
        return torch.cat([at, length_of(left, len(origin))[None]])


class Ray(Flat):
    """center + x direction: the line through one point, scored to both sides of it."""

    axes = ("x",)

    def __init__(self, center: Float[Tensor, " weights"], direction: Float[Tensor, " weights"]) -> None:
        super().__init__()
        self.register_buffer("center", center.detach().clone())
        self.register_buffer("direction", direction.detach().clone())

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Geometry":
        """The ray of these `center` and `direction`."""
        return cls(tensors["center"], tensors["direction"])

    def rows(self) -> list[Float[Tensor, " weights"]]:
        """Center, direction."""
        return [self.center, self.direction]

    def grid(self, points: int = 51, span: Span = 1.0) -> Float[Tensor, " points"]:
        """`points` values of x, both ends included, float64.

        Args:
            points: how many.
            span: from -span to span, or from the first to the second of two numbers.
        """
        low, high = _ends(span)
        return torch.linspace(low, high, at_least(points, 2), dtype=torch.float64)


class Plane(Flat):
    """origin + x u + y v. Made by `Plane.through` three points or `Plane.around` one.

    Attributes:
        landmarks: (landmarks, 2), the coordinates of the points it was drawn through.
    """

    axes = ("x", "y")

    def __init__(
        self, origin: Float[Tensor, " weights"], u: Float[Tensor, " weights"], v: Float[Tensor, " weights"]
    ) -> None:
        super().__init__()
        for name, tensor in (("origin", origin), ("u", u), ("v", v)):
            self.register_buffer(name, tensor.detach().clone())
        self.register_buffer("landmarks", torch.zeros(1, 2, dtype=torch.float64))

    @classmethod
    def through(
        cls, a: Float[Tensor, " weights"], bend: Float[Tensor, " weights"], b: Float[Tensor, " weights"]
    ) -> "Plane":
        """The plane through two minima and a bend, by Gram-Schmidt: a is (0, 0), b lies on the x axis, y is towards
        the bend; x and y are distances in weight space (Garipov et al. 2018, appendix A).

        Raises:
            PathfinderError: if the three points lie on one line.
        """
        a, bend, b = (weights_of(point, "a point of the plane").detach() for point in (a, bend, b))
        size = len(a)

        def across(block: slice) -> Tensor:
            return _difference(b, a, block)

        def up(block: slice) -> Tensor:
            return _difference(bend, a, block)

        width, reach = length_of(across, size), length_of(up, size)

        def u(block: slice) -> Tensor:
            return across(block) / width

        def v(block: slice) -> Tensor:
            along = u(block)
            return up(block) - share * along

        (share,) = summed(lambda block: [torch.dot(u(block), up(block))], size)
        height = length_of(v, size)
        if not float(height) > 1e-6 * float(max(width, reach)):
            raise PathfinderError(
                "a plane needs three points that are not on one line, but the bend lies on the line through the "
                "minima; train the curve first."
            )
        plane = cls(a, a, a)  # its own copies, in which the directions are made
        for block in blocks(size):
            plane.u[block] = u(block)
            plane.v[block] = v(block) / height
        plane.landmarks = plane.locate([a, bend, b])[:, :2]
        return plane

    @classmethod
    def of(cls, curve: Curve) -> "Plane":
        """The plane through the ends of a curve and its middle bend.

        Raises:
            PathfinderError: if the curve has no bend, or it has not left the straight line.
        """
        if len(curve.bends) == 0:
            raise PathfinderError("a plane needs a bend, but the curve has bends = 0; train one with bends first.")
        return cls.through(curve.start, curve.bends[len(curve.bends) // 2], curve.end)

    @classmethod
    def around(
        cls, center: Float[Tensor, " weights"], u: Float[Tensor, " weights"], v: Float[Tensor, " weights"]
    ) -> "Plane":
        """The plane of two directions around a point; x and y count multiples of u and v.

        Raises:
            PathfinderError: if the directions are zero or parallel.
        """
        center = weights_of(center, "the point")
        u, v = weights_of(u, "a direction"), weights_of(v, "a direction")
        independent([u, v])
        return cls(center, u, v)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Geometry":
        """The plane with these `origin`, `u`, `v` and `landmarks`."""
        plane = cls(tensors["origin"], tensors["u"], tensors["v"])
        plane.landmarks = tensors["landmarks"]
        return plane

    def rows(self) -> list[Float[Tensor, " weights"]]:
        """Origin, u, v."""
        return [self.origin, self.u, self.v]

    def grid(
        self, points: int | Sequence[int] = 21, margin: float = 0.2, span: Span | Sequence[Span] | None = None
    ) -> Float[Tensor, "points 2"]:
        """Coordinates of a rectangular grid, x outermost, both ends included, float64.

        Args:
            points: how many along x and y; one number for both.
            margin: how far the grid reaches beyond the landmarks, as a share of their extent.
            span: instead, from -span to span on both axes; or for each axis its own reach or its two ends.

        Raises:
            PathfinderError: if there are too few points, or the grid has no extent.
        """
        counts = _two("points", points)
        low, high = self.landmarks.min(0).values, self.landmarks.max(0).values
        low, high = low - margin * (high - low), high + margin * (high - low)
        if span is not None:
            spans = _two("span", span)
            low, high = torch.tensor([_ends(one) for one in spans], dtype=torch.float64).T
        elif len(self.landmarks) < 2:
            raise PathfinderError("a plane around one point has no extent; pass span=.")
        sides = [
            torch.linspace(float(a), float(b), at_least(count, 2), dtype=torch.float64)
            for a, b, count in zip(low, high, counts, strict=True)
        ]
        return torch.cartesian_prod(*sides)


def independent(directions: Sequence[Float[Tensor, " weights"]]) -> Float[Tensor, "axes axes"]:
    """The inner products of directions that are neither zero nor parallel.

    Raises:
        PathfinderError: if they are.
    """
    found = gram(directions)
    lengths = found.diagonal().sqrt()
    if not (lengths.isfinite() & (lengths > 0)).all():
        raise PathfinderError("a direction of zeros, or too long or short to be measured, spans nothing; give another.")
    if not float(torch.linalg.det(found / lengths / lengths[:, None])) > 1e-12:  # the square of the sine between them
        raise PathfinderError("the two directions of a plane are parallel; give two that are not, or a Ray along one.")
    return found


def _difference(a: Tensor, b: Tensor, block: slice) -> Tensor:
    """A block of a - b, taken in their own precision, then in float64."""
    return float64_block(a[block] - b[block], slice(None))


def _two(name: str, given: Any) -> list[Any]:
    """What is given for both axes at once, or for each."""
    if isinstance(given, Integral | float):
        return [given, given]
    if len(given) != 2:
        raise PathfinderError(
            f"a plane has two axes, so {name} must be one number, or one for each, got {list(given)}."
        )
    return list(given)


def _ends(span: Span) -> tuple[float, float]:
    low, high = (-span, span) if isinstance(span, int | float) else span
    if not low < high:
        raise PathfinderError(f"a span must rise from its first end to its second, got {low} and {high}.")
    return float(low), float(high)
