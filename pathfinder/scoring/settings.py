"""What a config says of scores: `[score]` and `[planes]`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pathfinder.settings import FARTHEST, Along, Checked, Coordinate, Count, few_enough


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
