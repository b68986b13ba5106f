"""Settings of `[minimum]` and `[[curves]]` in a config."""

from typing import Annotated, Any, cast

from pydantic import Field

from pathfinder.models.settings import Model
from pathfinder.settings import Count, Name, Seed
from pathfinder.training.recipe import CurveRecipe, Recipe, RecipeArguments


class Minimum(Recipe):
    """How to train a minimum, or the checkpoint to use instead.

    Attributes:
        model: the network.
        checkpoint: a file of weights; then nothing is trained.
        init_seed: draws the initial weights; `seed` if not given.
        checkpoint_every: save the weights to `trajectories` every so many epochs; never if not given.
    """

    model: Model | None = None
    checkpoint: Annotated[str, Field(min_length=1)] | None = None
    init_seed: Seed | None = None
    checkpoint_every: Count | None = None

    @property
    def recipe(self) -> RecipeArguments:
        """The fields that `fit_minimum` takes."""
        return cast("RecipeArguments", self.model_dump(include=set(Recipe.model_fields)))


class CurveSettings(CurveRecipe):
    """A curve between the minima of each pair, and how to train it.

    Attributes:
        kind: `polychain`, `bezier`, or a kind of your own that has been imported.
        name: its name in tables; the kind if not given.
        bends: anchors between the ends; 0 is the straight line, and nothing is trained.
        fixed_ends: whether the minima are held fixed.
    """

    kind: str = "bezier"
    name: Name | None = None
    bends: Annotated[int, Field(ge=0, le=1000)] = 1
    fixed_ends: bool = True

    def check_band(self) -> None:
        """Raise a ValueError if the band of `neb` cannot be made: `[curve]` alone may not say which kind a curve is."""
        if self.method == "neb" and (self.kind != "polychain" or not self.fixed_ends):
            raise ValueError(
                f"method = 'neb' needs a polychain with fixed ends, got a {self.kind}; set kind = 'polychain'"
            )

    @property
    def recipe(self) -> dict[str, Any]:
        """The fields that `fit_curve` takes."""
        return self.model_dump(include=set(CurveRecipe.model_fields))

    @property
    def title(self) -> str:
        """The name of the curve in tables."""
        return self.name or self.kind
