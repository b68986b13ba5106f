"""WeightSpace: the tensors of a module that move, as one vector theta: (weights,), and back.

The module itself is never rewritten and never changed: weights enter through `torch.func.functional_call`.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from pathfinder.compute import all_finite, fitting, indexed
from pathfinder.errors import PathfinderError, listed
from pathfinder.settings import came
from pathfinder.weights.tensors import (
    NetworkState,
    aliases_of,
    copied,
    has_running,
    matched,
    modular,
    refreshed,
    running_of,
    tensors_of,
)


def statistics_of(given: Any, size: int, what: str = "statistics") -> Float[Tensor, " statistics"]:
    """Running statistics of BatchNorm of a space that has this many.

    Raises:
        PathfinderError: if they are no tensor of that length.
    """
    if not isinstance(given, Tensor) or given.shape != (size,):
        shape = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else came(given)
        raise PathfinderError(f"{what} must be a tensor of shape ({size},), got {shape}; see WeightSpace.statistics.")
    return given


Fixed = dict[str, Tensor]


class WeightSpace:
    """The trainable tensors of a module as coordinates of one vector.

    All other tensors (frozen parameters, buffers) are kept as they are now: two networks that differ in them do not
    lie in one space. Running statistics of BatchNorm are no such tensors; see `statistics`. Tied weights count once.

    Args:
        module: any module; it is read, never changed.
        only: a pattern such as `"layer3.*"` that names the parameters that move.

    Attributes:
        network: the module.
        names: the moving tensors, in the order of the vector.
        size: the number of weights.
        dtype: the vector's: float32, or float64 where a weight is.

    Raises:
        PathfinderError: if nothing moves.
    """

    def __init__(self, module: nn.Module, only: str | None = None) -> None:
        modular(module)
        if only is not None and not isinstance(only, str):
            raise PathfinderError(f'only must be a pattern such as "layer3.*", got {type(only).__name__}.')
        self.network = module
        self._aliases = aliases_of(module)
        moving = {
            name: parameter.detach()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and (only is None or any(fnmatch(n, only) for n in self._aliases[name]))
        }
        if not moving:
            wanted = "has no trainable parameter" if only is None else f"has no trainable parameter named `{only}`"
            names = listed(self._aliases) or "none at all"
            raise PathfinderError(f"{type(module).__name__} {wanted}; its parameters are {names}.")
        self.names = list(moving)
        self._shapes = [tensor.shape for tensor in moving.values()]
        self._dtypes = [tensor.dtype for tensor in moving.values()]
        self._sizes = [tensor.numel() for tensor in moving.values()]
        self.size = sum(self._sizes)
        self.dtype = torch.float32
        for name, dtype in zip(self.names, self._dtypes, strict=True):
            if not dtype.is_floating_point:
                raise PathfinderError(f"`{name}` is {dtype}; only real floating-point weights can be joined.")
            self.dtype = torch.promote_types(self.dtype, dtype)
        self._statistics, self._counters = running_of(module)
        self._fixed = {name: t.detach().clone() for name, t in tensors_of(module).items() if name not in moving}
        self._buffers = {name for name, _ in module.named_buffers()}
        self._placed: dict[torch.device, Fixed] = {}

    def __repr__(self) -> str:
        return f"WeightSpace({type(self.network).__name__}, {self.size} weights in {len(self.names)} tensors)"

    @property
    def has_statistics(self) -> bool:
        """Whether the module has running statistics (BatchNorm), which belong to one point only."""
        return bool(self._statistics)

    @property
    def statistics_names(self) -> list[str]:
        """The names of the running statistics, in the order of their vector."""
        return list(self._statistics)

    @property
    def statistics_size(self) -> int:
        """How many numbers the running statistics are."""
        return sum(self._fixed[name].numel() for name in self._statistics)

    def vector(self, source: NetworkState) -> Float[Tensor, " weights"]:
        """The weights of a module or state dict as one vector (a copy).

        Raises:
            PathfinderError: if the source is another network (names the first differing tensors with shapes), differs
                in a tensor that does not move, or holds NaN.
        """
        tensors = self._read(source)
        pieces = [tensors[name].detach() for name in self.names]
        device = pieces[0].device
        vector = torch.cat([piece.to(device, self.dtype).reshape(-1) for piece in pieces])
        if not all_finite([vector]):
            name = next(n for n, piece in zip(self.names, pieces, strict=True) if not piece.isfinite().all())
            raise PathfinderError(f"`{name}` holds NaN or infinity; take a checkpoint from before it diverged.")
        return vector

    def statistics(self, source: NetworkState) -> Float[Tensor, " statistics"]:
        """The running means and variances of a module or state dict as one vector; empty without BatchNorm."""
        tensors = self._read(source)
        pieces = [tensors[name].detach().float().reshape(-1) for name in self._statistics]
        return torch.cat(pieces) if pieces else torch.empty(0)

    def state_dict(self, theta: Float[Tensor, " weights"], statistics: Tensor | None = None) -> dict[str, Tensor]:
        """A full state dict of the module at theta, with these running statistics or the module's own."""
        self._check(theta)
        tensors = {**self.split(theta.detach()), **self.fixed(statistics, theta.device)}
        names = {alias: name for name, aliases in self._aliases.items() for alias in aliases}
        return {key: tensors[names[key]].clone() for key in self.network.state_dict() if key in names}

    def module(self, theta: Float[Tensor, " weights"], statistics: Tensor | None = None) -> nn.Module:
        """A copy of the module with the weights theta."""
        self._check(theta)
        twin = copied(self.network).to(theta.device)
        tensors = {**self.split(theta.detach()), **self.fixed(statistics, theta.device)}
        with torch.no_grad():
            for name, tensor in tensors_of(twin).items():
                tensor.copy_(tensors[name])
            refreshed(twin)
        return twin

    def split(self, theta: Float[Tensor, " weights"]) -> dict[str, Tensor]:
        """The moving tensors by name, as views of theta where the dtype is the same; differentiable."""
        return {
            name: part.to(dtype) for (name, part), dtype in zip(self.parts(theta).items(), self._dtypes, strict=True)
        }

    def parts(self, vector: Float[Tensor, " weights"]) -> dict[str, Tensor]:
        """Any vector of this space, such as a direction, in the shapes of the tensors, as views by their names."""
        self._check(vector)
        pieces = zip(self.names, vector.split(self._sizes), self._shapes, strict=True)
        return {name: piece.view(shape) for name, piece, shape in pieces}

    def _check(self, vector: Any) -> None:
        """Raise a PathfinderError where something is no vector of this space."""
        if not isinstance(vector, Tensor) or vector.shape != (self.size,):
            shape = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
            raise PathfinderError(f"theta must be a tensor and have shape ({self.size},), got {shape}.")
        if not vector.is_floating_point():
            raise PathfinderError(
                f"theta must hold floating-point weights, got {vector.dtype}; see WeightSpace.vector."
            )

    def joined(self, parts: Mapping[str, Tensor]) -> Float[Tensor, " weights"]:
        """The vector whose `parts` these are, as a copy; tensors of other names are left out."""
        return torch.cat([parts[name].reshape(-1) for name in self.names])

    def fixed(self, statistics: Tensor | None = None, device: str | torch.device | None = None) -> Fixed:
        """All tensors that do not move, with these running statistics or the module's own.

        Buffers are fresh copies: a forward pass in training mode updates the running statistics in this dictionary, in
        place. Parameters, which no forward pass changes, are those of every other such dictionary.
        """
        here = self._fixed if device is None else self.on(device)
        fixed = {name: tensor.clone() if name in self._buffers else tensor for name, tensor in here.items()}
        if statistics is not None:
            sizes = [fixed[name].numel() for name in self._statistics]
            if not isinstance(statistics, Tensor) or statistics.shape != (sum(sizes),):
                shape = tuple(statistics.shape) if isinstance(statistics, Tensor) else type(statistics).__name__
                raise PathfinderError(f"statistics must have shape ({sum(sizes)},), got {shape}.")
            for name, piece in zip(self._statistics, statistics.split(sizes), strict=True):
                least = 0.0 if name.endswith("running_var") else None  # extrapolation may leave the variances' range
                fixed[name].copy_((piece if least is None else piece.clamp_min(least)).view_as(fixed[name]))
        return fixed

    def on(self, device: str | torch.device) -> Fixed:
        """The tensors that do not move, on a device: placed there once, and not to be written into.

        Raises:
            PathfinderError: if the weights are float64 and the device has none.
        """
        device = indexed(device)
        if device not in self._placed:
            fitting(device, "the weights", [torch.empty(0, dtype=self.dtype), *self._fixed.values()])
            self._placed[device] = {name: tensor.to(device) for name, tensor in self._fixed.items()}
        return self._placed[device]

    def zero_statistics(self, fixed: Fixed) -> None:
        """Set the running statistics in a dictionary of `fixed` to zero, NaN included."""
        for name in self._statistics:
            fixed[name].zero_()

    def running(self, fixed: Fixed) -> Float[Tensor, " statistics"]:
        """The running statistics in a dictionary of `fixed`, as a vector."""
        return torch.cat([fixed[name].float().reshape(-1) for name in self._statistics])

    def call(self, theta: Float[Tensor, " weights"], x: Any, fixed: Fixed | None = None) -> Any:
        """The module's output at theta, differentiable in theta.

        Args:
            theta: the weights.
            x: the input; a tuple holds several arguments, a dict named ones.
            fixed: what `fixed()` gave, to make it once for many calls.
        """
        return self.apply({**self.split(theta), **(self.fixed(None, theta.device) if fixed is None else fixed)}, x)

    def apply(self, tensors: Mapping[str, Tensor], x: Any) -> Any:
        """The module's output with all of its tensors given by name."""
        if isinstance(x, Mapping):
            return functional_call(self.network, tensors, (), dict(x))
        return functional_call(self.network, tensors, tuple(x) if isinstance(x, tuple | list) else (x,))

    @contextmanager
    def evaluating(self) -> Generator[None, None, None]:
        """The module in evaluation mode; its flags are put back at the end."""
        with _flags_kept(self.network):
            self.network.eval()
            yield

    @contextmanager
    def training(self) -> Generator[None, None, None]:
        """The module in training mode; its flags are put back at the end."""
        with _flags_kept(self.network):
            self.network.train()
            yield

    @contextmanager
    def estimation_mode(self) -> Generator[list[_NormBase], None, None]:
        """The layers with running statistics in training mode, all others (Dropout) in evaluation mode.

        Gives those layers, so that `momentum` can be set batch by batch; flags and momenta are put back at the end.
        """
        layers = [layer for layer in self.network.modules() if has_running(layer)]
        momenta = [layer.momentum for layer in layers]
        with self.evaluating():
            for layer in layers:
                layer.training = True
            try:
                yield layers
            finally:
                for layer, momentum in zip(layers, momenta, strict=True):
                    layer.momentum = momentum

    def _read(self, source: NetworkState) -> dict[str, Tensor]:
        """All tensors of a source by the space's names, after checking that it is the same network."""
        found = matched(self.network, source)
        for name in self._fixed:
            if name in self._statistics + self._counters:
                continue
            if not torch.equal(found[name], self.on(found[name].device)[name]):
                raise PathfinderError(
                    f"the two networks differ in `{name}`, which does not move (frozen, or a buffer); make it equal, "
                    "or trainable."
                )
        return found


@contextmanager
def _flags_kept(module: nn.Module) -> Generator[None, None, None]:
    flags = [(layer, layer.training) for layer in module.modules()]
    try:
        yield
    finally:
        for layer, flag in flags:
            layer.training = flag
