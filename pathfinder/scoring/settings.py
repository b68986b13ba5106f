"""Settings of `[score]` and `[planes]` in a config."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pathfinder.scoring.adaptive import FIRST, TOLERANCE
from pathfinder.scoring.adaptive_plane import TOLERANCE as PLANE_TOLERANCE
from pathfinder.scoring.batch_norm import BatchNormName, modern_name
from pathfinder.settings import FARTHEST, Along, Checked, Coordinate, Count, Positive, check_points

REESTIMATED = ("training", "reestimate")  # ways to find the statistics of BatchNorm from inputs


@dataclass(frozen=True)
class Examples:
    """How many examples of each split are scored, and how many re-estimate BatchNorm; None for all."""

    scored: int | None
    batch_norm: int | None

    def few(self, most: int) -> "Examples":
        """These, but at most so many of each."""
        return Examples(*(most if count is None else min(count, most) for count in (self.scored, self.batch_norm)))


class Scoring(Checked):
    """How the paths are scored.

    Attributes:
        points: values of t per path, both ends included; `auto` for those that its losses ask for.
        tolerance: of the largest loss and of the integral of a path with `auto`, relative.
        line: whether to score the straight line.
        range: the first and last t of the line; curves run from 0 to 1.
        batch_norm: BatchNorm's statistics along paths and planes: `training`, `reestimate`, `stored` or `interpolate`,
            as for the Evaluator; `stored` mixes those of both ends, as `interpolate` does.
        precision: of scores, `fp32` or `bf16`; that of the file if not given.
        batch_size: examples per forward pass; re-estimated statistics depend on it.
        examples: how many of each split are scored; all if not given.
        batch_norm_examples: how many re-estimate BatchNorm; all if not given.
        rescore: whether to score the ends and the largest points of each path again, on all examples.
    """

    points: Along | Literal["auto"] = 61
    tolerance: Annotated[float, Field(gt=0, lt=1)] = TOLERANCE
    line: bool = True
    range: tuple[Coordinate, Coordinate] = (0.0, 1.0)
    batch_norm: BatchNormName = "training"
    precision: Literal["fp32", "bf16"] | None = None
    batch_size: Count = 512
    examples: Count | None = None
    batch_norm_examples: Count | None = None
    rescore: bool = False

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
        points: per axis; `auto` for those that the train loss asks for.
        tolerance: with `auto`, of log(loss + 0.01) between the points; see `scoring.adaptive_plane.judge`.
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
        check_points("points", self.given_points, 2)
        return self

    @property
    def given_points(self) -> int:
        """Points along each axis: those that are scored, or with `auto` the corners."""
        return 2 if self.points == "auto" else self.points
