"""Recipe: how a fit walks downhill. Checked here once, for configs, commands and Python alike."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pathfinder.errors import PathfinderError, brief
from pathfinder.lookup import unknown

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Epochs = Annotated[int, Field(ge=0, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**62)]
Schedule = Literal["constant", "step", "li", "cosine", "onecycle", "garipov"]


class Checked(BaseModel):
    """Settings whose unknown keys and wrong values are errors in the user's spelling."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Checked":
        """The settings, or one line that says what is wrong with them.

        Raises:
            PathfinderError: at the first unknown key or wrong value.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise explained(error, cls) from error


class Recipe(Checked):
    """How a minimum is trained; the defaults are those of Garipov et al. (2018) for networks of CIFAR size.

    Attributes:
        epochs: passes over the data.
        lr: the largest learning rate.
        batch_size: examples per step.
        micro_batch_size: examples per forward pass where a whole batch would not fit in memory; gradients are summed,
            so the step is the same up to rounding, except that BatchNorm normalises each micro-batch by itself ("ghost"
            statistics, Hoffer et al. 2017) and Dropout draws anew.
        optimizer: `sgd`, `adam` or `adamw`.
        momentum: of SGD.
        nesterov: whether SGD looks ahead.
        weight_decay: the optimiser's own, on all parameters.
        label_smoothing: share of the target spread evenly over all classes (Szegedy et al. 2016); histories and scores
            show the loss without it.
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
    def _can_look_ahead(self) -> "Recipe":
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            raise ValueError("nesterov = true needs optimizer sgd with a momentum above 0; set one or drop nesterov")
        return self

    def learning_rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, where an epoch has `steps` of them.

        constant; step: a tenth after 50 % and again after 75 % of the epochs (He et al. 2016); li: and once more after
        11/12 (Li et al. 2018: epochs 150, 225 and 275 of 300); cosine to zero, step by step (Loshchilov and Hutter
        2017); onecycle: up from lr / 25 over 30 % of the steps, down to lr / 250,000 (Smith and Topin 2018, with
        torch's defaults); garipov: constant to 50 % of the epochs, linear to 1 % at 90 %, then
        1 % (Garipov et al. 2018, `train.py`).
        """
        return self.lr * _SCHEDULES[self.schedule](step, steps, self.epochs)


class CurveRecipe(Recipe):
    """How the bends of a curve are trained.

    Attributes:
        weight_decay: lambda of the penalty lambda / 2 |theta(t)|^2 on the point of the curve, not on the bends.
        t: how the t of each mini-batch is drawn: `uniform`, or `beta` for Beta(2, 2), which looks at the middle more.
    """

    schedule: Schedule = "garipov"
    t: Literal["uniform", "beta"] = "uniform"


def explained(error: ValidationError, model: type[BaseModel]) -> PathfinderError:
    """The first fault pydantic found, in the user's spelling."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        keys = list(_owner(model, fault["loc"][:-1]).model_fields)
        table = ".".join(str(part) for part in fault["loc"][:-1])
        return unknown(f"key in [{table}]" if table else "key", fault["loc"][-1], keys)
    if fault["type"] == "literal_error":
        choices = [choice.strip("'") for choice in fault["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return unknown(where, fault["input"], choices)
    if fault["type"] == "missing":
        return PathfinderError(f"`{where}` is missing; give it a value.")
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    if fault["type"] == "value_error":
        return PathfinderError(f"{where}: {message}." if where else f"{message}.")
    return PathfinderError(f"`{where}` {message}, got {brief(repr(fault['input']))}.")


def _owner(model: type[BaseModel], path: tuple) -> type[BaseModel]:
    """The model that a place in a nested model belongs to."""
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            found = _models(model.model_fields[part].annotation)
            model = found[0] if found else model
    return model


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _step(step: int, steps: int, epochs: int) -> float:
    share = (step // steps) / epochs
    return 0.01 if share >= 0.75 else 0.1 if share >= 0.5 else 1.0


def _li(step: int, steps: int, epochs: int) -> float:
    return _step(step, steps, epochs) * (0.1 if 12 * (step // steps) >= 11 * epochs else 1.0)


def _cosine(step: int, steps: int, epochs: int) -> float:
    return (1 + math.cos(math.pi * step / (steps * epochs))) / 2


def _onecycle(step: int, steps: int, epochs: int) -> float:
    first, last, turn, end = 1 / 25, 1 / 250_000, 0.3 * steps * epochs - 1, steps * epochs - 1
    if step <= turn:
        return _between(first, 1.0, step / turn)
    return _between(1.0, last, (step - turn) / (end - turn))


def _garipov(step: int, steps: int, epochs: int) -> float:
    share = (step // steps + 1) / epochs
    if share <= 0.5:
        return 1.0
    return 1.0 - (share - 0.5) / 0.4 * 0.99 if share <= 0.9 else 0.01


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


_SCHEDULES = {
    "constant": lambda step, steps, epochs: 1.0,
    "step": _step,
    "li": _li,
    "cosine": _cosine,
    "onecycle": _onecycle,
    "garipov": _garipov,
}
