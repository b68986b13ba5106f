"""WeightSpace: a module's trainable tensors as one vector theta: (weights,), and back.

The module itself is not changed: weights enter through `torch.func.functional_call`.
"""

from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from pathfinder.compute import all_finite, check_float64, with_index
from pathfinder.data.batching import leaves, map_leaves
from pathfinder.errors import PathfinderError, list_names
from pathfinder.settings import describe
from pathfinder.weights.tensors import (
    NetworkState,
    aliases_of,
    check_module,
    copy_module,
    match_tensors,
    refresh_weight_norm,
    running_of,
    tensors_of,
)


def check_statistics(given: Any, size: int, what: str = "statistics") -> Float[Tensor, " statistics"]:
    """Running statistics of BatchNorm, checked to be a tensor of shape (size,).

    Raises:
        PathfinderError: if they are anything else.
    """
    if not isinstance(given, Tensor) or given.shape != (size,):
        shape = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else describe(given)
        raise PathfinderError(f"{what} must be a tensor of shape ({size},), got {shape}; see WeightSpace.statistics.")
    return given


Fixed = dict[str, Tensor]  # the tensors of a module that are not part of theta, by name


class WeightSpace:
    """The trainable tensors of a module as one vector theta.

    All other tensors (frozen parameters, buffers) keep the values they have now, and networks that differ in them do
    not share a space. Running statistics of BatchNorm are an exception; see `statistics`. Tied weights count once.

    Args:
        module: any module; it is not changed.
        only: a pattern such as `"layer3.*"` for the names of the parameters to include; all that are trainable if not
            given.

    Attributes:
        network: the module.
        names: the tensors in theta, in order.
        size: the number of weights.
        dtype: of theta: float32, or float64 if a weight is.

    Raises:
        PathfinderError: if no parameter is trainable, or none has a name that matches.

    >>> module = nn.Linear(2, 1)
    >>> space = WeightSpace(module)
    >>> space
    WeightSpace(Linear, 3 weights in 2 tensors)
    >>> theta = space.vector({"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([3.0])})
    >>> space.call(theta, torch.ones(1, 2))
    tensor([[6.]])
    >>> space.module(theta).bias
    Parameter containing:
    tensor([3.], requires_grad=True)
    """

    def __init__(self, module: nn.Module, only: str | None = None) -> None:
        check_module(module)
        if only is not None and not isinstance(only, str):
            raise PathfinderError(f'only must be a pattern such as "layer3.*", got {type(only).__name__}.')
        self.network = module
        self._aliases = aliases_of(module)
        chosen = {
            name: parameter.detach()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and (only is None or any(fnmatch(n, only) for n in self._aliases[name]))
        }
        if not chosen:
            wanted = "has no trainable parameter" if only is None else f"has no trainable parameter named `{only}`"
            names = list_names(self._aliases) or "none at all"
            raise PathfinderError(f"{type(module).__name__} {wanted}; its parameters are {names}.")
        self.names = list(chosen)
        self._shapes = [tensor.shape for tensor in chosen.values()]
        self._dtypes = [tensor.dtype for tensor in chosen.values()]
        self._sizes = [tensor.numel() for tensor in chosen.values()]
        self.size = sum(self._sizes)
        self.dtype = torch.float32
        for name, dtype in zip(self.names, self._dtypes, strict=True):
            if not dtype.is_floating_point:
                raise PathfinderError(f"`{name}` is {dtype}; only real floating-point weights can form a vector.")
            self.dtype = torch.promote_types(self.dtype, dtype)
        self._statistics, self._counters = running_of(module)
        self._fixed = {name: t.detach().clone() for name, t in tensors_of(module).items() if name not in chosen}
        self._buffers = {name for name, _ in module.named_buffers()}
        self._placed: dict[torch.device, Fixed] = {}
        self._changes_input: bool | None = None  # known after the first call

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
        """The length of the vector of running statistics."""
        return sum(self._fixed[name].numel() for name in self._statistics)

    def vector(self, source: NetworkState) -> Float[Tensor, " weights"]:
        """The weights of a module or state dict as one vector (a copy).

        Args:
            source: a module, or a state dict, of the same architecture.

        Raises:
            PathfinderError: if the source is another network (the error names the first tensors that differ), differs
                in a tensor that is not part of theta, or holds NaN.
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
        """A full state dict of the module at theta.

        Args:
            theta: the weights.
            statistics: running statistics of BatchNorm; the module's own if not given.
        """
        self._check(theta)
        tensors = {**self.split(theta.detach()), **self.fixed(statistics, theta.device)}
        names = {alias: name for name, aliases in self._aliases.items() for alias in aliases}
        return {key: tensors[names[key]].clone() for key in self.network.state_dict() if key in names}

    def module(self, theta: Float[Tensor, " weights"], statistics: Tensor | None = None) -> nn.Module:
        """A copy of the module with the weights theta.

        Args:
            theta: the weights.
            statistics: running statistics of BatchNorm; the module's own if not given.
        """
        self._check(theta)
        twin = copy_module(self.network).to(theta.device)
        tensors = {**self.split(theta.detach()), **self.fixed(statistics, theta.device)}
        with torch.no_grad():
            for name, tensor in tensors_of(twin).items():
                tensor.copy_(tensors[name])
            refresh_weight_norm(twin)
        return twin

    def split(self, theta: Float[Tensor, " weights"]) -> dict[str, Tensor]:
        """The tensors of theta by name, as views of it where the dtype is the same; differentiable."""
        return {
            name: part.to(dtype) for (name, part), dtype in zip(self.parts(theta).items(), self._dtypes, strict=True)
        }

    def parts(self, vector: Float[Tensor, " weights"]) -> dict[str, Tensor]:
        """Any vector of this space, such as a direction, cut into the shapes of the tensors: views by name."""
        self._check(vector)
        pieces = zip(self.names, vector.split(self._sizes), self._shapes, strict=True)
        return {name: piece.view(shape) for name, piece, shape in pieces}

    def _check(self, vector: Any) -> None:
        """Raise a PathfinderError unless this is a vector of the space."""
        if not isinstance(vector, Tensor) or vector.shape != (self.size,):
            shape = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
            raise PathfinderError(f"theta must be a tensor and have shape ({self.size},), got {shape}.")
        if not vector.is_floating_point():
            raise PathfinderError(
                f"theta must hold floating-point weights, got {vector.dtype}; see WeightSpace.vector."
            )

    def join(self, parts: Mapping[str, Tensor]) -> Float[Tensor, " weights"]:
        """The vector that has these `parts`, as a copy; tensors of other names are ignored."""
        return torch.cat([parts[name].reshape(-1) for name in self.names])

    def fixed(self, statistics: Tensor | None = None, device: str | torch.device | None = None) -> Fixed:
        """All tensors of the module that are not part of theta.

        Buffers are copies, as a forward pass in training mode updates the running statistics in the dictionary. Frozen
        parameters, which no forward pass changes, are shared by all such dictionaries.

        Args:
            statistics: running statistics of BatchNorm; the module's own if not given.
            device: where the tensors are needed; where they are, if not given.
        """
        here = self._fixed if device is None else self.on(device)
        fixed = {name: tensor.clone() if name in self._buffers else tensor for name, tensor in here.items()}
        if statistics is not None:
            sizes = [fixed[name].numel() for name in self._statistics]
            if not isinstance(statistics, Tensor) or statistics.shape != (sum(sizes),):
                shape = tuple(statistics.shape) if isinstance(statistics, Tensor) else type(statistics).__name__
                raise PathfinderError(f"statistics must have shape ({sum(sizes)},), got {shape}.")
            for name, piece in zip(self._statistics, statistics.split(sizes), strict=True):
                least = 0.0 if name.endswith("running_var") else None  # extrapolated variances may be negative
                fixed[name].copy_((piece if least is None else piece.clamp_min(least)).view_as(fixed[name]))
        return fixed

    def on(self, device: str | torch.device) -> Fixed:
        """The tensors that are not part of theta, copied to a device once; do not write into them.

        Raises:
            PathfinderError: if the weights are float64 and the device has none.
        """
        device = with_index(device)
        if device not in self._placed:
            check_float64(device, "the weights", [torch.empty(0, dtype=self.dtype), *self._fixed.values()])
            self._placed[device] = {name: tensor.to(device) for name, tensor in self._fixed.items()}
        return self._placed[device]

    def zero_statistics(self, fixed: Fixed) -> None:
        """Set the running statistics in a dictionary of `fixed` to zero, NaN included."""
        for name in self._statistics:
            fixed[name].zero_()

    def statistics_in(self, fixed: Fixed) -> Float[Tensor, " statistics"]:
        """The running statistics in a dictionary of `fixed`, as a vector."""
        return torch.cat([fixed[name].float().reshape(-1) for name in self._statistics])

    def call(self, theta: Float[Tensor, " weights"], x: Any, fixed: Fixed | None = None) -> Any:
        """The module's output at theta, differentiable in theta.

        Args:
            theta: the weights.
            x: the input; a tuple holds several arguments, a dict named ones.
            fixed: the result of `fixed()`, to make it once for many calls.
        """
        return self.apply({**self.split(theta), **(self.fixed(None, theta.device) if fixed is None else fixed)}, x)

    def apply(self, tensors: dict[str, Tensor], x: Any) -> Any:
        """The module's output for all of its tensors, by name, and an input, which stays as it is.

        The first call finds out whether the module changes its input in place; if so, each call gives it a copy.
        """
        first = self._changes_input is None
        if self._changes_input or first:
            x = map_leaves(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, x)
        named = dict(x) if isinstance(x, Mapping) else {}
        given = () if isinstance(x, Mapping) else tuple(x) if isinstance(x, tuple | list) else (x,)
        found = functional_call(self.network, tensors, given, named)
        if first:
            self._changes_input = any(leaf._version for leaf in leaves(x) if isinstance(leaf, Tensor))
        return found

    def _read(self, source: NetworkState) -> dict[str, Tensor]:
        """All tensors of a source by the names of the space, checked to be of the same network."""
        found = match_tensors(self.network, source)
        for name in self._fixed:
            if name in self._statistics + self._counters:
                continue
            if not torch.equal(found[name], self.on(found[name].device)[name]):
                raise PathfinderError(
                    f"the two networks differ in `{name}`, which is frozen or a buffer and not part of theta; make it "
                    "equal, or trainable."
                )
        return found
