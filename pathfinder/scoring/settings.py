"""What an experiment scores: the paths, the planes of curves, surfaces around minima, curvature; tables of a config."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pathfinder.landscape.hessian import LEAST_PRODUCTS
from pathfinder.training.recipe import Checked, Count, Positive, Seed

LONGEST = 80  # letters: file names are made of three names, and may have 255
FARTHEST = 1e6  # how far from the points that matter anything is scored: beyond, weights are no numbers any more
MOST = 1_000_000  # points of a path or a grid: more take months, and their tables more than the memory

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=LONGEST)]
Along = Annotated[int, Field(ge=2, le=MOST)]  # points along an axis
Coordinate = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST, allow_inf_nan=False)]


def few_enough(key: str, points: int | tuple[int, ...], axes: int) -> None:
    """Check that a grid can be held.

    Args:
        key: what the user calls its points.
        points: along each axis, or along all of them.
        axes: how many there are.

    Raises:
        ValueError: if not.
    """
    total = math.prod([points] * axes if isinstance(points, int) else points)
    if total > MOST:
        raise ValueError(f"{key} must make {MOST:,} points or fewer in all, got {total:,}; lower {key}")


class Scoring(Checked):
    """What is scored along the paths.

    Attributes:
        points: values of t per path, both ends included.
        line: whether the straight line is scored.
        range: from where to where the line is; curves go from 0 to 1.
        batch_norm: `reestimate`, `augmented`, `stored` or `interpolate`, as for the Evaluator.
        batch_size: examples per forward pass; re-estimated statistics depend on it.
        examples: of each split; all if not given.
        batch_norm_examples: that re-estimate BatchNorm; all if not given.
        rescore: whether the ends and the largest points of each path are scored once more, on all examples.
    """

    points: Along = 61
    line: bool = True
    range: tuple[Coordinate, Coordinate] = (0.0, 1.0)
    batch_norm: Literal["reestimate", "augmented", "stored", "interpolate"] = "reestimate"
    batch_size: Count = 512
    examples: Count | None = None
    batch_norm_examples: Count | None = None
    rescore: bool = False


class Planes(Checked):
    """The planes through both minima and the middle bend of curves.

    Attributes:
        points: per axis.
        margin: how far the grid reaches beyond the three points, as a share of their extent.
        curves: which curves get a plane; all that have a bend if not given.
        examples: of each split; as along the paths if not given.
        batch_norm_examples: that re-estimate BatchNorm; as along the paths if not given.
    """

    points: Along = 21
    margin: Annotated[float, Field(ge=0, le=FARTHEST, allow_inf_nan=False)] = 0.2
    curves: Annotated[list[str], Field(min_length=1)] | None = None
    examples: Count | None = None
    batch_norm_examples: Count | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> "Planes":
        few_enough("points", self.points, 2)
        return self


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
        few_enough("points", self.points, self.axes)
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


class Align(Checked):
    """How b's hidden units are put in the order of a's; all paths are then drawn once more, to the aligned b.

    Attributes:
        method: `weights` or `activations`.
        orders: random orders that weight matching tries.
        examples: training examples whose activations are compared.
        structure: the groups of units by hand, as for `Structure.by_hand`, where they cannot be found.
        every_pair: whether the line between every two minima of a group is scored, as they are and aligned.
        repair: whether the aligned line is scored once more, REPAIRed, where the network has no BatchNorm.
    """

    method: Literal["weights", "activations"] = "weights"
    orders: Annotated[int, Field(ge=1, le=10_000)] = 5
    examples: Annotated[int, Field(ge=2)] = 1000
    structure: Annotated[dict[str, list[str]], Field(min_length=1)] | None = None
    every_pair: bool = False
    repair: bool = False

    @property
    def matching(self) -> dict[str, Any]:
        """What the aligned weights depend on."""
        return self.model_dump(include={"method", "orders", "examples", "structure"})
