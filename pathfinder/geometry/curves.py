"""Curves between two minima: the line, the polygonal chain, the Bezier curve."""

import math
from itertools import pairwise
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import Geometry, at_least, bends_of, quadratic_form, weights_of
from pathfinder.geometry.inner import distance, float64_block, gram_of


class Curve(Geometry):
    """A path from a to b over t in [0, 1] through or near its bends, which start on the straight line.

    Base class of `Line`, `PolyChain` and `Bezier`. A curve of your own is a subclass with `coefficients`; its name in
    lower case is its kind in configs, tables and files.

    Args:
        a: the weights at t = 0.
        b: the weights at t = 1.
        bends: the number of anchors between the ends, or these anchors themselves, (bends, weights).
        fixed_ends: whether only the bends can be trained.

    Attributes:
        start: the weights at t = 0; a buffer if the ends are fixed, else a Parameter.
        end: the weights at t = 1, also a buffer or a Parameter.
        bends: (bends, weights), a Parameter.

    Raises:
        PathfinderError: if ends or bends are not vectors of finite real weights, all of one length, or bends is
            negative.

    >>> class HalfTurn(Curve):
    ...     def coefficients(self, t):
    ...         along, up = (1 - torch.cos(torch.pi * t)) / 2, torch.sin(torch.pi * t)
    ...         return torch.stack([1 - along - up / 2, up, along - up / 2], dim=1)
    >>> HalfTurn(torch.zeros(3), torch.ones(3)).kind()
    'halfturn'
    """

    axes = ("t",)
    start: Tensor
    end: Tensor

    def __init__(
        self,
        a: Float[Tensor, " weights"],
        b: Float[Tensor, " weights"],
        bends: int | Float[Tensor, "bends weights"] = 1,
        fixed_ends: bool = True,
    ) -> None:
        super().__init__()
        a, b = weights_of(a, "an end"), weights_of(b, "an end")
        if a.shape != b.shape:
            raise PathfinderError(f"both ends need the same number of weights, got {len(a)} and {len(b)}.")
        if isinstance(bends, Integral):
            if bends < 0:
                raise PathfinderError(f"bends must be 0 or more, got {bends}.")
            share = torch.arange(1, int(bends) + 1, dtype=a.dtype, device=a.device)[:, None] / (int(bends) + 1)
            bends = share * b + (1 - share) * a
        else:
            bends = bends_of(bends, len(a))
        for name, end in (("start", a), ("end", b)):
            own = end.detach().clone()
            if fixed_ends:
                self.register_buffer(name, own)
            else:
                self.register_parameter(name, nn.Parameter(own))
        self.bends = nn.Parameter(bends.detach().clone())

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Curve":
        """The curve with these `start`, `bends` and `end`; its ends are fixed."""
        return cls(tensors["start"], tensors["end"], bends=tensors["bends"])

    def extra_repr(self) -> str:
        """The words between the brackets of `repr(curve)`."""
        return f"bends={len(self.bends)}, weights={len(self.start)}"

    def rows(self) -> list[Float[Tensor, " weights"]]:
        """Start, bends, end."""
        return [self.start, *self.bends, self.end]

    def free(self) -> list[nn.Parameter]:
        """The anchors that can be trained."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad and parameter.numel()]

    def grid(self, points: int) -> Float[Tensor, " points"]:
        """`points` values of t from 0 to 1, evenly spaced, both included, float64."""
        return torch.linspace(0, 1, at_least(points, 2), dtype=torch.float64)

    def backward(self, t: Float[Tensor, "1"], gradient: Float[Tensor, " weights"]) -> None:
        """Add dL/dW = outer(C(t), dL/dtheta) to `.grad` of the free anchors."""
        C = self.coefficients(t)[0].to(gradient)
        for anchors, c in ((self.start, C[0]), (self.bends, C[1:-1, None]), (self.end, C[-1])):
            if anchors.requires_grad and anchors.numel():
                step = c * gradient
                anchors.grad = step if anchors.grad is None else anchors.grad.add_(step)

    def arc_length(self, t: Float[Tensor, " points"]) -> Float[Tensor, " points"]:
        """The length of the curve from 0 to t, float64: Gauss-Legendre quadrature of the speed over 32 panels.

        The speed |dtheta/dt| comes from the Gram matrix of the anchors minus the start, so it does not depend on the
        points that are scored, and a short path far from zero is as exact as a long one.
        """
        gram, panels = self._gram_from_start(), 32
        t = t.double()
        knots = torch.arange(panels, dtype=torch.float64) / panels
        whole = torch.cat(
            [torch.zeros(1, dtype=torch.float64), self._lengths(knots, knots + 1 / panels, gram).cumsum(0)]
        )
        below = (t * panels).floor().clamp(0, panels - 1).long()
        return whole[below] + self._lengths(knots[below], t, gram)

    def length(self) -> float:
        """The length of the whole curve."""
        return float(self.arc_length(torch.ones(1, dtype=torch.float64)))

    def chord(self) -> float:
        """The distance between the ends in a straight line."""
        return float(distance(self.start, self.end))

    def _gram_from_start(self) -> Tensor:
        """The Gram matrix of start, bends - start and end - start."""
        start, *others = self.rows()

        def made(block: slice) -> list[Tensor]:
            origin = float64_block(start, block)
            return [origin, *(float64_block(row, block) - origin for row in others)]

        return gram_of(made, len(start))

    def _slopes(self, t: Tensor) -> Tensor:
        """dC/dt, (points, anchors); each row of C depends on its own t only."""
        with torch.enable_grad():
            t = t.detach().requires_grad_()
            columns = self.coefficients(t).unbind(1)
            slopes = [torch.autograd.grad(c.sum(), t, retain_graph=True, allow_unused=True)[0] for c in columns]
        return torch.stack([torch.zeros_like(t) if slope is None else slope for slope in slopes], dim=1).detach()

    def _lengths(self, a: Tensor, b: Tensor, gram: Tensor) -> Tensor:
        """The lengths of the curve between each a and b."""
        nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(16))
        t = a[:, None] + (b - a)[:, None] * (nodes + 1) / 2
        flat = t.reshape(-1)
        slopes = self._slopes(flat)
        total = slopes.sum(1)  # the coefficient of the start itself: zero where coefficients sum to one
        rounding = 1e-12 * slopes.abs().sum(1)
        slopes = torch.cat([torch.where(total.abs() <= rounding, 0.0, total)[:, None], slopes[:, 1:]], dim=1)
        speed = quadratic_form(slopes, gram).clamp_min(0).sqrt().view_as(t)
        return (speed * weights).sum(1) * (b - a) / 2


def line_points(points: int, low: float = 0.0, high: float = 1.0) -> Float[Tensor, " points"]:
    """`points` values of t from low to high, and 0 and 1 if these are not among them, float64.

    Args:
        points: how many.
        low: the first t, 0 or less.
        high: the last t, 1 or more.

    Raises:
        PathfinderError: if there are fewer than 2 points, or low to high does not contain 0 to 1.

    >>> line_points(3, -0.5)
    tensor([-0.5000,  0.0000,  0.2500,  1.0000], dtype=torch.float64)
    """
    if not low <= 0 <= 1 <= high:
        raise PathfinderError(f"the line must run from 0 or less to 1 or more, got {low} to {high}.")
    t = torch.linspace(low, high, at_least(points, 2), dtype=torch.float64)
    for exact in (0.0, 0.5, 1.0):  # rounding must not hide the ends and the middle
        t = torch.where((t - exact).abs() < 1e-9, exact, t)
    return torch.cat([t, torch.tensor([0.0, 1.0], dtype=torch.float64)]).unique()


class Line(Curve):
    """The straight segment theta(t) = (1 - t) a + t b.

    Args:
        a: the weights at t = 0.
        b: the weights at t = 1.
        bends: 0; taken for the sake of the other curves.
        fixed_ends: whether the ends are fixed, so that nothing can be trained.

    Raises:
        PathfinderError: if the ends are not vectors of finite real weights of one length, or there are bends.

    >>> line = Line(torch.zeros(3), torch.ones(3))
    >>> line(torch.tensor([0.5]))
    tensor([[0.5000, 0.5000, 0.5000]])
    >>> round(line.length(), 4)
    1.7321
    """

    def __init__(
        self,
        a: Float[Tensor, " weights"],
        b: Float[Tensor, " weights"],
        bends: int | Float[Tensor, "bends weights"] = 0,
        fixed_ends: bool = True,
    ) -> None:
        count = len(bends) if isinstance(bends, Tensor) else bends
        if count != 0:
            raise PathfinderError(f"a line has 0 bends, got {count}; use PolyChain or Bezier.")
        super().__init__(a, b, bends, fixed_ends)

    def coefficients(self, t: Float[Tensor, " points"]) -> Float[Tensor, "points 2"]:
        """[1 - t, t]."""
        return torch.stack([1 - t, t], dim=1)

    def grid(self, points: int, low: float = 0.0, high: float = 1.0) -> Float[Tensor, " points"]:
        """`points` values of t from low to high, as `line_points` gives them."""
        return line_points(points, low, high)

    def arc_length(self, t: Float[Tensor, " points"]) -> Float[Tensor, " points"]:
        """t times the distance between the ends, exactly."""
        return t.double() * self.chord()


class PolyChain(Curve):
    """Straight segments through the anchors, equally long in t (Garipov et al. 2018, section 3.2).

    C_i(t) = max(0, 1 - |t (n - 1) - i|) for n anchors.

    Args:
        a: the weights at t = 0.
        b: the weights at t = 1.
        bends: the number of anchors between the ends, or these anchors themselves, (bends, weights).
        fixed_ends: whether only the bends can be trained.

    Raises:
        PathfinderError: if ends or bends are not vectors of finite real weights, all of one length.

    >>> chain = PolyChain(torch.zeros(2), torch.tensor([2.0, 0.0]), bends=torch.tensor([[1.0, 1.0]]))
    >>> chain(torch.tensor([0.25, 0.5])).tolist()
    [[0.5, 0.5], [1.0, 1.0]]
    """

    def coefficients(self, t: Float[Tensor, " points"]) -> Float[Tensor, "points anchors"]:
        """C_i(t) = max(0, 1 - |t (n - 1) - i|)."""
        last = len(self.bends) + 1
        knots = torch.arange(last + 1, dtype=t.dtype, device=t.device)
        return (1 - (last * t[:, None] - knots).abs()).clamp_min(0)

    def arc_length(self, t: Float[Tensor, " points"]) -> Float[Tensor, " points"]:
        """The lengths of the segments up to t, exactly."""
        segments = torch.stack([distance(a, b) for a, b in pairwise(self.rows())])
        share = (len(segments) * t.double()[:, None] - torch.arange(len(segments))).clamp(0, 1)
        total = torch.zeros(len(t), dtype=torch.float64)
        for i, segment in enumerate(segments):
            total = total + share[:, i] * segment
        return total


class Bezier(Curve):
    """The Bezier curve with the anchors as control points (Garipov et al. 2018, section 3.2).

    C_i(t) = binom(n - 1, i) t^i (1 - t)^(n - 1 - i) for n anchors.

    Args:
        a: the weights at t = 0.
        b: the weights at t = 1.
        bends: the number of anchors between the ends, or these anchors themselves, (bends, weights).
        fixed_ends: whether only the bends can be trained.

    Raises:
        PathfinderError: if ends or bends are not vectors of finite real weights, all of one length.

    >>> curve = Bezier(torch.zeros(2), torch.tensor([2.0, 0.0]), bends=torch.tensor([[1.0, 1.0]]))
    >>> curve(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [[0.0, 0.0], [1.0, 0.5], [2.0, 0.0]]
    """

    def coefficients(self, t: Float[Tensor, " points"]) -> Float[Tensor, "points anchors"]:
        """C_i(t) = binom(n - 1, i) t^i (1 - t)^(n - 1 - i); powers by multiplication, exact at 0 and 1."""
        degree = len(self.bends) + 1
        up, down = [torch.ones_like(t)], [torch.ones_like(t)]
        for _ in range(degree):
            up.append(up[-1] * t)
            down.append(down[-1] * (1 - t))
        return torch.stack([math.comb(degree, i) * up[i] * down[degree - i] for i in range(degree + 1)], dim=1)
