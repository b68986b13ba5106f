"""Network: what a checkpoint must say of itself so that no command needs it again: model, arguments, data."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from pathfinder.data.split import Source, Split
from pathfinder.errors import PathfinderError, brief, listed
from pathfinder.experiment.config import Data, Minimum, Model
from pathfinder.geometry.curves import Curve
from pathfinder.lookup import users_code
from pathfinder.models.build import build_model, check_described
from pathfinder.scoring.losses import as_logits, cross_entropy
from pathfinder.storage import (
    can_be_written,
    existing_file,
    load_header,
    load_tensors,
    load_weights,
    not_an_input,
    replaces,
    save_tensors,
)
from pathfinder.storage.keys import code_of
from pathfinder.training.loop import DivergedError
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import load_state, tensors_of


@dataclass(frozen=True)
class Network:
    """A model by name with its arguments, and the data it is for (what `config.Data` holds beside its defaults)."""

    name: str
    arguments: dict[str, Any]
    data: dict[str, Any]

    @property
    def description(self) -> dict[str, Any]:
        """Name and arguments, as they stand in a file's metadata."""
        return {"name": self.name, "arguments": self.arguments}

    @property
    def identity(self) -> dict[str, Any]:
        """What work with this network depends on: its description, and the source of the user's own code."""
        return {**self.description, "code": code_of(self.name)}

    def metadata(self) -> dict[str, Any]:
        """What every file of weights says of itself."""
        return {"model": self.description, "data": self.data}

    def build(self, seed: int | None = None, checkpoint: str | None = None) -> nn.Module:
        """The module, its weights those of a checkpoint or drawn by seed.

        Raises:
            PathfinderError: if it cannot be built, or is lazy: it has no weights before it has seen data.
        """
        module = build_model(self.name, seed=seed, **self.arguments)
        if lazy := [name for name, tensor in tensors_of(module).items() if is_lazy(tensor)]:
            raise PathfinderError(
                f"network `{self.name}` is lazy: {listed(lazy)} have no shape before it sees data; name their sizes, "
                "as nn.Linear and nn.Conv2d do."
            )
        if checkpoint:
            load_state(module, load_weights(checkpoint))
        return module

    def save(self, path: str | Path, tensors: dict[str, Tensor], **metadata: Any) -> None:
        """Write weights with what they are."""
        save_tensors(path, tensors, {**self.metadata(), **metadata})


def network_in(path: str | Path, data: Mapping[str, Any]) -> Network | None:
    """The network that a file of weights names; nothing if it names none.

    A file never runs code: an import path is refused, as are arguments that are none of the builder's, before anything
    is built, and a network larger than the file before its weights take memory.

    Args:
        path: the file.
        data: the data that it is used with.

    Raises:
        PathfinderError: if the network cannot be taken from a file.
    """
    values, metadata = _said(path)
    model = metadata.get("model")
    if not isinstance(model, dict) or {key: type(part) for key, part in model.items()} != _DESCRIBED:
        return None
    name, arguments = model["name"], model["arguments"]
    if ":" in name and not name.startswith("torchvision:"):
        raise _imported(path, "network", name, "--model", "model.name")
    if _number(arguments.get("depth")) > values:
        raise PathfinderError(f"{path} names a network of more layers than it has values; name its own with --model.")
    try:
        check_described(name, arguments)
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
    """A number in an argument, text too, as builders take it; 0 where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("inf") if isinstance(value, int) else 0.0


def _size(name: str, arguments: dict[str, Any]) -> int | None:
    """How many weights a network has, found without memory for them; nothing where it cannot be built so."""
    try:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in build_model(name, seed=0, **arguments).parameters())
    except PathfinderError as error:
        if isinstance(error.__cause__, NotImplementedError):  # the regnets of torchvision look at their initial weights
            return None
        raise


_DESCRIBED = {"name": str, "arguments": dict}


def data_in(path: str | Path) -> dict[str, Any] | None:
    """The data that a file of weights says it is for, as `config.Data` takes it; nothing if it says none.

    Files and folders may be named, for reading them runs nothing; an import path is refused.

    Raises:
        PathfinderError: if it is an import path.
    """
    said = _said(path)[1].get("data")
    data = {"name": said} if isinstance(said, str) else said
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        return None
    if ":" in data["name"] and not data["name"].startswith(("npz:", "folder:")):
        raise _imported(path, "data", data["name"], "--data", "data.name")
    return data


def _said(path: str | Path) -> tuple[int, dict[str, Any]]:
    """How many values a file of weights holds, and what it says of itself."""
    file = existing_file(path, "checkpoint")
    return load_header(file) if file.suffix == ".safetensors" else (0, {})


def _imported(path: str | Path, what: str, name: str, option: str, key: str) -> PathfinderError:
    return PathfinderError(
        f"{path} names the {what} `{brief(name)}`, an import path, which runs code and is only taken from you; if you "
        f"trust it, pass {option} {brief(name)} (in a config, set {key})."
    )


def probe(module: nn.Module, data: Mapping[str, Source], name: str, sizes: Sequence[int] = ()) -> None:
    """Let a module score two examples of each split.

    Args:
        module: the network.
        data: the splits.
        name: of the network, for the error.
        sizes: the smallest batches its BatchNorm layers, if there are any, will have to normalise.

    Raises:
        PathfinderError: if it cannot, because it is made for other data; or BatchNorm would see a single example.
    """
    if 1 in sizes and any(isinstance(layer, _BatchNorm) for layer in module.modules()):
        raise PathfinderError(
            f"network `{name}` has BatchNorm, which needs 2 examples or more at a time, got 1; raise batch_size, "
            "micro_batch_size or the number of examples."
        )
    space = WeightSpace(module)
    theta = space.vector(module)
    for split, source in data.items():
        with users_code(f"data `{split}` gives no batch", "mend what makes them"):
            x, y = next(iter(source.subset(2, seed=0).batches(2)))
        what = f"network `{name}` cannot score the data (split {split}, inputs {source.input_shape})"
        with (
            users_code(what, "choose a network and data that belong together"),
            torch.no_grad(),
            space.evaluating(),
        ):
            output = space.call(theta, x)
            cross_entropy(output, y)
        classes = as_logits(output).shape[1]
        if isinstance(source, Split) and source.classes is not None and int(source.y.max()) >= classes:
            raise PathfinderError(
                f"labels must be 0 to {classes - 1} for network `{name}`, got {int(source.y.max())} in the split "
                f"{split}; choose data and a network with the same classes."
            )


def weights_file(path: Path, inputs: Sequence[Path] = ()) -> Path:
    """The path, if weights can be written there and read again.

    Raises:
        PathfinderError: if it is a folder, one of the inputs, does not end in .safetensors, or lies where nothing can
            be written.
    """
    can_be_written(path)
    if path.is_dir():
        raise PathfinderError(
            f"--out must be a file, but {path} is a folder; name a file in it, such as a.safetensors."
        )
    if path.suffix != ".safetensors":
        raise PathfinderError(f"--out must end in .safetensors, got {path}; weights are written in that format.")
    return not_an_input(path, inputs)


def may_replace(path: Path, own: Mapping[str, Any], force: bool) -> None:
    """Check that weights written to a path replace nothing but what the same command made.

    Args:
        path: where weights are to be written.
        own: entries of the metadata by which the command knows its own file.
        force: whether anything may be replaced.

    Raises:
        PathfinderError: if there is another file.
    """
    if force or not path.exists():
        return
    try:
        found = load_header(path)[1]
    except PathfinderError:
        found = {}
    if any(found.get(key) != value for key, value in own.items()):
        raise replaces(path)


_BESIDE = "fixed."  # what a curve's file calls the tensors that do not move


def beside_curve(space: WeightSpace) -> dict[str, Tensor]:
    """The tensors that do not move, to be kept in a curve's file: its points are no networks without them."""
    return {f"{_BESIDE}{name}": tensor for name, tensor in space.fixed().items()}


