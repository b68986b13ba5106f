"""Networks by name with their arguments and data, as configs give them and as files of weights record them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pathfinder.data.normalization import DATA_MOMENTS, describe_moments, normalization_of, recorded_moments
from pathfinder.data.settings import Data
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError, brief, list_names
from pathfinder.models.build import build_model, check_description
from pathfinder.models.settings import Model
from pathfinder.storage import Checkpoint, save_tensors
from pathfinder.storage.keys import code_of
from pathfinder.training.trajectory import trajectory
from pathfinder.weights.tensors import load_state, tensors_of


@dataclass(frozen=True)
class Network:
    """A network by name with its arguments, and its data: the fields of `Data` that are not defaults."""

    name: str
    arguments: dict[str, Any]
    data: dict[str, Any]

    @property
    def description(self) -> dict[str, Any]:
        """Name and arguments, as the metadata of a file records them."""
        return {"name": self.name, "arguments": self.arguments}

    @property
    def identity(self) -> dict[str, Any]:
        """What work with this network depends on: its description, and the user's own source code."""
        return {**self.description, "code": code_of(self.name)}

    def metadata(self) -> dict[str, Any]:
        """What every file of weights records."""
        return {"model": self.description, "data": self.data}

    def build(self, seed: int | None = None, checkpoint: Checkpoint | None = None) -> nn.Module:
        """Build the module, with the weights of a checkpoint or drawn by seed.

        Raises:
            PathfinderError: if it cannot be built, or is lazy, with no weights before its first data.
        """
        module = build_model(self.name, seed=seed, **self.arguments)
        if lazy := [name for name, tensor in tensors_of(module).items() if is_lazy(tensor)]:
            raise PathfinderError(
                f"network `{self.name}` is lazy: {list_names(lazy)} have no shape before it sees data; name their "
                "sizes, as nn.Linear and nn.Conv2d do."
            )
        if checkpoint is not None:
            load_state(module, checkpoint.state)
        return module

    def keep_trajectory(
        self, module: nn.Module, folder: Path, every: int | None, epochs: int
    ) -> Callable[[int], None] | None:
        """What keeps the weights of a training in a folder, every so many epochs; None where none are kept."""
        if every is None:
            return None
        return trajectory(folder, lambda path, epoch: self.save(path, module.state_dict(), epoch=epoch), every, epochs)

    def save(self, path: str | Path, tensors: dict[str, Tensor], **metadata: Any) -> None:
        """Write weights, with this network and further metadata."""
        save_tensors(path, tensors, {**self.metadata(), **metadata})


def network_in(checkpoint: Checkpoint, data: Mapping[str, Any]) -> Network | None:
    """The network that a checkpoint names, or None.

    A file never runs code: before anything is built, import paths are refused, and arguments that the builder does not
    have; before weights take memory, a network larger than the file is.

    Args:
        checkpoint: the file.
        data: the data that it is used with.

    Raises:
        PathfinderError: if the network cannot be taken from a file.
    """
    path, values, model = checkpoint.path, checkpoint.values, checkpoint.metadata.get("model")
    if not isinstance(model, dict) or {key: type(part) for key, part in model.items()} != _DESCRIBED:
        return None
    name, arguments = model["name"], model["arguments"]
    if ":" in name and not name.startswith("torchvision:"):
        raise _import_error(path, "network", name, "--model", "model.name")
    if _number(arguments.get("depth")) > values:
        raise PathfinderError(f"{path} names a network of more layers than it has values; name its own with --model.")
    try:
        check_description(name, arguments)
        size = _size(name, arguments)
    except PathfinderError as error:
        raise PathfinderError(f"{path} does not describe a network: {error} Name it with --model.") from error
    if size is not None and size > values:
        raise PathfinderError(
            f"{path} names the network `{name}`, whose {size} weights are more than the {values} values in the file; "
            "name its own network with --model."
        )
    return Network(name, arguments, dict(data))


def _number(value: Any) -> float:
    """An argument as a number, from text too, as builders take it; 0 if it is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("inf") if isinstance(value, int) else 0.0


def _size(name: str, arguments: dict[str, Any]) -> int | None:
    """How many weights a network has, found without memory for them; None if it cannot be built that way."""
    try:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in build_model(name, seed=0, **arguments).parameters())
    except PathfinderError as error:
        if isinstance(error.__cause__, NotImplementedError):  # torchvision's regnets read their initial weights
            return None
        raise


_DESCRIBED = {"name": str, "arguments": dict}


def data_in(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The data that a checkpoint records, as `Data` takes it, or None.

    It may name files and folders, since reading them runs nothing; an import path is refused.

    Raises:
        PathfinderError: if it is an import path.
    """
    data = _recorded(checkpoint)
    if data is None:
        return None
    if ":" in data["name"] and not data["name"].startswith(("npz:", "folder:")):
        raise _import_error(checkpoint.path, "data", data["name"], "--data", "data.name")
    return data


