"""Follow: a dispatch mode that labels the tensors of a forward pass as it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pathfinder.errors import PathfinderError
from pathfinder.symmetry.labels import Labels, fixed
from pathfinder.symmetry.rules import CONSTANT, RULES, tensors_in


class Follow(TorchDispatchMode):
    """Passes the labels of units through every ATen operation.

    Raises:
        PathfinderError: inside, where an operation is not known that takes units that can move.
    """

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.labels = labels
        self._inside: list[str] = []
        self._constant: set[int] = set()  # tensors made of constants, by id; the labels keep them alive

    @contextmanager
    def through(self, module: nn.Module) -> Iterator[None]:
        """The mode, keeping the name of the part of the module that runs, for errors."""
        hooks = []
        for path, layer in module.named_modules():
            name = path or type(module).__name__
            hooks.append(layer.register_forward_pre_hook(lambda *_, name=name: self._inside.append(name)))
            hooks.append(layer.register_forward_hook(lambda *_: self._left()))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name, taken = func.overloadpacket.__name__, [tensor for tensor in tensors_in((args, kwargs)) if tensor.ndim]
        moving = [self.labels.use(tensor) for tensor in taken]
        self.labels.made(tensors_in(out), taken)
        if taken and all(id(tensor) in self._constant for tensor in taken):
            self._constant |= {id(tensor) for tensor in tensors_in(out)}
        if name in CONSTANT:  # equal values can change places
            self.labels.tell(out, self.labels.fresh(out.shape))
            self._constant.add(id(out))
        elif not any(moving):
            for tensor in tensors_in(out):
                if not self.labels.knows(tensor):
                    self.labels.tell(tensor, fixed(tensor.shape))
        elif name not in RULES and all(id(t) in self._constant for t, m in zip(taken, moving, strict=True) if m):
            for tensor in taken:  # made of equal values here, of others afterwards
                self.labels.fix(self.labels.axes(tensor))
        elif name in RULES:
            RULES[name](self.labels, out, *args, **(kwargs or {}))
        else:
            raise PathfinderError(
                f"units cannot be followed through `{name}` in module `{self._inside[-1]}`; match weights, with the "
                "structure given by hand: a table of TENSOR:AXIS for each group of units."
            )
        return out

    def _left(self) -> None:
        self._inside.pop()
