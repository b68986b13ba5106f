"""load_data: the splits of a data set by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.data.arrays import load_digits, load_npz
from pathfinder.data.images import PUBLISHED, load_folder, load_published
from pathfinder.data.normalization import Given, check_both, normalized, read_moment, with_moments
from pathfinder.data.sources import Source, as_source
from pathfinder.data.split import Split
from pathfinder.errors import PathfinderError, list_names, unknown, users_code
from pathfinder.settings import by_import_path, describe, whole

DATASETS = {
    "digits": "1,797 handwritten digits, 8 x 8 pixels, 10 classes; they come with scikit-learn",
    "cifar10": "60,000 photographs, 32 x 32 pixels, 10 classes; downloaded on first use",
    "cifar100": "the same size, 100 classes; downloaded on first use",
    "mnist": "70,000 handwritten digits, 28 x 28 pixels; downloaded on first use",
    "fashion-mnist": "70,000 pieces of clothing, 28 x 28 pixels; downloaded on first use",
    "folder:PATH": "your images in PATH/train/CLASS and PATH/test/CLASS",
    "npz:PATH": "your arrays x_train, y_train, x_test, y_test",
    "module:function": "a function of yours that returns the splits by name",
}


def load_data(
    name: str,
    *,
    crop: int = 0,
    flip: bool = False,
    validation: int | None = None,
    examples: int | None = None,
    image_size: int | None = None,
    mean: Given = None,
    std: Given = None,
    seed: int = 0,
) -> dict[str, Source]:
    """Load a data set by name: its splits `train` and `test`, and `validation` if requested.

    Args:
        name: one of `DATASETS`. `cifar10`, `cifar100`, `mnist` and `fashion-mnist` are found in the folder that the
            environment variable PATHFINDER_DATA names (as NAME.npz or in the files of torchvision), or else in
            ~/.cache/pathfinder, and are downloaded there on first use.
        crop: pixels by which training images are padded and then cropped at random, in training only.
        flip: whether training images are mirrored at random, in training only.
        validation: how many training examples become the split `validation`, drawn by seed. Images are still normalised
            by the mean and deviation of all training examples.
        examples: how many of the other training examples are kept, drawn by seed.
        image_size: the side to which images in files are scaled; their middle is then cropped to a square.
        mean: what is subtracted from images of `uint8` after scaling to [0, 1]: one number, or one per channel; with
            `std`. `none` for both leaves them in [0, 1]; `data`, the default, takes the moments of the training data.
            Other inputs, `digits` too, are used as they are, and numbers are refused.
        std: the deviation by which images are then divided.
        seed: draws the validation split and the examples.

    Returns:
        The splits by name.

    Raises:
        PathfinderError: if the name is unknown, a file is missing, values cannot be used for training, or there are too
            few examples.

    >>> data = load_data("digits", validation=100)
    >>> data["train"]
    Split(1337 examples, inputs (1, 8, 8), 10 classes)
    >>> {name: len(split) for name, split in data.items()}
    {'train': 1337, 'test': 360, 'validation': 100}
    """
    if not isinstance(name, str):
        raise PathfinderError(f"data must be named by a text such as `digits`, got {describe(name)}.")
    whole(seed, "the seed of the data", 0)
    whole(crop, "crop", 0)
    for what, value, least in (("validation", validation, 0), ("examples", examples, 1)):
        if value is not None:
            whole(value, what, least)
    if image_size is not None:
        whole(image_size, "image_size", 1)
    mean, std = read_moment(mean, "mean"), read_moment(std, "std")
    check_both(mean, std)
    splits = with_moments({key: as_source(split, key) for key, split in _named(name, image_size).items()})
    splits = {key: normalized(split, mean, std, f"the split {key} of `{name}`") for key, split in splits.items()}
    wanted = {"crop": crop, "flip": flip, "validation": validation, "examples": examples}
    if not any(wanted.values()):
        return splits
    train = splits.get("train")
    if not isinstance(train, Split):
        asked = list_names(key for key, value in wanted.items() if value)
        raise PathfinderError(f"data `{name}` has no split train in memory, which {asked} need; drop them.")
    if validation:
        if "validation" in splits:
            raise PathfinderError(f"data `{name}` has a validation split of its own; drop validation = {validation}.")
        train, splits["validation"] = train.divide(validation, seed)
    if examples and examples > len(train):
        raise PathfinderError(f"examples must be at most the {len(train)} of the split train, got {examples}.")
    splits["train"] = train.subset(examples, seed)
    if crop or flip:
        splits["train"] = splits["train"].augmented(crop or train.crop, flip or train.flip)
    return splits


def load_labelled(name: str, **settings: Any) -> dict[str, Source]:
    """Load data for the commands, which train classifiers: a split `train` with labels is required."""
    splits = load_data(name, **settings)
    if "train" not in splits:
        raise PathfinderError(f"data `{name}` needs a split called train, got {list_names(splits)}.")
    train = splits["train"]
    if train.classes is None:
        y = getattr(train, "y", None)
        came = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise PathfinderError(
            f"data `{name}` has no classes: y must hold whole-number labels, shape (examples,), got {came}; for other "
            "losses use the Python interface."
        )
    if train.classes < 2:
        raise PathfinderError(
            f"data `{name}` has {train.classes} class in the split train; a classifier needs 2 or more."
        )
    return splits


def _named(name: str, image_size: int | None) -> dict[str, Any]:
    if name.startswith("folder:"):
        return load_folder(name.removeprefix("folder:"), image_size)
    if name.startswith("npz:"):
        return load_npz(name.removeprefix("npz:"), image_size)
    if name in PUBLISHED:
        return load_published(name, image_size)
    if image_size is not None and (name == "digits" or ":" in name):
        raise PathfinderError(f"image_size scales images in files, not data `{name}`; drop it.")
    if name == "digits":
        return load_digits()
    if ":" in name:
        return _own(name)
    raise unknown("data", name, DATASETS)


def _own(spec: str) -> dict[str, Any]:
    make = by_import_path(spec)
    with users_code(f"data `{spec}` cannot be made", "it must be a function without arguments that returns splits"):
        splits = make()
    if not isinstance(splits, Mapping) or not splits:
        raise PathfinderError(f"data `{spec}` must return splits by name, got {type(splits).__name__}.")
    with users_code(f"data `{spec}` cannot be used", "return tensors or arrays of numbers"):
        return {key: _tensors(value) for key, value in splits.items()}


def _tensors(split: Any) -> Any:
    """A pair of NumPy arrays as tensors; anything else as it is."""
    if isinstance(split, tuple) and len(split) == 2 and all(isinstance(part, np.ndarray) for part in split):
        return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in split)
    return split
