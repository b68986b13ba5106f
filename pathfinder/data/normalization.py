"""Normalisation: the mean and the deviation by which images of `uint8` are prepared, after scaling to [0, 1]."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from pathfinder.data.batching import leaves
from pathfinder.data.split import Split, raw_images
from pathfinder.data.stream import Stream
from pathfinder.errors import PathfinderError, brief
from pathfinder.settings import number

Given = float | Sequence[float] | Tensor | np.ndarray | str | None  # a mean or a deviation, as users give it
Moment = float | tuple[float, ...] | str | None  # the same, read: for all channels, for each, a word, or not given
_WORDS = ("none", "data")
DATA_MOMENTS = ("data", "data")  # the mean and the deviation of the training data itself


def read_moment(value: Any, what: str) -> Moment:
    """A mean or a deviation of pixels scaled to [0, 1].

    Args:
        value: a number, numbers, a text of numbers with commas between, `none`, `data`, or None.
        what: which of both, `mean` or `std`.

    Raises:
        PathfinderError: if it is anything else, or cannot belong to pixels scaled to [0, 1].
    """
    if value is None or (isinstance(value, str) and value in _WORDS):
        return value
    if isinstance(value, Tensor | np.ndarray):
        value = value.reshape(-1).tolist()
    if isinstance(value, str):
        try:
            value = [float(part) for part in value.split(",")]
        except ValueError as error:
            raise PathfinderError(
                f"{what} must be numbers such as 0.49,0.48,0.44, or `none`, or `data`, got `{brief(value, 80)}`."
            ) from error
    if isinstance(value, Sequence):
        numbers = tuple(float(number(one, f"each number of {what}")) for one in value)
    else:
        numbers = (float(number(value, what)),)
    _check_range(numbers, what)
    return numbers if len(numbers) > 1 else numbers[0]


def _check_range(numbers: Sequence[float], what: str) -> None:
    if not numbers:
        raise PathfinderError(f"{what} needs a number, or one per channel, got an empty list; drop it, or give some.")
    if min(numbers) >= 0 and 1 < max(numbers) <= 255:
        scaled = ",".join(f"{one / 255:.3g}" for one in numbers)
        raise PathfinderError(
            f"{what} is for pixels scaled to [0, 1], got {_listed(numbers)}; divide it by 255: {scaled}."
        )
    fits = [math.isfinite(one) and one <= 1 and (one >= 0 if what == "mean" else one > 0) for one in numbers]
    if not all(fits):
        allowed = "from 0 to 1" if what == "mean" else "above 0 and at most 1"
        raise PathfinderError(
            f"{what} must be {allowed}, as pixels are scaled to [0, 1] before, got {_listed(numbers)}."
        )


def check_both(mean: Moment, std: Moment) -> None:
    """Check that a mean and a deviation are given together, both as numbers or both as the same word.

    Raises:
        PathfinderError: if they are not.
    """
    kinds = [value if value is None or isinstance(value, str) else "numbers" for value in (mean, std)]
    if kinds[0] != kinds[1]:
        came = " and ".join(
            f"no {key}" if kind is None else f"{key} {kind}" for key, kind in zip(("mean", "std"), kinds, strict=True)
        )
        raise PathfinderError(
            f"mean and std go together, got {came}; give numbers for both, or `none` for both (pixels scaled to "
            "[0, 1], nothing subtracted)."
        )


def with_moments(splits: Mapping[str, Split | Stream]) -> dict[str, Split | Stream]:
    """Splits whose images of `uint8` are prepared with the moments of those of `train`, where they have none yet."""
    train = splits.get("train")
    if not _is_raw(train):
        return dict(splits)
    mean, std = moments(train.x)
    return {key: replace(one, mean=mean, std=std) if _is_raw(one) else one for key, one in splits.items()}


def _is_raw(source: Split | Stream | None) -> TypeGuard[Split]:
    """Whether a split is of images of `uint8` alone, without a mean and a deviation."""
    return isinstance(source, Split) and isinstance(source.x, Tensor) and bool(raw_images(source))


def normalized(source: Split | Stream, mean: Moment, std: Moment, name: str) -> Split | Stream:
    """A split whose images are prepared with this mean and deviation instead of its own.

    Args:
        source: the split.
        mean: of pixels scaled to [0, 1]; `none` is 0; the split's own if it is None or `data`.
        std: their deviation; `none` is 1.
        name: what errors call the split.

    Raises:
        PathfinderError: if the inputs are not `uint8`, or the numbers are not as many as the channels.
    """
    if mean is None or mean == "data":
        return source
    if not isinstance(source, Split) or not isinstance(source.x, Tensor) or source.x.dtype != torch.uint8:
        raise PathfinderError(
            f"mean and std normalise images of uint8, but {name} holds {_kind_of(source)}, used as it is; drop both, "
            "or set both to `data`."
        )
    channels = source.x.shape[1] if source.x.ndim == 4 else 1
    values = {"mean": 0.0 if mean == "none" else mean, "std": 1.0 if std == "none" else std}
    own = {what: _per_channel(value, what, channels, name).to(source.x.device) for what, value in values.items()}
    return replace(source, **own)


def _kind_of(source: Split | Stream) -> str:
    if not isinstance(source, Split):
        return "batches"
    return str(source.x.dtype).removeprefix("torch.") if isinstance(source.x, Tensor) else "several tensors"


def _per_channel(value: Any, what: str, channels: int, name: str) -> Tensor:
    numbers = value if isinstance(value, tuple) else (value,) * channels
    if len(numbers) != channels:
        wanted = "one number" if channels == 1 else f"one number, or {channels}"
        held = "1 channel" if channels == 1 else f"{channels} channels"
        raise PathfinderError(f"{what} has {len(numbers)} numbers, but images of {name} have {held}; give {wanted}.")
    return torch.tensor(numbers, dtype=torch.float32)


def describe_normalization(source: Split | Stream) -> str:
    """How the inputs of a split are normalised, in words.

    >>> x, y = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4)
    >>> describe_normalization(Split(x, y, mean=torch.tensor([0.49, 0.48, 0.45]), std=torch.full((3,), 0.25)))
    'mean 0.490, 0.480, 0.450 and deviation 0.250, 0.250, 0.250'
    >>> describe_normalization(Split(x, y, mean=torch.zeros(3), std=torch.ones(3)))
    'none, pixels scaled to [0, 1]'
    >>> describe_normalization(Split(x.float(), y))
    'none, inputs as they are'
    """
    found = normalization_of(source)
    if found is None:
        return "none, inputs as they are"
    if set(found["mean"]) == {0.0} and set(found["std"]) == {1.0}:
        return "none, pixels scaled to [0, 1]"
    mean, std = (", ".join(f"{one:.3f}" for one in found[key]) for key in ("mean", "std"))
    return f"mean {mean} and deviation {std}"


def normalization_of(source: Split | Stream) -> dict[str, list[float]] | None:
    """The mean and the deviation that prepare a split's images; None if its inputs are used as they are."""
    if not isinstance(source, Split) or source.mean is None or source.std is None:
        return None
    if all(leaf.dtype != torch.uint8 for leaf in leaves(source.x)):
        return None
    return {"mean": source.mean.reshape(-1).tolist(), "std": source.std.reshape(-1).tolist()}


