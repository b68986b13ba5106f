"""Checks: an argument of another kind than was meant is refused in one line, before any work is done."""

import reprlib
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError, brief
from pathfinder.geometry.curves import weights_of
from pathfinder.lookup import raised


def whole(value: Any, what: str, least: int | None = None) -> int:
    """A whole number, of Python or NumPy.

    Raises:
        PathfinderError: if it is none (a truth value is none either), or less than `least`.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise PathfinderError(f"{what} must be a whole number, got {came(value)}.")
    if least is not None and value < least:
        raise PathfinderError(f"{what} must be {least} or more, got {value}.")
    return int(value)


def number(value: Any, what: str) -> float:
    """A number, as it is.

    Raises:
        PathfinderError: if it is none.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise PathfinderError(f"{what} must be a number, got {came(value)}.")
    return value


def of_kind(value: Any, kind: type, what: str, remedy: str) -> None:
    """Raise a PathfinderError where an argument is no instance of a class."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise PathfinderError(f"{what} must be {article} {kind.__name__}, got {came(value)}; {remedy}.")


def called(value: Any, what: str) -> None:
    """Raise a PathfinderError where an argument that may be left out is given and cannot be called."""
    if value is not None and not callable(value):
        raise PathfinderError(f"{what} must be a function, got {came(value)}.")


def users(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """A loss or metric of the user's; what it raises becomes one line that says where.

    Raises:
        PathfinderError: if it is no function.
    """
    called(function, what)

    def guarded(output: Any, target: Any) -> Any:
        try:
            return function(output, target)
        except (PathfinderError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise PathfinderError(f"{what} failed: {raised(error)}; it is called with (output, target).") from error

    return guarded


def vector_of(given: Any, size: int, what: str) -> Float[Tensor, " weights"]:
    """Weights, or a direction, of a space of this size, as a tensor.

    Raises:
        PathfinderError: if it is no vector of so many finite real numbers.
    """
    vector = weights_of(given, what)
    if len(vector) != size:
        raise PathfinderError(f"{what} must have shape ({size},), got ({len(vector)},); it is of another network.")
    return vector


def statistics_of(given: Any, size: int, what: str = "statistics") -> Float[Tensor, " statistics"]:
    """Running statistics of BatchNorm of a space that has this many.

    Raises:
        PathfinderError: if they are no tensor of that length.
    """
    if not isinstance(given, Tensor) or given.shape != (size,):
        shape = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else came(given)
        raise PathfinderError(f"{what} must be a tensor of shape ({size},), got {shape}; see WeightSpace.statistics.")
    return given


def several_statistics(given: Any, size: int) -> Sequence[Tensor]:
    """A list of running statistics, one for each of several points.

    Raises:
        PathfinderError: if it is none.
    """
    if not isinstance(given, list | tuple):
        raise PathfinderError(f"statistics must be a list, [those at a, those at b], got {came(given)}.")
    return [statistics_of(one, size, "each of the statistics") for one in given]


def came(value: Any) -> str:
    """What came, for a message: a plain value as it is written, a tensor or array with its shape, else its class."""
    if isinstance(value, str | int | float | None):
        return brief(reprlib.repr(value), 80)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} {value.dtype} of shape {tuple(value.shape)}"
    return type(value).__name__
