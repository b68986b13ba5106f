"""Flat geometries around a point: C(x) = [1, x] over an origin and a direction, and C(x, y) = [1, x, y] over two."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import Geometry, at_least, weights_of
from pathfinder.geometry.curves import Curve
from pathfinder.geometry.inner import blocks, float64_block, gram, length_of, sum_blocks

Span = float | Sequence[float | int]  # how far to both sides, or the first and the last coordinate


class Flat(Geometry):
    """An origin and one direction per axis; coordinates are multiples of the directions."""

    def coefficients(self, t: Float[Tensor, "points *coordinates"]) -> Float[Tensor, "points anchors"]:
        """[1, x] or [1, x, y]."""
        columns = t.view(len(t), -1).unbind(1)
        return torch.stack([torch.ones_like(columns[0]), *columns], dim=1)

    def locate(
        self, theta: Float[Tensor, "points weights"] | Sequence[Float[Tensor, " weights"]]
    ) -> Float[Tensor, "points located"]:
        """The coordinates nearest to each row of theta, by least squares in float64, and its distance from that point.

        Args:
            theta: weights, as the rows of a matrix or in a list.

        Raises:
            PathfinderError: if the directions are zero or parallel.
        """
        directions = self.rows()[1:]
        own = check_independent(directions)
        rows = theta.view(-1, len(directions[0])) if isinstance(theta, Tensor) else theta
        return torch.stack([self._locate(row.to(directions[0].device), own) for row in rows])

    def _locate(self, row: Tensor, gram: Tensor) -> Tensor:
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

        at = torch.linalg.solve(gram, sum_blocks(along, len(origin)))
        return torch.cat([at, length_of(left, len(origin))[None]])


class Ray(Flat):
    """The line through one point, theta(x) = center + x direction, to both sides of it.

    Args:
        center: the weights at x = 0.
        direction: added to them x times.

    >>> ray = Ray(torch.zeros(2), torch.tensor([1.0, 2.0]))
    >>> ray(torch.tensor([-1.0, 0.5])).tolist()
    [[-1.0, -2.0], [0.5, 1.0]]
    >>> ray.grid(3, span=2.0)
    tensor([-2.,  0.,  2.], dtype=torch.float64)
    """

    axes = ("x",)
    center: Tensor
    direction: Tensor

    def __init__(self, center: Float[Tensor, " weights"], direction: Float[Tensor, " weights"]) -> None:
        super().__init__()
        self.register_buffer("center", center.detach().clone())
        self.register_buffer("direction", direction.detach().clone())

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Ray":
        """The ray of these `center` and `direction`."""
        return cls(tensors["center"], tensors["direction"])

    def rows(self) -> list[Float[Tensor, " weights"]]:
        """Center, direction."""
        return [self.center, self.direction]

    def grid(self, points: int = 51, span: Span = 1.0) -> Float[Tensor, " points"]:
        """`points` values of x, evenly spaced, both ends included, float64; a single one lies in the middle.

        Args:
            points: how many.
            span: from -span to span, or from the first to the second of two numbers.
        """
        low, high = _ends(span)
        return _spread(low, high, points)


class Plane(Flat):
    """theta(x, y) = origin + x u + y v, made by `Plane.through` three points or `Plane.around` one.

    Args:
        origin: the weights at (0, 0).
        u: the direction of x.
        v: the direction of y.

    Attributes:
        landmarks: (landmarks, 2), the coordinates of the points that the plane was put through.

    >>> a, bend, b = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    >>> plane = Plane.through(a, bend, b)
    >>> plane.landmarks.tolist()
    [[0.0, 0.0], [1.0, 2.0], [3.0, 0.0]]
    >>> plane(torch.tensor([[1.0, 1.0]])).tolist()
    [[1.0, 1.0, 0.0]]
    """

    axes = ("x", "y")
    origin: Tensor
    u: Tensor
    v: Tensor
    landmarks: Tensor

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
        """The plane through two minima and a bend, by Gram-Schmidt (Garipov et al. 2018, appendix A).

        a is (0, 0), b lies on the x axis, the bend has y > 0; x and y are distances in weight space.

        Args:
            a: weights of a minimum.
            bend: weights that do not lie on the line through the minima.
            b: weights of the other minimum.

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

        (share,) = sum_blocks(lambda block: [torch.dot(u(block), up(block))], size)
        height = length_of(v, size)
        if not float(height) > 1e-6 * float(max(width, reach)):
            raise PathfinderError(
                "a plane needs three points that are not on one line, but the bend lies on the line through the "
                "minima; train the curve first."
            )
        plane = cls(a, a, a)  # own copies, into which the directions are written
        for block in blocks(size):
            plane.u[block] = u(block)
            plane.v[block] = v(block) / height
        plane.landmarks = plane.locate([a, bend, b])[:, :2]
        return plane

    @classmethod
    def of(cls, curve: Curve) -> "Plane":
        """The plane through the ends of a curve and its middle bend.

        Raises:
            PathfinderError: if the curve has no bend, or the bend still lies on the straight line.
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
        check_independent([u, v])
        return cls(center, u, v)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Plane":
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
            points: how many along x and y, or one number for both; a single one lies in the middle.
            margin: how far the grid extends past the landmarks, as a fraction of their extent.
            span: instead, from -span to span on both axes; or a span, or its two ends, for each axis.

        Raises:
            PathfinderError: if the number of points or the span is wrong, or a plane around one point gets no span.
        """
        counts = _two("points", points)
        low, high = self.landmarks.min(0).values, self.landmarks.max(0).values
        low, high = low - margin * (high - low), high + margin * (high - low)
        if span is not None:
            spans = _two("span", span)
            low, high = torch.tensor([_ends(one) for one in spans], dtype=torch.float64).T
        elif len(self.landmarks) < 2:
            raise PathfinderError("a plane around one point has no extent; pass span=.")
        sides = [_spread(float(a), float(b), count) for a, b, count in zip(low, high, counts, strict=True)]
        return torch.cartesian_prod(*sides)


