"""Recipes: how a minimum or a curve is trained, checked in the same way for configs, commands and Python."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
from pydantic import Field, model_validator

from pathfinder.settings import Checked, Count, Epochs, NotNegative, Positive, Seed
from pathfinder.training.schedules import SCHEDULES, Schedule

Tangent = Literal["improved", "autoneb"]
RECIPES: dict[str, dict[str, Any]] = {  # what `recipe` gives the settings of a curve that are not set otherwise
    "fast": {"lr": 0.2, "batch_size": 32, "schedule": "onecycle", "t": "stratified"},
    "garipov": {"lr": 0.05, "batch_size": 128, "schedule": "garipov", "t": "uniform"},
}


class Recipe(Checked):
    """How a minimum is trained; the defaults are those of Garipov et al. (2018) for VGG-16, but for the schedule.

    Attributes:
        epochs: passes over the data.
        lr: the largest learning rate.
        batch_size: examples per step.
        micro_batch_size: examples per forward pass if a whole batch does not fit in memory; gradients are summed, so
            the step is the same up to rounding, except that BatchNorm normalises each micro-batch by itself ("ghost"
            statistics, Hoffer et al. 2017) and Dropout draws for each.
        optimizer: `sgd`, `adam` or `adamw`.
        momentum: the momentum of SGD.
        nesterov: whether to use Nesterov momentum.
        weight_decay: the weight decay of the optimiser, on all parameters.
        label_smoothing: fraction of the target spread evenly over all classes (Szegedy et al. 2016); histories and
            scores show the loss without it.
        schedule: `constant`, `step`, `li`, `cosine`, `onecycle` or `garipov`; see `learning_rate`.
        seed: draws the order of the examples, and what the module itself draws (Dropout).
    """

    epochs: Epochs = 30
    lr: Positive = 0.05
    batch_size: Count = 128
    micro_batch_size: Count | None = None
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 5e-4
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    schedule: Schedule = "onecycle"
    seed: Seed = 0

    @model_validator(mode="after")
    def _check_nesterov(self) -> "Recipe":
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            raise ValueError("nesterov = true needs optimizer sgd with a momentum above 0; set one or drop nesterov")
        return self

    def learning_rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, if an epoch has `steps` of them.

        constant; step: a tenth after 50 % and again after 75 % of the epochs (He et al. 2016); li: a third time after
        11/12 (Li et al. 2018: epochs 150, 225 and 275 of 300); cosine to zero, step by step (Loshchilov and Hutter
        2017); onecycle: up from lr / 25 over 30 % of the steps, down to lr / 250,000 (Smith and Topin 2018, with
        torch's defaults); garipov: constant to 50 % of the epochs, linear to 1 % at 90 %, then
        1 % (Garipov et al. 2018, `train.py`).
        """
        return self.lr * SCHEDULES[self.schedule](step, steps, self.epochs)

    def draw_t(self, rng: np.random.Generator, steps: int) -> np.ndarray:
        """Draw the t of each step of an epoch; a minimum draws them too, without using them."""
        return rng.random(steps)


class Until(Checked):
    """The largest loss along a curve at which its training stops.

    Looked at every so many steps, on a fixed subset of the training data and at fixed points, the ends among them, with
    BatchNorm re-estimated on another subset as large.

    Attributes:
        loss: the largest loss, or
        ratio: the largest loss over that of the worse end.
        every: steps between two looks; the last step of the training is looked at too.
        points: evenly spaced, both ends included.
        examples: of the training data, drawn by the recipe's seed.
    """

    loss: Positive | None = None
    ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    every: Count = 100
    points: Annotated[int, Field(ge=3, le=1000)] = 11
    examples: Count = 1000

    @model_validator(mode="after")
    def _check_one(self) -> "Until":
        if (self.loss is None) == (self.ratio is None):
            raise ValueError("needs a loss or a ratio, and not both, as in until = { loss = 0.1 }")
        return self

    def passes(self, steps: int, examples: int, reestimates: bool) -> float:
        """Passes over the training data that the looks of so many steps took; a forward pass alone counts a third.

        Args:
            steps: of the training.
            examples: of the training data.
            reestimates: whether BatchNorm is re-estimated at each point, by a forward pass of its own.
        """
        looks, forward = -(-steps // self.every), 2 if reestimates else 1
        return looks * self.points * min(self.examples, examples) / examples * forward / 3


class CurveRecipe(Recipe):
    """How the bends of a curve are trained.

    Attributes:
        recipe: gives lr, batch_size, schedule and t where its own table does not set them. `fast`: 0.2, 32, onecycle
            and stratified, the winner of the races in results/README.md; `garipov`: 0.05, 128, garipov and uniform, as
            Garipov et al. (2018) train curves. One named in `[[curves]]` wins over these keys of `[curve]`.
        weight_decay: lambda of the penalty lambda / 2 |theta(t)|^2 on the point of the curve, not on the bends.
        t: how the t of each mini-batch is drawn: `uniform`; `beta` for Beta(2, 2), which prefers the middle; or
            `stratified`, uniform but one from each of as many equal parts of [0, 1] as an epoch has steps.
        method: `mean` lowers the mean loss over t (Garipov et al. 2018); `neb` lowers that of each bend across a chain,
            a nudged elastic band (Draxler et al. 2018), whose steps pass a batch through every anchor.
        tangent: of the chain at a bend, for `neb`: `improved` (Henkelman and Jonsson 2000) or `autoneb` (the code of
            Draxler et al. 2018).
        until: stop as soon as the curve is flat enough; the schedule remains that of all epochs.
    """

    recipe: Literal["fast", "garipov"] = "fast"
    lr: Positive = RECIPES["fast"]["lr"]
    batch_size: Count = RECIPES["fast"]["batch_size"]
    schedule: Schedule = RECIPES["fast"]["schedule"]
    t: Literal["uniform", "beta", "stratified"] = RECIPES["fast"]["t"]
    method: Literal["mean", "neb"] = "mean"
    tangent: Tangent = "improved"
    until: Until | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        """Fill in what a recipe gives; a name that does not exist is left to the check of the field."""
        name = values.get("recipe") if isinstance(values, Mapping) else None
        return {**RECIPES[name], **values} if isinstance(name, str) and name in RECIPES else values

    def draw_t(self, rng: np.random.Generator, steps: int) -> np.ndarray:
        """Draw the t of each step of an epoch."""
        if self.t == "stratified":
            return (rng.permutation(steps) + rng.random(steps)) / steps
        return rng.beta(2, 2, steps) if self.t == "beta" else rng.random(steps)


class RecipeArguments(TypedDict, total=False):
    """The fields of `Recipe` as keyword arguments, for editors and type checkers."""

    epochs: int
    lr: float
    batch_size: int
    micro_batch_size: int | None
    optimizer: Literal["sgd", "adam", "adamw"]
    momentum: float
    nesterov: bool
    weight_decay: float
    label_smoothing: float
    schedule: Schedule
    seed: int


class CurveRecipeArguments(RecipeArguments, total=False):
    """The fields of `CurveRecipe` as keyword arguments."""

    recipe: Literal["fast", "garipov"]
    t: Literal["uniform", "beta", "stratified"]
    method: Literal["mean", "neb"]
    tangent: Tangent
    until: Until | None
