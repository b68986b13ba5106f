"""Settings of landscapes: `[[surfaces]]` and `[[curvature]]` of a config."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pathfinder.landscape.curvature import RATIO_TOLERANCE
from pathfinder.landscape.spectrum import LEAST_PRODUCTS, Parameters
from pathfinder.scoring.adaptive_plane import TOLERANCE
from pathfinder.scoring.settings import Planes
from pathfinder.settings import FARTHEST, MOST, Along, Checked, Count, Name, Positive, Seed, check_points, grid_points


class Surface(Checked):
    """A request for a profile along one direction, or a surface over two, around minima of each pair.

    `surfaces.Landscape` is the geometry built from it for one minimum.

    Attributes:
        name: its name in tables; by default made of its directions and axes.
        axes: 1 or 2.
        directions: `random`, or `trajectory`: those along which the minimum varied most during its training.
        normalize: scale of random directions: `filter`, `layer`, `weight` or `none`.
        keep_1d: whether random directions change biases and norm parameters too.
        orthogonal: whether the second random direction is made orthogonal to the first.
        seed: draws the directions.
        minima: the ends of each pair to score around.
        points: along each axis; one number, or one for each axis; over two axes, `auto` lets the train loss
            choose.
        tolerance: with `auto`, how far log(loss + 0.01) may be off between the points.
        span: distance from the minimum to both sides, or two ends, or two ends for each axis; by default 1, and for a
            trajectory what contains it.
        batch_norm: BatchNorm's statistics at every point: those `stored` with the minimum, as Li et al. (2018), or
            re-estimated, `training` or `reestimate`, as for the Evaluator.
        splits: the splits that are scored; all if not given.
        examples: scored of each split; by default as along the paths.
        batch_norm_examples: used to re-estimate BatchNorm; by default as along the paths.
    """

    name: Name | None = None
    axes: Literal[1, 2] = 2
    directions: Literal["random", "trajectory"] = "random"
    normalize: Literal["filter", "layer", "weight", "none"] = "filter"
    keep_1d: bool = False
    orthogonal: bool = False
    seed: Seed = 0
    minima: Annotated[tuple[Literal["a", "b"], ...], Field(min_length=1)] = ("a",)
    points: Along | tuple[Along, Along] | Literal["auto"] = 51
    tolerance: Positive = TOLERANCE
    span: Positive | tuple[float, float] | tuple[tuple[float, float], tuple[float, float]] | None = None
    batch_norm: Literal["stored", "training", "reestimate"] = "stored"
    splits: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    examples: Count | None = None
    batch_norm_examples: Count | None = None

    @model_validator(mode="after")
    def _check_axes(self) -> "Surface":
        if self.axes == 1 and not isinstance(self.points, int):
            given = self.points if self.points == "auto" else list(self.points)
            raise ValueError(f"a profile has one axis, so points must be one number, got {given}")
        if self.axes == 1 and isinstance(self.span, tuple) and isinstance(self.span[0], tuple):
            raise ValueError("a profile has one axis, so span must be one number or two ends")
        for low, high in self.spans or []:
            if not -math.inf < low < high < math.inf:
                raise ValueError(f"a span must rise from its first end to its second, got {low} and {high}")
        return self

    @model_validator(mode="after")
    def _check_splits(self) -> "Surface":
        if self.splits is not None and "train" not in self.splits:
            raise ValueError(f"splits must include train, which figures show, got {list(self.splits)}")
        return self

    @model_validator(mode="after")
    def _check_size(self) -> "Surface":
        check_points("points", grid_points(self.points), self.axes)
        if any(abs(end) > FARTHEST for ends in self.spans or [] for end in ends):
            raise ValueError(f"a span must lie within -{FARTHEST:g} and {FARTHEST:g}, got {self.span}; lower it")
        return self

    @property
    def spans(self) -> list[tuple[float, float]] | None:
        """The two ends of each axis, if given."""
        if self.span is None:
            return None
        if isinstance(self.span, tuple) and isinstance(self.span[0], tuple):
            return list(self.span)
        ends = self.span if isinstance(self.span, tuple) else (-self.span, self.span)
        return [ends] * self.axes

    @property
    def title(self) -> str:
        """Its name in tables."""
        return self.name or f"{self.normalize if self.directions == 'random' else self.directions}-{self.axes}d"


def chosen_to(asked: Surface | Planes) -> float | None:
    """The tolerance to which losses choose the points of a surface or plane; None if the points are given."""
    return asked.tolerance if asked.points == "auto" else None


class Curvature(Checked):
    """A request for extreme Hessian eigenvalues and the trace, along a path of each pair or over a surface.

    Attributes:
        along: `line` or the name of a curve; or the name of a surface, whose directions and span are used.
        points: along the path, or along each axis of the surface; one number, or one for each axis; over two axes,
            `auto` lets the ratio of both eigenvalues choose.
        points_tolerance: with `auto`, how far log(ratio + 0.01) may be off between the points.
        batch_norm: BatchNorm's statistics at every point: `stored`, `training` or `reestimate`; by default as along the
            path, where those of the ends are not mixed, or as over the surface.
        examples: of the training split, over which the loss is averaged; by default as along the paths.
        batch_norm_examples: used to re-estimate BatchNorm; by default as along the paths.
        batch_size: examples per pass of a Hessian-vector product; where one batch holds all, its gradient is kept, and
            each product costs less.
        tolerance: relative residual of both eigenvalues.
        most: maximum Hessian-vector products for the eigenvalues of a point.
        samples: random vectors for the trace of a point; 0 leaves it out.
        parameters: `all`, or `matrices`: the Hessian with respect to tensors of two axes or more alone.
    """

    along: Name = "line"
    points: Along | tuple[Along, Along] | Literal["auto"] = 11
    points_tolerance: Positive = RATIO_TOLERANCE
    batch_norm: Literal["stored", "training", "reestimate"] | None = None
    examples: Count | None = None
    batch_norm_examples: Count | None = None
    batch_size: Count = 128
    tolerance: Positive = 1e-2
    most: Annotated[int, Field(ge=LEAST_PRODUCTS, le=MOST)] = 400
    samples: Annotated[int, Field(ge=0, le=MOST)] = 0
    parameters: Parameters = "all"

    @property
    def method(self) -> dict[str, Any]:
        """How the curvature of each point is measured: what `measure_points` takes."""
        return self.model_dump(include={"tolerance", "most", "samples", "batch_size", "parameters"})

    @model_validator(mode="after")
    def _check_samples(self) -> "Curvature":
        if self.samples == 1:
            raise ValueError("curvature.samples must be 0, or 2 and more: one has no standard error")
        return self
