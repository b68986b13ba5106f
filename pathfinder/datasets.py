"""Data sets by name: each a function that returns its splits."""

import zlib
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from pathfinder.data import Source, Split, as_source
from pathfinder.errors import PathfinderError, listed
from pathfinder.lookup import by_import_path, unknown
from pathfinder.storage import existing_file

DATASETS = {
    "digits": "1,797 handwritten digits, 8 x 8 pixels, 10 classes, embedded in scikit-learn",
    "npz:PATH": "your arrays x_train, y_train, x_test, y_test",
    "module:function": "a function of yours that returns the splits by name",
}


def load_data(spec: str) -> dict[str, Source]:
    """The splits of a data set by name: `{"train": ..., "test": ...}`.

    Args:
        spec: `digits`; `npz:PATH` with arrays x_train, y_train, x_test, y_test; or `package.module:function`, a
            function without arguments that returns splits (or pairs of tensors) by name.

    Raises:
        PathfinderError: if the name is unknown, the file lacks arrays, or the values cannot be trained on.
    """
    if spec.startswith("npz:"):
        splits = _npz(spec.removeprefix("npz:"))
    elif spec == "digits":
        splits = _digits()
    elif ":" in spec:
        splits = _own(spec)
    else:
        raise unknown("data", spec, DATASETS)
    return {name: as_source(split, name) for name, split in splits.items()}


def load_labelled(spec: str) -> dict[str, Source]:
    """`load_data` for the commands, which train classifiers: a split `train` with labels must be there."""
    splits = load_data(spec)
    if "train" not in splits:
        raise PathfinderError(f"data `{spec}` needs a split called train, got {listed(splits)}.")
    if splits["train"].classes is None:
        raise PathfinderError(
            f"data `{spec}` has no classes: y must hold whole-number labels; for other losses use the Python interface."
        )
    return splits


def _digits() -> dict[str, Split]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=360, random_state=0, stratify=labels)
    x_train, x_test = (torch.from_numpy(part).float().view(-1, 1, 8, 8) / 16 for part in parts[:2])
    y_train, y_test = (torch.from_numpy(part).long() for part in parts[2:])
    mean, std = x_train.mean(), x_train.std()
    return {
        "train": Split((x_train - mean) / std, y_train, 10),
        "test": Split((x_test - mean) / std, y_test, 10),
    }


def _own(spec: str) -> dict[str, Any]:
    try:
        splits = by_import_path(spec)()
    except TypeError as error:
        raise PathfinderError(f"data `{spec}` must be a function without arguments ({error}).") from error
    if not isinstance(splits, Mapping) or not splits:
        raise PathfinderError(f"data `{spec}` must return splits by name, got {type(splits).__name__}.")
    return dict(splits)


def _npz(path: str) -> dict[str, Split]:
    file = existing_file(path, "data")
    needed = [f"{axis}_{split}" for split in ("train", "test") for axis in ("x", "y")]
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            missing = [name for name in needed if name not in content]
            if missing:
                raise PathfinderError(f"{path} lacks {listed(missing)}; it holds {listed(content) or 'nothing'}.")
            arrays = {name: (_images if name[0] == "x" else _targets)(content[name]) for name in needed}
    except PathfinderError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, KeyError, TypeError, BadZipFile, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PathfinderError(
            f"{path} is no readable npz of plain arrays ({reason}); write it with np.savez."
        ) from error
    x_train, y_train, x_test, y_test = (arrays[name] for name in needed)
    if x_train.shape[1:] != x_test.shape[1:]:
        shapes = f"{tuple(x_train.shape[1:])} and {tuple(x_test.shape[1:])}"
        raise PathfinderError(f"{path}: x_train and x_test need inputs of one shape, got {shapes}.")
    classes = int(y_train.max()) + 1 if y_train.ndim == 1 and y_train.dtype == torch.int64 and len(y_train) else None
    mean = std = None
    if x_train.dtype == torch.uint8 and len(x_train):
        mean, std = _moments(x_train)
    return {
        "train": Split(x_train, y_train, classes, mean, std),
        "test": Split(x_test, y_test, classes, mean, std),
    }


def _images(x: np.ndarray) -> Tensor:
    """Inputs as torch wants them: channels first, float32 unless uint8."""
    if x.dtype == np.uint8:
        x = x[..., None] if x.ndim == 3 else x
        x = np.moveaxis(x, -1, 1) if x.ndim == 4 and x.shape[-1] in (1, 3, 4) else x
        return torch.from_numpy(np.ascontiguousarray(x))
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _targets(y: np.ndarray) -> Tensor:
    """Integers as class labels, anything else as float32 values."""
    whole = np.issubdtype(y.dtype, np.integer)
    return torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64 if whole else np.float32))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of uint8 images scaled to [0, 1], from exact counts of each value."""
    channels = x.transpose(0, 1).flatten(1)
    counts = torch.stack([torch.bincount(channel.reshape(-1), minlength=256) for channel in channels]).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = counts @ values / counts.sum(1)
    variance = counts @ values**2 / counts.sum(1) - mean**2
    return mean.float(), variance.clamp_min(1e-12).sqrt().float()
