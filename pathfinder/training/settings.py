"""What a config says of a minimum and of a curve."""

from typing import Annotated, Any

from pydantic import Field

from pathfinder.models.settings import Model
from pathfinder.settings import Count, Name, Seed
from pathfinder.training.recipe import CurveRecipe, Recipe


class Minimum(Recipe):
    """How one minimum is trained, or the checkpoint that holds it.

    Attributes:
        model: its network.
        checkpoint: a file of weights; then nothing is trained.
        init_seed: draws the initial weights; the seed if not given.
        checkpoint_every: epochs between two weights kept of the training, in `trajectories`; none if not given.
    """

    model: Model | None = None
    checkpoint: Annotated[str, Field(min_length=1)] | None = None
    init_seed: Seed | None = None
    checkpoint_every: Count | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """The fields that `fit_minimum` takes."""
        return self.model_dump(include=set(Recipe.model_fields))


class CurveSettings(CurveRecipe):
    """One curve of each pair and how it is trained.

    Attributes:
        kind: `polychain`, `bezier` or an imported kind of your own.
        name: what tables call it; the kind if not given.
        bends: anchors between the ends; 0 is the straight line, and nothing is trained.
        fixed_ends: whether the minima stay where they are.
    """

    kind: str = "bezier"
    name: Name | None = None
    bends: Annotated[int, Field(ge=0, le=1000)] = 1
    fixed_ends: bool = True

    @property
    def title(self) -> str:
        """What tables call the curve."""
        return self.name or self.kind
