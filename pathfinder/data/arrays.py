"""Data sets from arrays: the digits of scikit-learn, and npz files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.data.normalization import moments
from pathfinder.data.split import Split
from pathfinder.errors import PathfinderError, list_names, reason
from pathfinder.storage import check_unpacked, existing_file


def load_digits() -> dict[str, Split]:
    """The digits of scikit-learn, of which a fifth are the test split."""
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


def load_npz(path: str | Path, image_size: int | None = None) -> dict[str, Split]:
    """The arrays x_train, y_train, x_test and y_test of a file, with images scaled to a side if one is given.

    Raises:
        PathfinderError: if the file is missing or damaged, holds objects, or lacks an array.
    """
    file = existing_file(path, "data")
    needed = [f"{axis}_{split}" for split in ("train", "test") for axis in ("x", "y")]
    try:
        check_unpacked(file)
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            missing = [name for name in needed if name not in content]
            if missing:
                raise PathfinderError(
                    f"{path} lacks {list_names(missing)}; it holds {list_names(content) or 'nothing'}."
                )
            arrays = {split: (content[f"x_{split}"], content[f"y_{split}"]) for split in ("train", "test")}
            splits = from_arrays(arrays, image_size)
    except PathfinderError:
        raise
    except Exception as error:  # the reader raises any error on a damaged file, MemoryError included
        raise PathfinderError(
            f"{path} is not a readable npz of plain arrays ({reason(error)}); write it with np.savez."
        ) from error
    shapes = [split.x.shape[1:] for split in splits.values()]
    if shapes[0] != shapes[1]:
        both = f"{tuple(shapes[0])} and {tuple(shapes[1])}"
        raise PathfinderError(f"{path}: x_train and x_test need inputs of one shape, got {both}.")
    return splits


def from_arrays(arrays: Mapping[str, tuple[np.ndarray, np.ndarray]], image_size: int | None = None) -> dict[str, Split]:
    """Splits from arrays by name, with the classes and the normalisation of `train`.

    Inputs of `uint8` are images, with channels first, last or none, and stay `uint8`; others become float32. Integer
    targets are labels.

    Args:
        arrays: (x, y) of each split.
        image_size: the side to which images are scaled; unchanged if not given.

    Raises:
        PathfinderError: if splits differ in type or are not real numbers, or image_size is given for other inputs.
    """
    for name, pair in arrays.items():
        for axis, array in zip("xy", pair, strict=True):
            if array.dtype.kind not in "biuf":
                raise PathfinderError(f"{axis} of the split {name} must hold real numbers, got {array.dtype}.")
    kinds = {name: str(x.dtype) for name, (x, _) in arrays.items() if np.uint8 in [a.dtype for a, _ in arrays.values()]}
    if len(set(kinds.values())) > 1:
        raise PathfinderError(f"either all splits or none must be uint8, got {kinds}; convert them to one dtype.")
    tensors = {name: (_inputs(x), _targets(y)) for name, (x, y) in arrays.items()}
    if image_size is not None:
        tensors = {name: (_resized(x, image_size), y) for name, (x, y) in tensors.items()}
    x, y = tensors["train"]
    classes = int(y.max()) + 1 if y.ndim == 1 and y.dtype == torch.int64 and len(y) else None
    mean, std = moments(x) if x.dtype == torch.uint8 and len(x) else (None, None)
    return {name: Split(*pair, classes, mean, std) for name, pair in tensors.items()}


def _inputs(x: np.ndarray) -> Tensor:
    """Inputs in the layout of torch: channels first, float32 unless uint8."""
    if x.dtype == np.uint8:
        x = x[..., None] if x.ndim == 3 else x
        x = np.moveaxis(x, -1, 1) if x.ndim == 4 and x.shape[-1] in (1, 3, 4) else x
        return torch.from_numpy(np.ascontiguousarray(x))
    with np.errstate(over="ignore"):  # a value too large for float32 becomes inf, which splits refuse
        return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _resized(x: Tensor, size: int) -> Tensor:
    if x.dtype != torch.uint8 or x.ndim != 4:
        raise PathfinderError(
            f"image_size scales images of uint8, got {x.dtype} of shape {tuple(x.shape)}; drop image_size."
        )
    return scale_and_crop(size)(x)


def scale_and_crop(size: int) -> Callable[[Any], Any]:
    """A transform that scales the shorter side of images, tensors or PIL's, to `size` and crops the middle."""
    from torchvision import transforms

    return transforms.Compose([transforms.Resize(size), transforms.CenterCrop(size)])


def _targets(y: np.ndarray) -> Tensor:
    """Integers as class labels, other targets as float32."""
    whole = np.issubdtype(y.dtype, np.integer)
    return torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64 if whole else np.float32))
