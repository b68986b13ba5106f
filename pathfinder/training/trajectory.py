"""Trajectories: weights kept during a training, and read again."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError, listed
from pathfinder.storage import load_weights
from pathfinder.weights.space import WeightSpace


@dataclass(frozen=True)
class Trajectory:
    """Weights on the way of a training to its minimum, in order, and the epochs after which they were kept."""

    epochs: list[int]
    thetas: list[Float[Tensor, " weights"]]


def trajectory_in(folder: Path | str | None, space: WeightSpace) -> Trajectory:
    """The trajectory kept in a folder, as files epoch-NUMBER.safetensors; empty if there is none."""
    files = Path(folder).glob("epoch-*.safetensors") if folder else []
    numbered = {int(name): file for file in files if (name := file.stem.removeprefix("epoch-")).isdecimal()}
    epochs = sorted(numbered)
    return Trajectory(epochs, [space.vector(load_weights(numbered[epoch])) for epoch in epochs])


def trajectory(folder: Path, save: Callable[[Path, int], None], every: int, epochs: int) -> Callable[[int], None]:
    """What `fit_minimum` calls to keep weights on the way as files: the initial ones, every few epochs' and the last.

    A fit that starts over removes the checkpoints that an earlier one left in the folder.
    """

    def keep(epoch: int) -> None:
        if epoch == 0:
            remove_trajectory(folder)
        if epoch % every == 0 or epoch == epochs:
            save(folder / f"epoch-{epoch:04d}.safetensors", epoch)

    return keep


def trajectory_folder(folder: Path) -> Path:
    """The folder, if checkpoints can be kept in it.

    Raises:
        PathfinderError: if it holds anything else.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise PathfinderError(f"checkpoints are kept in the folder {folder}, which is something else; move it away.")
    others = [entry.name for entry in folder.iterdir() if not _is_checkpoint(entry)] if folder.exists() else []
    if others:
        raise PathfinderError(
            f"checkpoints are kept in {folder}, but it holds {listed(others)}; move them away, or choose another --out."
        )
    return folder


def remove_trajectory(folder: Path) -> None:
    """Remove the checkpoints in a folder, and the folder if nothing else is in it."""
    if folder.is_dir() and not folder.is_symlink():
        for entry in [entry for entry in folder.iterdir() if _is_checkpoint(entry)]:
            entry.unlink()
        with suppress(OSError):  # not empty
            folder.rmdir()


def _is_checkpoint(entry: Path) -> bool:
    return re.fullmatch(r"epoch-\d{4,}\.safetensors", entry.name) is not None and (
        entry.is_file() or entry.is_symlink()
    )
