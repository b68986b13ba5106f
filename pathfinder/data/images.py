"""Data sets of images: published ones through torchvision, and folders of image files."""

import os
import warnings
from pathlib import Path

import numpy as np

from pathfinder.data.arrays import from_arrays, load_npz, scale_and_crop
from pathfinder.data.split import Split
from pathfinder.errors import PathfinderError, brief, list_names, reason

# the class of torchvision, and the files it looks for if nothing can be downloaded
PUBLISHED = {
    "cifar10": ("CIFAR10", "cifar-10-python.tar.gz"),
    "cifar100": ("CIFAR100", "cifar-100-python.tar.gz"),
    "mnist": ("MNIST", "MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz"),
    "fashion-mnist": ("FashionMNIST", "FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz"),
}


def load_published(name: str, image_size: int | None = None) -> dict[str, Split]:
    """A published data set by name, from NAME.npz or torchvision's files in the data folder, or downloaded to it.

    Args:
        name: a key of `PUBLISHED`.
        image_size: the side to which images are scaled; unchanged if not given.

    Raises:
        PathfinderError: if it is missing and cannot be downloaded; the message says which file to put where.
    """
    home = data_folder()
    if (file := home / f"{name}.npz").is_file():
        return load_npz(file, image_size)
    from torchvision import datasets

    kind, files = PUBLISHED[name]
    try:
        found = {
            split: getattr(datasets, kind)(home, train=split == "train", download=True) for split in ("train", "test")
        }
    except (OSError, RuntimeError) as error:
        why = brief((str(error).strip() or type(error).__name__).splitlines()[-1])
        raise PathfinderError(
            f"data `{name}` is not in {home}, or damaged there, and cannot be downloaded ({why}); put {files} "
            f"there, or {name}.npz with x_train, y_train, x_test and y_test, or name another folder by PATHFINDER_DATA."
        ) from error
    arrays = {split: (np.asarray(part.data), np.asarray(part.targets)) for split, part in found.items()}
    return from_arrays(arrays, image_size)


def load_folder(path: str, image_size: int | None) -> dict[str, Split]:
    """Images in PATH/SPLIT/CLASS/FILE, with classes in alphabetical order.

    The splits are `train` and `test`. A folder `val` is the split `validation`, or `test` if there is no folder `test`.

    Raises:
        PathfinderError: if a folder or its images are missing, or images differ in size and no `image_size` is given.
    """
    home = Path(path)
    try:
        names = {name: home / name for name in ("train", "test", "val") if (home / name).is_dir()}
    except (OSError, ValueError) as error:  # a name that is too long, for example
        why = getattr(error, "strerror", None) or reason(error)
        raise PathfinderError(f"data folder {brief(path)} cannot be read ({why}); check the spelling.") from error
    if "train" not in names:
        raise PathfinderError(f"{path} must hold a folder `train`, and one `test`, with a folder of images per class.")
    if "val" in names:
        names["validation" if "test" in names else "test"] = names.pop("val")
    arrays, classes = {}, {}
    for split, place in names.items():
        arrays[split], classes[split] = _images(place, image_size)
    for split, own in classes.items():
        if own != classes["train"]:
            raise PathfinderError(
                f"{path}: {split} has the classes {list_names(own)}, but train {list_names(classes['train'])}."
            )
    shapes = {split: x.shape[1:] for split, (x, _) in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise PathfinderError(f"{path}: images must have one size, got {shapes}; set image_size.")
    return from_arrays(arrays)


def data_folder() -> Path:
    """The folder of published data sets.

    Raises:
        PathfinderError: if PATHFINDER_DATA names a folder that does not exist.
    """
    named = os.environ.get("PATHFINDER_DATA")
    if named and not Path(named).is_dir():
        raise PathfinderError(f"PATHFINDER_DATA names {named}, which is not a folder; make it, or unset the variable.")
    return Path(named) if named else Path.home() / ".cache" / "pathfinder"


def _images(place: Path, size: int | None) -> tuple[tuple[np.ndarray, np.ndarray], list[str]]:
    from PIL import Image
    from torchvision.datasets import ImageFolder

    file: str | Path = place
    try:
        found = ImageFolder(place, transform=None if size is None else scale_and_crop(size))
        pictures = []
        for i, (file, _) in enumerate(found.samples):  # noqa: B007
            with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
                pictures.append(np.asarray(found[i][0]))
    except Exception as error:  # PIL raises any error on a damaged picture, or one made to fill the memory
        raise PathfinderError(f"{file} cannot be read as images in a folder per class ({reason(error)}).") from error
    for (file, _), picture in zip(found.samples, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            sizes = f"{picture.shape[:2]}, and {found.samples[0][0]} {pictures[0].shape[:2]}"
            raise PathfinderError(f"images must have one size, but {file} has {sizes}; set image_size.")
    return (np.stack(pictures), np.asarray(found.targets)), found.classes
