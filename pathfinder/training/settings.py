"""Settings of `[minimum]`, `[[curves]]` and `[race]` in a config."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import find_kind
from pathfinder.geometry.curves import Curve
from pathfinder.models.settings import Model
from pathfinder.settings import Checked, Count, Name, Seed, by_import_path
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
    def arguments(self) -> RecipeArguments:
        """The fields that `fit_minimum` takes."""
        return cast("RecipeArguments", self.model_dump(include=set(Recipe.model_fields)))


class CurveSettings(CurveRecipe):
    """A curve between the minima of each pair, and how to train it.

    Attributes:
        kind: `polychain`, `bezier`, or the import path of a curve of your own, `package.module:name`.
        name: its name in tables; the kind if not given.
        bends: anchors between the ends; 0 is the straight line, and nothing is trained.
        fixed_ends: whether the minima are held fixed.
        aligned: with `[align]`, whether it ends in the aligned b, or in b as it was trained; if not given, there is one
            of each.
        start: the `line` to the aligned b or not, or with `aligned = true` its `repair`: the line with the moments of
            its hidden units set to those of the ends (Jordan et al. 2023). Networks with BatchNorm start on the line.
    """

    kind: str = "bezier"
    name: Name | None = None
    bends: Annotated[int, Field(ge=0, le=1000)] = 1
    fixed_ends: bool = True
    aligned: bool | None = None
    start: Literal["line", "repair"] = "line"

    def check(self) -> None:
        """Raise a ValueError if settings do not fit together, once those of `[curve]` and of its own are both known."""
        if self.start == "repair" and not self.aligned:
            raise ValueError("start = repair needs the aligned b; set aligned = true")
        if self.start == "repair" and self.bends == 0:
            raise ValueError("start = repair bends a curve, but it has bends = 0; give it a bend")
        if self.method == "neb" and (self.kind != "polychain" or not self.fixed_ends):
            raise ValueError(
                f"method = 'neb' needs a polychain with fixed ends, got a {self.kind}; set kind = 'polychain'"
            )

    @property
    def arguments(self) -> dict[str, Any]:
        """The fields that `fit_curve` takes."""
        return self.model_dump(include=set(CurveRecipe.model_fields))

    @property
    def title(self) -> str:
        """The name of the curve in tables."""
        return self.name or self.kind.replace(":", "-")

    @property
    def geometry(self) -> type[Curve]:
        """The class of the curve.

        Raises:
            PathfinderError: if there is none of this kind, or what the import path names is not one.
        """
        if ":" not in self.kind:
            return find_kind(self.kind, Curve)
        found = by_import_path(self.kind)
        if not (isinstance(found, type) and issubclass(found, Curve)):
            raise PathfinderError(f"{self.kind} is not a curve; name a subclass of pathfinder.Curve.")
        return found

    @property
    def passes(self) -> float:
        """Passes of a batch in a step, forward and backward; a forward pass alone, at an end of a band, is a third."""
        return self.bends + 2 / 3 if self.method == "neb" else 1.0


class Race(Checked):
    """Trains every curve with several budgets, to see which is flat enough first.

    A curve is flat enough if its largest train loss is at most that of the reference after the largest budget, the
    median over the pairs of a group. Schedules are stretched to each budget. One whose training diverges is not.

    Attributes:
        reference: the name of a curve.
        budgets: epochs of each curve, in place of its own.
        largest: the largest budget of single curves, by name, if not that of all.
    """

    reference: Name
    budgets: Annotated[tuple[Count, ...], Field(min_length=1)] = (5, 10, 20, 40, 80)
    largest: Mapping[Name, Count] = Field(default_factory=dict)

    def entries(self, curves: Iterable[CurveSettings]) -> list[CurveSettings]:
        """A curve for each budget of each curve.

        Raises:
            ValueError: if a curve that is named does not exist, or none of the budgets is small enough for it.
        """
        titles, found = [], []
        for curve in curves:
            titles.append(curve.title)
            most = self.largest.get(curve.title, max(self.budgets))
            if most < min(self.budgets):
                raise ValueError(f"race.largest gives `{curve.title}` {most} epochs, below all budgets; name a budget")
            for epochs in sorted({*self.budgets}):
                if epochs <= most:
                    found.append(curve.model_copy(update={"name": f"{curve.title}-{epochs}", "epochs": epochs}))
        for key, name in (("reference", self.reference), *(("largest", name) for name in self.largest)):
            if name not in titles:
                raise ValueError(f"race.{key} names `{name}`, but the curves are {titles}; name one of them")
        return found
