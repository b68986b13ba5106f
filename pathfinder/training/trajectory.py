"""Trajectories: checkpoints of a training, written as it runs and read for the landscape around its minimum."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError, list_names
from pathfinder.storage import load_weights
from pathfinder.weights.space import WeightSpace


@dataclass(frozen=True)
class Trajectory:
    """The weights of a training, in order, and the epochs after which they were saved."""

    epochs: list[int]
    thetas: list[Float[Tensor, " weights"]]


def trajectory_in(folder: Path | str | None, space: WeightSpace) -> Trajectory:
    """Read the trajectory in a folder, from its files epoch-NUMBER.safetensors; empty without any."""
    files = Path(folder).glob("epoch-*.safetensors") if folder else []
    numbered = {int(name): file for file in files if (name := file.stem.removeprefix("epoch-")).isdecimal()}
    epochs = sorted(numbered)
    return Trajectory(epochs, [space.vector(load_weights(numbered[epoch])) for epoch in epochs])


def trajectory(folder: Path, save: Callable[[Path, int], None], every: int, epochs: int) -> Callable[[int], None]:
    """The `checkpoint` of `fit_minimum` that saves the initial weights, those of every few epochs and the last.

    A fit that starts from the beginning removes the checkpoints of an earlier one.

    Args:
        folder: where they are saved.
        save: writes the weights after an epoch to a file.
        every: epochs between two checkpoints.
        epochs: of the whole training.
    """

    def keep(epoch: int) -> None:
        if epoch == 0:
            remove_trajectory(folder)
        if epoch % every == 0 or epoch == epochs:
            save(folder / f"epoch-{epoch:04d}.safetensors", epoch)

    return keep


def trajectory_folder(folder: Path) -> Path:
    """The folder, if it can hold checkpoints.

    Raises:
        PathfinderError: if it is not a folder, or holds anything else.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise PathfinderError(f"checkpoints need the folder {folder}, but that is not a folder; move it away.")
    others = [entry.name for entry in folder.iterdir() if not _is_checkpoint(entry)] if folder.exists() else []
    if others:
        raise PathfinderError(
            f"checkpoints need the folder {folder} to themselves, but it holds {list_names(others)}; move them away, "
            "or choose another --out."
        )
    return folder


def remove_trajectory(folder: Path) -> None:
    """Remove the checkpoints in a folder, and the folder itself if it is then empty."""
    if folder.is_dir() and not folder.is_symlink():
        for entry in [entry for entry in folder.iterdir() if _is_checkpoint(entry)]:
            entry.unlink()
        with suppress(OSError):  # not empty
            folder.rmdir()


def _is_checkpoint(entry: Path) -> bool:
    return re.fullmatch(r"epoch-\d{4,}\.safetensors", entry.name) is not None and (
        entry.is_file() or entry.is_symlink()
    )
