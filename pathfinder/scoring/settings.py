"""Settings of `[score]` and `[planes]` in a config."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pathfinder.scoring.adaptive import FIRST, TOLERANCE
from pathfinder.scoring.adaptive_plane import TOLERANCE as PLANE_TOLERANCE
from pathfinder.scoring.batch_norm import BatchNormName, modern_name
from pathfinder.scoring.sample_size import TOLERANCE as BARRIER_TOLERANCE
from pathfinder.settings import FARTHEST, Along, Checked, Coordinate, Count, Positive, check_points, grid_points

REESTIMATED = ("training", "reestimate")  # ways to find the statistics of BatchNorm from inputs


@dataclass(frozen=True)
class Examples:
    """How many examples of each split are scored, and how many re-estimate BatchNorm; None for all."""

    scored: int | None = None
    batch_norm: int | None = None

    def of(self, chosen: "Examples") -> "Examples":
        """These, and where they are all, those that were chosen."""
        return Examples(
            chosen.scored if self.scored is None else self.scored,
            chosen.batch_norm if self.batch_norm is None else self.batch_norm,
        )


ALL = Examples()
FEW = Examples(1000, 1000)  # enough to compare two ways of scoring


class Scoring(Checked):
    """How the paths are scored.

    Attributes:
        points: values of t per path, both ends included; `auto` lets its losses choose.
        tolerance: of the largest loss and of the integral of a path with `auto`, relative.
        line: whether to score the straight line.
        range: the first and last t of the line; curves run from 0 to 1.
        batch_norm: BatchNorm's statistics along paths and planes: `training`, `reestimate`, `stored` or `interpolate`,
            as for the Evaluator; `stored` mixes those of both ends, as `interpolate` does.
        precision: of scores, `fp32` or `bf16`; that of the file if not given.
        batch_size: examples per forward pass; re-estimated statistics depend on it.
        examples: how many of each split are scored; all if not given; `auto` takes more until the interval of each
            path's barrier is small enough. Only paths and their planes choose; for everything else `auto` means all,
            here and below.
        examples_tolerance: with `auto`, half of the 95 % interval of the rise at the worst of seven points, as a share
            of the largest loss.
        batch_norm_examples: how many re-estimate BatchNorm; all if not given; `auto` takes more until four times as
            many hardly change the scores of both ends and the middle of each path.
        rescore: whether to score the ends and the largest points of each path again, on all examples; with `auto`
            examples they are.
    """

    points: Along | Literal["auto"] = 61
    tolerance: Annotated[float, Field(gt=0, lt=1)] = TOLERANCE
    line: bool = True
    range: tuple[Coordinate, Coordinate] = (0.0, 1.0)
    batch_norm: BatchNormName = "training"
    precision: Literal["fp32", "bf16"] | None = None
    batch_size: Count = 512
    examples: Count | Literal["auto"] | None = None
    examples_tolerance: Annotated[float, Field(gt=0, lt=1)] = BARRIER_TOLERANCE
    batch_norm_examples: Count | Literal["auto"] | None = None
    rescore: bool = False

    @property
    def chosen_examples(self) -> tuple[str, ...]:
        """The settings of examples that paths choose: `examples`, `batch_norm_examples`, both or none."""
        return tuple(name for name in ("examples", "batch_norm_examples") if getattr(self, name) == "auto")

    @property
    def given_examples(self) -> Examples:
        """The examples that are given; all where paths choose them."""
        scored, batch_norm = self.examples, self.batch_norm_examples
        return Examples(None if scored == "auto" else scored, None if batch_norm == "auto" else batch_norm)

    @property
    def equal_points(self) -> int:
        """Points of a path at equal distances: those that are scored, or with `auto` the first of them."""
        return self.points if isinstance(self.points, int) else FIRST

    @model_validator(mode="after")
    def _has_no_beyond(self) -> "Scoring":
        if self.points == "auto" and self.range != (0, 1):
            raise ValueError(f"points = auto looks between the minima, so range must be [0, 1], got {list(self.range)}")
        return self

    @field_validator("batch_norm")
    @classmethod
    def _rename(cls, name: BatchNormName) -> BatchNormName:
        """`augmented` is an older name of `training`."""
        return modern_name(name)


class Planes(Checked):
    """The planes through both minima and the middle bend of curves.

    Attributes:
        points: per axis; `auto` lets the train loss choose.
        tolerance: with `auto`, how far log(loss + 0.01) may be off between the points.
        margin: how far the grid extends past the three points, as a fraction of their extent.
        curves: the curves that get a plane; all that have a bend if not given.
        examples: how many of each split are scored; as for the paths if not given.
        batch_norm_examples: how many re-estimate BatchNorm; as for the paths if not given.
    """

    points: Along | Literal["auto"] = 21
    tolerance: Positive = PLANE_TOLERANCE
    margin: Annotated[float, Field(ge=0, le=FARTHEST, allow_inf_nan=False)] = 0.2
    curves: Annotated[list[str], Field(min_length=1)] | None = None
    examples: Count | None = None
    batch_norm_examples: Count | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> "Planes":
        check_points("points", grid_points(self.points), 2)
        return self
