"""Checks of what users write: tables of a config, arguments of Python calls, import paths."""

import importlib
import math
import re
import reprlib
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from torch import Tensor

from pathfinder.errors import PathfinderError, brief, unknown, users_code


def by_import_path(path: str) -> Any:
    """Import the object `package.module:name`; the current folder is searched as well.

    This runs the module, so the path must come from the user's command line, config or code, never from a file of
    weights.

    Raises:
        PathfinderError: if the module or the name in it does not exist, or the module raises.
    """
    module_name, _, name = path.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    with users_code(f"cannot import `{path}`", "write package.module:name"):
        return getattr(importlib.import_module(module_name), name)


def whole(value: Any, what: str, least: int | None = None) -> int:
    """A whole number of Python or NumPy, as an int.

    Args:
        value: the number; True and False are refused.
        what: what errors call it.
        least: the smallest number allowed.

    Raises:
        PathfinderError: if it is anything else, or too small.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise PathfinderError(f"{what} must be a whole number, got {describe(value)}.")
    if least is not None and value < least:
        raise PathfinderError(f"{what} must be {least} or more, got {value}.")
    return int(value)


def number(value: Any, what: str) -> float | int:
    """A real number, unchanged.

    Raises:
        PathfinderError: if it is anything else.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise PathfinderError(f"{what} must be a number, got {describe(value)}.")
    return value


def check_kind(value: Any, kind: type, what: str, remedy: str) -> None:
    """Raise a PathfinderError unless an argument is an instance of a class."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise PathfinderError(f"{what} must be {article} {kind.__name__}, got {describe(value)}; {remedy}.")


def check_callable(value: Any, what: str) -> None:
    """Raise a PathfinderError unless an optional argument is None or can be called."""
    if value is not None and not callable(value):
        raise PathfinderError(f"{what} must be a function, got {describe(value)}.")


def describe(value: Any) -> str:
    """A value for a message: text and numbers as they are, tensors and arrays by their shape, others by their class."""
    if isinstance(value, str | int | float | None):
        return brief(reprlib.repr(value), 80)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} {value.dtype} of shape {tuple(value.shape)}"
    return type(value).__name__


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
MOST_THREADS = 1024  # more would only exhaust the machine
Threads = Annotated[int, Field(ge=1, le=MOST_THREADS)]
Epochs = Annotated[int, Field(ge=0, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**62)]
Parsed = TypeVar("Parsed", bound="Checked")


class Checked(BaseModel):
    """Settings that refuse unknown keys and wrong values, in the user's spelling."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def parse(cls: type[Parsed], values: Mapping[str, Any]) -> Parsed:
        """The settings with these values.

        Raises:
            PathfinderError: at the first unknown key or wrong value.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise explain(error, cls) from error


_ALTERNATIVE = re.compile(r"constrained-\w+|\w+\[.*\]")  # how pydantic names one of several types of a value


def explain(error: ValidationError, model: type[BaseModel]) -> PathfinderError:
    """The first error that pydantic found, in the user's spelling."""
    fault, *others = error.errors()
    where = ".".join(str(part) for part in fault["loc"] if not _ALTERNATIVE.fullmatch(str(part)))
    if fault["type"] == "extra_forbidden":
        keys = list(_owner(model, fault["loc"][:-1]).model_fields)
        table = ".".join(str(part) for part in fault["loc"][:-1])
        return unknown(f"key in [{table}]" if table else "key", fault["loc"][-1], keys)
    if fault["type"] == "literal_error":
        return unknown(where, fault["input"], _choices(fault))
    if fault["type"] == "missing":
        return PathfinderError(f"`{where}` is missing; give it a value.")
    message = demand(fault)
    for other in others:  # of the same value, where a word would do too
        if other["type"] == "literal_error" and other["loc"][:-1] == fault["loc"][:-1]:
            message += f", or {' or '.join(_choices(other))}"
    if fault["type"] == "value_error":
        return PathfinderError(f"{where}: {message}." if where else f"{message}.")
    return PathfinderError(f"`{where}` {message}, got {brief(repr(fault['input']))}.")


def demand(fault: ErrorDetails) -> str:
    """What pydantic says that a value should be."""
    if fault["type"] in ("int_type", "int_parsing", "int_from_float"):
        return "should be a whole number"
    if fault["type"] == "too_short" and fault["ctx"]["actual_length"] == 0:
        return "must not be empty"
    return fault["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")


def _choices(fault: ErrorDetails) -> list[str]:
    """The words that were expected."""
    return [choice.strip("'") for choice in fault["ctx"]["expected"].replace(" or ", ", ").split(", ")]


def _owner(model: type[BaseModel], path: tuple) -> type[BaseModel]:
    """The model, within a nested one, that the path of an error leads to."""
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            found = _models(model.model_fields[part].annotation)
            model = found[0] if found else model
    return model


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


LONGEST = 80  # letters of a name; file names join three and may have 255
FARTHEST = 1e6  # coordinates beyond it would make weights overflow
MOST = 1_000_000  # points of a path or a grid; more would take months, and tables larger than memory
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=LONGEST)]
Along = Annotated[int, Field(ge=2, le=MOST)]  # points along an axis
Points = TypeVar("Points", bound=int | tuple[int, int])
Coordinate = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST, allow_inf_nan=False)]


def grid_points(points: Points | Literal["auto"]) -> Points | int:
    """Points along each axis: those that are given, or with `auto` the corners."""
    return 2 if points == "auto" else points


def check_points(key: str, points: int | tuple[int, ...], axes: int) -> None:
    """Check that a grid has at most `MOST` points.

    Args:
        key: the name of the setting.
        points: along each axis, or one number for all axes.
        axes: the number of axes.

    Raises:
        ValueError: if it has more.
    """
    total = math.prod([points] * axes if isinstance(points, int) else points)
    if total > MOST:
        raise ValueError(f"{key} must make {MOST:,} points or fewer in all, got {total:,}; lower {key}")
