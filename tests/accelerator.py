"""A pretended accelerator: torch's meta device, which has places and types but no numbers, and no float64 here."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pathfinder import compute

NAME = "meta"


class Accelerator(TorchDispatchMode):
    """Lets tensors go to the accelerator and come back, as ones, and counts both.

    Attributes:
        waits: how often the program had to wait for a number or a tensor to come back.
        sent: the shapes of the tensors that went there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.sent: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        there = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.is_meta]
        if name == "_local_scalar_dense" and there:
            self.waits += 1
            return there[0].dtype == torch.bool or 1.0
        if name == "equal" and there:
            self.waits += 1
            return True
        if name == "_to_copy" and there and kwargs.get("device", there[0].device).type == "cpu":
            self.waits += 1
            return torch.ones(there[0].shape, dtype=kwargs.get("dtype") or there[0].dtype)
        if name == "copy_" and there and not args[0].is_meta:
            self.waits += 1
            return args[0].fill_(1)
        out = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.is_meta]
        if any(leaf.dtype == torch.float64 for leaf in made):
            raise TypeError(f"{name} made a float64 tensor, which this device does not have.")
        if (
            made
            and name in ("_to_copy", "copy_")
            and not any(leaf.is_meta for leaf in args if isinstance(leaf, Tensor))
        ):
            self.sent.append(tuple(made[0].shape))
        return out


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    """The accelerator, to be entered; it is called `meta`."""
    monkeypatch.setattr(compute, "_here", lambda: {"cpu": True, NAME: True})
    monkeypatch.setattr(compute, "_NO_FLOAT64", frozenset({NAME}))
    return Accelerator()
