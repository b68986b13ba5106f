"""What commands are given: files of weights and curves, with the network and the data they are for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.experiment.curve_files import load_curve_state
from pathfinder.experiment.model_spec import data_of, network_of
from pathfinder.experiment.probe import probe
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve, Line, PolyChain
from pathfinder.models.settings import Model
from pathfinder.storage import Checkpoint, read_checkpoint
from pathfinder.storage.keys import code_of
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import load_state


@dataclass(frozen=True)
class Asked:
    """Data and network as the user gave them to a command.

    What is not given, the files say themselves, but never by import path.
    """

    data: str | None = None
    data_arguments: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    model_arguments: Mapping[str, Any] = field(default_factory=dict)


class Opened:
    """Files of weights, or the file of a curve, with the network and the data they are for; each is opened once."""

    def __init__(self, files: list[Path], asked: Asked, weights: bool = False) -> None:
        is_curve = len(files) == 1 and not weights
        first = read_checkpoint(files[0], "curve" if is_curve else "checkpoint")
        data = data_of(asked.data, asked.data_arguments, first)
        self.data = data.load()
        named = Model.parse({"name": asked.model, **asked.model_arguments}) if asked.model else None
        self.network = network_of(named, first, data, self.data["train"])
        module = self.network.build(seed=0)
        probe(module, self.data, self.network.name)
        self.identity = {"network": self.network.identity, "data": code_of(data.name)}
        self.statistics: list[Tensor] | None = None
        if is_curve:
            self.digests = [first.digest]
            self.curve: Curve = _curve_in(first)
            load_curve_state(module, self.curve, first)
            self.space = WeightSpace(module)
            return
        load_state(module, first.state)
        self.space = WeightSpace(module)
        self.digests, thetas, ends = [], [], []
        for checkpoint in chain([first], map(read_checkpoint, files[1:])):
            self.digests.append(checkpoint.digest)
            thetas.append(self.space.vector(checkpoint.state))
            ends.append(self.space.statistics(checkpoint.state))
        self.statistics = [ends[0], ends[-1]]
        self.theta, *others = thetas
        if others:
            *between, last = others
            self.curve = PolyChain(self.theta, last, bends=torch.stack(between)) if between else Line(self.theta, last)


def _curve_in(file: Checkpoint) -> Curve:
    curve = Geometry.load(file)
    if not isinstance(curve, Curve):
        raise PathfinderError(f"{file.path} holds a {curve.kind()}, not a curve; give a file from the `curves` folder.")
    return curve