def recorded_moments(data: Mapping[str, Any]) -> tuple[Moment, Moment]:
    """The mean and the deviation in settings of data, `data` where they are not set.

    A number for all channels equals one that is repeated for each.

    Raises:
        PathfinderError: if they are not a mean and a deviation.
    """
    mean, std = (read_moment(data.get(what), what) for what in ("mean", "std"))
    check_both(mean, std)
    return _shortest(mean), _shortest(std)


def _shortest(value: Moment) -> Moment:
    if isinstance(value, tuple):
        return value[0] if len(set(value)) == 1 else value
    return "data" if value is None else value


def describe_moments(mean: Moment, std: Moment) -> str:
    """The mean and the deviation in settings of data, in words."""
    if isinstance(mean, str):
        return "the training data's own mean and std" if mean == "data" else "mean none and std none"
    shown = (_listed(part if isinstance(part, tuple) else (part,)) for part in (mean, std))
    return "mean {} and std {}".format(*shown)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of `uint8` values scaled to [0, 1], from exact counts of each value.

    They are per channel for images, and single numbers for inputs of fewer axes. Where all values are equal, the
    deviation is set to 1.
    """
    channels = x.transpose(0, 1).flatten(1) if x.ndim == 4 else x.reshape(1, -1)
    counts = torch.stack([torch.bincount(channel.reshape(-1), minlength=256) for channel in channels]).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = counts @ values / counts.sum(1)
    variance = counts @ values**2 / counts.sum(1) - mean**2
    return mean.float(), torch.where(variance > 1e-12, variance, 1.0).sqrt().float()


def _listed(numbers: Sequence[Any]) -> str:
    return ",".join(f"{one:.6g}" for one in numbers)