def load_curve_state(module: nn.Module, curve: Curve, path: str | Path) -> None:
    """Give a module the weights of a curve's start, and the tensors that do not move as its file holds them.

    Raises:
        PathfinderError: if the curve is another network's.
    """
    fixed = {n.removeprefix(_BESIDE): t for n, t in load_tensors(path, "curve")[0].items() if n.startswith(_BESIDE)}
    space = WeightSpace(module)
    if len(curve.start) != space.size:
        raise PathfinderError(
            f"{path} has {len(curve.start)} weights, but this {type(module).__name__} has {space.size}; name its own "
            "network with --model."
        )
    load_state(module, {**space.split(curve.start), **fixed})


def data_of(name: str | None, settings: Mapping[str, Any], path: str | Path) -> Data:
    """The data to use with a file of weights: the one named, or the one it was trained on, with settings changed.

    Raises:
        PathfinderError: if neither is known, or the file names an import path.
    """
    if name:
        return Data.parse({"name": name, **settings})
    found = data_in(path)
    if found is None:
        raise PathfinderError(f"{path} does not say which data it belongs to; name it with --data.")
    return Data.parse({**found, **settings})


def network_for(model: Model, data: Data, train: Source) -> Network:
    """The network a config names, with the classes and the input shape of the data."""
    offered = {"num_classes": train.classes, "input_shape": train.input_shape and list(train.input_shape)}
    given = {key: value for key, value in offered.items() if value is not None}
    return Network(model.name, {**given, **model.arguments}, data.model_dump(exclude_defaults=True))


def network_of(end: Minimum, data: Data, train: Source) -> Network:
    """The network of an end of a pair: as configured, or as its checkpoint says.

    Raises:
        PathfinderError: if neither says it, the checkpoint names an import path, or the data has inputs of another
            shape.
    """
    if end.model is not None:
        return network_for(end.model, data, train)
    network = network_in(end.checkpoint, data.model_dump(exclude_defaults=True))
    if network is None:
        raise PathfinderError(f"{end.checkpoint} does not say which network it holds; name it with --model.")
    shape = network.arguments.get("input_shape")
    if shape and train.input_shape and list(shape) != list(train.input_shape):
        raise PathfinderError(
            f"{end.checkpoint} takes inputs of shape {tuple(shape)}, but data `{data.name}` has {train.input_shape}; "
            "choose its own data."
        )
    return network


def trajectory(folder: Path, network: Network, module: nn.Module, every: int, epochs: int) -> Callable[[int], None]:
    """What `fit_minimum` calls to keep weights on the way as files: the initial ones, every few epochs' and the last.

    A fit that starts over removes the checkpoints that an earlier one left in the folder.
    """

    def keep(epoch: int) -> None:
        if epoch == 0:
            remove_trajectory(folder)
        if epoch % every == 0 or epoch == epochs:
            network.save(folder / f"epoch-{epoch:04d}.safetensors", module.state_dict(), epoch=epoch)

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


@contextmanager
def last_good(path: Path, save: Callable[[Path], None]) -> Iterator[None]:
    """Where training diverges, save the last good weights, which the trained object then holds, and say so."""
    try:
        yield
    except DivergedError as error:
        save(path)
        raise PathfinderError(f"{path.name.partition('.')[0]}: {error} The last good weights are in {path}.") from error
