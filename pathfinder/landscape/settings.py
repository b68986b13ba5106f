"""What a config says of landscapes: `[[surfaces]]` and `[[curvature]]`."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pathfinder.landscape.hessian import LEAST_PRODUCTS
from pathfinder.settings import FARTHEST, MOST, Along, Checked, Count, Name, Positive, Seed, check_points


class Surface(Checked):
    """A profile along one direction, or a surface over two, around minima of each pair.

    Attributes:
        name: what tables call it; made of its directions if not given.
        axes: 1 or 2.
        directions: `random`, or `trajectory`: those along which the minimum's own training varied most.
        normalize: of random directions: `filter`, `layer`, `weight` or `none`.
        keep_1d: whether biases and norm parameters move too.
        orthogonal: whether the second random direction is made orthogonal to the first.
        seed: draws the directions.
        minima: around which ends of each pair.
        points: along each axis, one number or one for each.
        span: reach to both sides of the minimum, or two ends, or two ends for each axis; if not given 1, and for a
            trajectory what holds it.
        examples: of each split; as along the paths if not given.
        batch_norm_examples: that re-estimate BatchNorm; as along the paths if not given.
    """

    name: Name | None = None
    axes: Literal[1, 2] = 2
    directions: Literal["random", "trajectory"] = "random"
    normalize: Literal["filter", "layer", "weight", "none"] = "filter"
    keep_1d: bool = False
    orthogonal: bool = False
    seed: Seed = 0
    minima: Annotated[tuple[Literal["a", "b"], ...], Field(min_length=1)] = ("a",)
    points: Along | tuple[Along, Along] = 51
    span: Positive | tuple[float, float] | tuple[tuple[float, float], tuple[float, float]] | None = None
    examples: Count | None = None
    batch_norm_examples: Count | None = None

    @model_validator(mode="after")
    def _has_its_axes(self) -> "Surface":
        if self.axes == 1 and not isinstance(self.points, int):
            raise ValueError(f"a profile has one axis, so points must be one number, got {list(self.points)}")
        if self.axes == 1 and isinstance(self.span, tuple) and isinstance(self.span[0], tuple):
            raise ValueError("a profile has one axis, so span must be one number or two ends")
        for low, high in self.spans or []:
            if not -math.inf < low < high < math.inf:
                raise ValueError(f"a span must rise from its first end to its second, got {low} and {high}")
        return self

    @model_validator(mode="after")
    def _has_an_end(self) -> "Surface":
        check_points("points", self.points, self.axes)
        if any(abs(end) > FARTHEST for ends in self.spans or [] for end in ends):
            raise ValueError(f"a span must lie within -{FARTHEST:g} and {FARTHEST:g}, got {self.span}; lower it")
        return self

    @property
    def spans(self) -> list[tuple[float, float]] | None:
        """The two ends along each axis, if they are given."""
        if self.span is None:
            return None
        if isinstance(self.span, tuple) and isinstance(self.span[0], tuple):
            return list(self.span)
        ends = self.span if isinstance(self.span, tuple) else (-self.span, self.span)
        return [ends] * self.axes

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.name or f"{self.normalize if self.directions == 'random' else self.directions}-{self.axes}d"


class Curvature(Checked):
    """Both ends of the Hessian's spectrum, and its trace, along a path of each pair or over a surface around minima.

    Attributes:
        along: the line or the name of a curve; or the name of a surface, whose directions and span it shares.
        points: along the path, or along each axis of the surface, one number or one for each.
        examples: of the training split, whose mean loss it is; as along the paths if not given.
        batch_norm_examples: that re-estimate BatchNorm; as along the paths if not given.
        batch_size: examples per pass for a product.
        tolerance: relative residual of both eigenvalues.
        most: products with the Hessian for the eigenvalues of a point.
        samples: random vectors for the trace of a point; none if 0.
    """

    along: Name = "line"
    points: Along | tuple[Along, Along] = 11
    examples: Count | None = None
    batch_norm_examples: Count | None = None
    batch_size: Count = 128
    tolerance: Positive = 1e-2
    most: Annotated[int, Field(ge=LEAST_PRODUCTS, le=MOST)] = 400
    samples: Annotated[int, Field(ge=0, le=MOST)] = 0

    @model_validator(mode="after")
    def _has_an_error(self) -> "Curvature":
        if self.samples == 1:
            raise ValueError("curvature.samples must be 0, or 2 and more: one has no standard error")
        return self