def _recorded(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What a checkpoint says of its data, whatever its name; None if it says nothing that pathfinder wrote."""
    data = checkpoint.metadata.get("data")
    if isinstance(data, str):
        data = {"name": data}
    return data if isinstance(data, dict) and isinstance(data.get("name"), str) else None


def _import_error(path: str | Path, what: str, name: str, option: str, key: str) -> PathfinderError:
    return PathfinderError(
        f"{path} names the {what} `{brief(name)}`, an import path, which would run code; if you trust it, pass "
        f"{option} {brief(name)} (in a config, set {key})."
    )


def data_of(name: str | None, settings: Mapping[str, Any], checkpoint: Checkpoint) -> Data:
    """The data to use with a checkpoint: by the given name, or as the file records it, with these settings changed.

    Under the name that the file records, its other settings are kept too; for other data, the mean and the deviation,
    which belong to the network.

    Raises:
        PathfinderError: if there is no name in either, or the file names an import path.
    """
    if name:
        recorded = _recorded(checkpoint) or {}
        same = recorded.get("name") == name
        kept = {key: value for key, value in recorded.items() if same or key in ("mean", "std")}
        return Data.parse({**kept, "name": name, **settings})
    found = data_in(checkpoint)
    if found is None:
        raise PathfinderError(f"{checkpoint.path} records no data; name it with --data.")
    return Data.parse({**found, **settings})


def check_normalization(data: Mapping[str, Any], checkpoint: Checkpoint, train: Source | None = None) -> None:
    """Check that a checkpoint records the mean and the deviation of the data that it is used with, or no data.

    Args:
        data: the settings of the data.
        checkpoint: records its own.
        train: the training data, whose own mean and deviation stand for settings that name none.

    Raises:
        PathfinderError: if it records others.
    """
    recorded = _recorded(checkpoint)
    if recorded is None:
        return
    try:
        own, used = recorded_moments(recorded), recorded_moments(data)
    except PathfinderError as error:
        raise PathfinderError(f"{checkpoint.path} records no normalisation that can be used: {error}") from error
    of_train = recorded_moments((train is not None and normalization_of(train)) or {})
    first, second = (of_train if one == DATA_MOMENTS else one for one in (own, used))
    if first != second:
        raise PathfinderError(
            f"{checkpoint.path} was trained with {describe_moments(*own)}, but {describe_moments(*used)} would be "
            "used; say which, with --data-arg mean=... --data-arg std=... (in a config, data.mean and data.std)."
        )


def network_for(model: Model, data: Data, train: Source) -> Network:
    """The network that `[model]` names, with the classes and the input shape of the data."""
    offered = {"num_classes": train.classes, "input_shape": train.input_shape and list(train.input_shape)}
    given = {key: value for key, value in offered.items() if value is not None}
    return Network(model.name, {**given, **model.arguments}, _described(data, train))


def _described(data: Data, train: Source) -> dict[str, Any]:
    """What files of weights record of their data: the settings, and the mean and the deviation of its images."""
    recorded = data.model_dump(exclude_defaults=True)
    return recorded | ((normalization_of(train) or {}) if data.mean in (None, "data") else {})


def network_of(model: Model | None, checkpoint: Checkpoint | None, data: Data, train: Source) -> Network:
    """The network of an end of a pair: as `[model]` names it, or as its checkpoint records it.

    Raises:
        PathfinderError: if neither names one, the checkpoint names an import path, or the data has inputs of another
            shape.
    """
    if checkpoint is not None and data.mean is None:  # otherwise the user or this checkpoint has chosen
        check_normalization(data.model_dump(), checkpoint, train)
    if model is not None:
        return network_for(model, data, train)
    if checkpoint is None:
        raise PathfinderError("a minimum needs a network; give [model] a name, or a checkpoint to each end.")
    network = network_in(checkpoint, _described(data, train))
    if network is None:
        raise PathfinderError(f"{checkpoint.path} records no network; name it with --model.")
    shape = network.arguments.get("input_shape")
    if shape and train.input_shape and list(shape) != list(train.input_shape):
        raise PathfinderError(
            f"{checkpoint.path} takes inputs of shape {tuple(shape)}, but data `{data.name}` has {train.input_shape}; "
            "choose the data it was trained on."
        )
    return network