def check_independent(directions: Sequence[Float[Tensor, " weights"]]) -> Float[Tensor, "axes axes"]:
    """The inner products of directions that are neither zero nor parallel.

    Raises:
        PathfinderError: if one is zero, or they are parallel.
    """
    found = gram(directions)
    lengths = found.diagonal().sqrt()
    if not (lengths.isfinite() & (lengths > 0)).all():
        raise PathfinderError("a direction must not be zero, nor too long or short to be measured; give another.")
    if not float(torch.linalg.det(found / lengths / lengths[:, None])) > 1e-12:  # the square of the sine between them
        raise PathfinderError("the two directions of a plane are parallel; give two that are not, or a Ray along one.")
    return found


def _difference(a: Tensor, b: Tensor, block: slice) -> Tensor:
    """A block of a - b: subtracted in their own precision, then converted to float64."""
    return float64_block(a[block] - b[block], slice(None))


def _two(name: str, given: Any) -> list[Any]:
    """A value for each of the two axes; a single number is that of both."""
    if isinstance(given, int | float | np.number):
        return [given, given]
    if len(given) != 2:
        raise PathfinderError(
            f"a plane has two axes, so {name} must be one number, or one for each, got {list(given)}."
        )
    return list(given)


def _spread(low: float, high: float, points: int) -> Float[Tensor, " points"]:
    """Evenly spaced coordinates from low to high; a single one lies in the middle."""
    if points == 1:
        return torch.tensor([(low + high) / 2], dtype=torch.float64)
    return torch.linspace(low, high, at_least(points, 1), dtype=torch.float64)


def _ends(span: Span) -> tuple[float, float]:
    low, high = (-span, span) if isinstance(span, int | float | np.number) else span
    if not low < high:
        raise PathfinderError(f"a span must rise from its first end to its second, got {low} and {high}.")
    return float(low), float(high)
