"""What the commands are given: files of weights or of a curve, with the network and the data they belong to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pathfinder.cli.options import Origin
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError, brief
from pathfinder.experiment.curve_files import end_statistics, load_curve_state
from pathfinder.experiment.network import Network, check_normalization, data_of, network_of
from pathfinder.experiment.probe import probe
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve, Line, PolyChain
from pathfinder.models.settings import Model
from pathfinder.settings import LONGEST
from pathfinder.storage import Checkpoint, read_checkpoint
from pathfinder.storage.keys import code_of
from pathfinder.threads import threads_for, use_threads
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import load_state


@dataclass(frozen=True)
class Inputs:
    """Files, with the network and the data they belong to.

    Attributes:
        files: the files.
        digests: of what they hold.
        dataset: the name of the data.
        data: its splits.
        network: the network.
        space: its weight space, with the weights of the first file (for a curve, of its start).
    """

    files: list[Path]
    digests: list[str]
    dataset: str
    data: dict[str, Source]
    network: Network
    space: WeightSpace

    @property
    def identity(self) -> dict[str, Any]:
        """The code and the files that scores depend on."""
        return {"network": self.network.identity, "data": code_of(self.dataset), "files": self.digests}

    @property
    def name(self) -> str:
        """What tables call them if the user gives no name: the names of the first and the last file."""
        return name_files(self.files)


@dataclass(frozen=True)
class Minima(Inputs):
    """The weights of one minimum or more.

    Attributes:
        thetas: the weights of each.
        statistics: the running statistics of BatchNorm of the first and the last.
    """

    thetas: list[Float[Tensor, " weights"]]
    statistics: list[Float[Tensor, " statistics"]]

    @property
    def path(self) -> Curve:
        """The line between two, or the chain through more."""
        first, *between, last = self.thetas
        return PolyChain(first, last, bends=torch.stack(between)) if between else Line(first, last)


@dataclass(frozen=True)
class CurveInput(Inputs):
    """A curve.

    Attributes:
        path: the curve.
        statistics: the running statistics of BatchNorm at its ends; None if the file has none.
    """

    path: Curve
    statistics: list[Float[Tensor, " statistics"]] | None


def name_files(files: Sequence[Path]) -> str:
    """A name for tables: those of the first and the last file, in letters that file names may have."""
    return _as_name(dict.fromkeys([files[0].stem, files[-1].stem])) or "pair"


def name_each(files: Sequence[Path]) -> list[str]:
    """A name for each file: its own, after those of as many folders as tell them apart.

    Raises:
        PathfinderError: if a file is named twice.

    >>> name_each([Path("runs/1/last.pt"), Path("runs/2/last.pt")])
    ['1-last', '2-last']
    """
    if twice := [file for i, file in enumerate(files) if file.resolve() in {one.resolve() for one in files[:i]}]:
        raise PathfinderError(f"{twice[0]} is given twice; give each minimum once.")
    parts = [(*file.resolve().parent.parts, file.stem) for file in files]
    for count in range(1, max(map(len, parts)) + 1):
        names = [_as_name(own[-count:]) or "minimum" for own in parts]
        if len(set(names)) == len(names):
            return names
    return [f"minimum-{i}" for i in range(1, len(files) + 1)]


def _as_name(parts: Iterable[str]) -> str:
    """Parts of a path in letters that names in tables may have."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", "-".join(parts)).lstrip("._+-")[:LONGEST]


def config_of(checkpoints: Mapping[str, Checkpoint], origin: Origin) -> dict[str, Any]:
    """What a config says of files of weights of one network: their data, their network and the threads.

    Args:
        checkpoints: by path.
        origin: what the user says of them.

    Raises:
        PathfinderError: if nothing says which data they belong to, or they differ.
    """
    first, *others = checkpoints.values()
    data = data_of(origin.data, origin.data_settings, first).model_dump(exclude_defaults=True)
    for other in others if "mean" not in origin.data_settings else ():
        check_normalization(data, other)
    network = None if origin.model is None else {"name": origin.model, **origin.model_settings}
    found = {"data": data, "model": network, "threads": origin.threads}
    return {key: value for key, value in found.items() if value is not None}


def open_minima(files: Sequence[Path], origin: Origin) -> Minima:
    """Read the weights of minima of one network, each file once.

    Raises:
        PathfinderError: if a file cannot be read, nothing says which network or data it belongs to, or they differ.
    """
    first = read_minimum(files[0])
    common, module = _open(first, origin)
    load_state(module, first.state)
    space = WeightSpace(module)
    digests, thetas, ends = [], [], []
    for checkpoint in chain([first], map(read_minimum, files[1:])):  # one at a time in memory
        if "mean" not in origin.data_settings:
            check_normalization(common[2].data, checkpoint, common[1]["train"])
        digests.append(checkpoint.digest)
        thetas.append(space.vector(checkpoint.state))
        ends.append(space.statistics(checkpoint.state))
    return Minima(list(files), digests, *common, space, thetas, [ends[0], ends[-1]])


def read_minimum(file: Path) -> Checkpoint:
    """Read the weights of one network; a curve is refused."""
    checkpoint = read_checkpoint(file)
    if "kind" in checkpoint.metadata:
        raise PathfinderError(
            f"weights of one network are needed, but {file} holds a {brief(checkpoint.metadata['kind'])} curve; use "
            "`pathfinder score curve`, or `pathfinder export` for a point of it."
        )
    return checkpoint


def open_curve(file: Path, origin: Origin) -> CurveInput:
    """Read a curve.

    Raises:
        PathfinderError: if the file holds none, or nothing says which network or data it belongs to.
    """
    checkpoint = read_checkpoint(file, "curve")
    common, module = _open(checkpoint, origin)
    curve = Geometry.load(checkpoint)
    if not isinstance(curve, Curve):
        raise PathfinderError(f"{file} holds a {curve.kind()}, not a curve; give a file from the `curves` folder.")
    load_curve_state(module, curve, checkpoint)
    space = WeightSpace(module)
    return CurveInput([file], [checkpoint.digest], *common, space, curve, end_statistics(checkpoint, space))


def _open(first: Checkpoint, origin: Origin) -> tuple[tuple[str, dict[str, Source], Network], nn.Module]:
    """The name of the data, its splits and the network; and the module, without the weights of the file."""
    data = data_of(origin.data, origin.data_settings, first)
    splits = data.load()
    named = Model.parse({"name": origin.model, **origin.model_settings}) if origin.model else None
    network = network_of(named, first, data, splits["train"])
    module = network.build(seed=0)
    use_threads(threads_for(module, origin.threads))  # restored when the command ends
    probe(module, splits, network.name)
    return (data.name, splits, network), module
