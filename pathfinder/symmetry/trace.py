"""Run a network on inputs while a dispatch mode labels the units of every tensor."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pathfinder.data.batching import has_tensors, map_leaves, tensors_from
from pathfinder.errors import PathfinderError, reason
from pathfinder.symmetry.labels import Labels, fixed_axes
from pathfinder.symmetry.rules import CONSTANT, RULES, tensors_in


class Follow(TorchDispatchMode):
    """Applies the rule of every ATen operation to the labels of its tensors.

    Raises:
        PathfinderError: inside, if an operation without a rule takes units that can move.
    """

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.labels = labels
        self._inside: list[str] = []
        self._constant: set[int] = set()  # ids of tensors made of constants; the labels keep them alive

    @contextmanager
    def through(self, module: nn.Module) -> Generator[None, None, None]:
        """Enter the mode, and note which part of the module runs, for error messages."""
        hooks = []
        for path, layer in module.named_modules():
            name = path or type(module).__name__
            hooks.append(layer.register_forward_pre_hook(lambda *_, name=name: self._inside.append(name)))
            hooks.append(layer.register_forward_hook(lambda *_: self._leave()))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name, taken = func.overloadpacket.__name__, [tensor for tensor in tensors_in((args, kwargs)) if tensor.ndim]
        self.labels.note_inputs(taken, tensors_in(out))
        moving = [self.labels.can_move(tensor) for tensor in taken]
        if taken and all(id(tensor) in self._constant for tensor in taken):
            self._constant |= {id(tensor) for tensor in tensors_in(out)}
        if name in CONSTANT:  # equal values can be exchanged
            self.labels.assign(out, self.labels.new_axes(out.shape))
            self._constant.add(id(out))
        elif not any(moving):
            for tensor in tensors_in(out):
                if not self.labels.has(tensor):
                    self.labels.assign(tensor, fixed_axes(tensor.shape))
        elif name not in RULES and all(id(t) in self._constant for t, m in zip(taken, moving, strict=True) if m):
            for tensor in taken:  # the values were equal; after this operation they may not be
                self.labels.fix(self.labels.axes(tensor))
        elif name in RULES:
            RULES[name](self.labels, out, *args, **(kwargs or {}))
        else:
            raise PathfinderError(
                f"units cannot be followed through `{name}` in module `{self._inside[-1]}`; match weights, with a "
                "structure that you write as a table of TENSOR:AXIS for each group of units."
            )
        return out

    def _leave(self) -> None:
        self._inside.pop()


def in_float64(inputs: Any) -> Any:
    """Inputs of a module on the CPU, floating-point ones in float64.

    Raises:
        PathfinderError: if they are no tensors.
    """
    inputs = tensors_from(inputs)
    if not has_tensors(inputs):
        raise PathfinderError(f"inputs must be a tensor, or a tuple or dict of tensors, got {type(inputs).__name__}.")
    return map_leaves(lambda leaf: leaf.detach().cpu().double() if leaf.is_floating_point() else leaf.cpu(), inputs)


def call(module: nn.Module, inputs: Any) -> Any:
    """The module's output on a tensor, or on a tuple or dict of its arguments.

    Raises:
        PathfinderError: if the module does not run on them.
    """
    try:
        if isinstance(inputs, Mapping):
            return module(**inputs)
        return module(*inputs) if isinstance(inputs, tuple) else module(inputs)
    except PathfinderError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        raise PathfinderError(
            f"{type(module).__name__} cannot be followed on these inputs in float64 ({reason(error)}); pass inputs it "
            "takes, or write the structure as a table of TENSOR:AXIS for each group of units."
        ) from error


def outputs(module: nn.Module, inputs: Any) -> list[Tensor]:
    """The floating-point tensors among the module's outputs, for a copy of the inputs, which it may change in place."""
    found = call(module, map_leaves(Tensor.clone, inputs))
    return [tensor for tensor in tensors_in(found) if tensor.is_floating_point()]
