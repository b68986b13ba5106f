"""Plane: C(x, y) = [1, x, y] over an origin and two directions."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.geometry import Curve, Geometry, at_least


class Plane(Geometry):
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
        across, up = (b - a).detach().double(), (bend - a).detach().double()
        width = across.norm()
        u = across / width
        v = up - torch.dot(u, up) * u
        height = v.norm()
        if not float(height) > 1e-6 * float(max(width, up.norm())):
            raise PathfinderError(
                "a plane needs three points that are not on one line, but the bend lies on the line through the "
                "minima; train the curve first."
            )
        plane = cls(a.detach(), u.to(a.dtype), (v / height).to(a.dtype))
        plane.landmarks = plane.locate(torch.stack([a.detach(), bend.detach(), b.detach()]))[:, :2]
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
        """The plane of two directions around a point; x and y count multiples of u and v."""
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

    def coefficients(self, t: Float[Tensor, "points 2"]) -> Float[Tensor, "points 3"]:
        """[1, x, y]."""
        return torch.stack([torch.ones_like(t[:, 0]), t[:, 0], t[:, 1]], dim=1)

    def grid(
        self, points: int | Sequence[int] = 21, margin: float = 0.2, span: float | None = None
    ) -> Float[Tensor, "points 2"]:
        """Coordinates of a rectangular grid, x outermost, both ends included, float64.

        Args:
            points: how many along x and y; one number for both.
            margin: how far the grid reaches beyond the landmarks, as a share of their extent.
            span: instead, the grid reaches from -span to span on both axes.
        """
        counts = [points, points] if isinstance(points, int) else list(points)
        low, high = self.landmarks.min(0).values, self.landmarks.max(0).values
        low, high = low - margin * (high - low), high + margin * (high - low)
        if span is not None:
            low, high = torch.full((2,), -float(span)).double(), torch.full((2,), float(span)).double()
        elif len(self.landmarks) < 2:
            raise PathfinderError("a plane around one point has no extent; pass span=.")
        sides = [
            torch.linspace(float(a), float(b), at_least(count, 2), dtype=torch.float64)
            for a, b, count in zip(low, high, counts, strict=True)
        ]
        return torch.cartesian_prod(*sides)

    def locate(self, theta: Float[Tensor, "points weights"]) -> Float[Tensor, "points 3"]:
        """x, y and the distance from the plane for each row of theta, by least squares in float64."""
        u, v = self.u.double(), self.v.double()
        gram = torch.stack([torch.stack([u @ u, u @ v]), torch.stack([v @ u, v @ v])])
        found = []
        for row in theta.view(-1, len(self.u)):
            offset = row.detach().double() - self.origin.double()
            x, y = torch.linalg.solve(gram, torch.stack([u @ offset, v @ offset]))
            found.append(torch.stack([x, y, (offset - x * u - y * v).norm()]))
        return torch.stack(found).cpu()
