"""Whether a loss broadcasts outputs against targets, so that it compares each example with all others."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.scoring.weighted import Weighted


def check_broadcast(function: Callable[..., Any], found: Any, output: Any, target: Any, what: str) -> bool:
    """Check that the values of a loss or metric have a shape that does not depend on the number of examples.

    Outputs (N, 1) and targets (N,) give values (N, N). So do N tokens per example, which are fine: therefore values
    with an axis as long as the batch are computed a second time, of one example more. Where the loss averages one of
    these axes, its values betray themselves: they depend on the other examples.

    Args:
        function: the loss or metric.
        found: what it returned.
        output, target: what it was called with.
        what: what errors call it.

    Returns:
        Whether there were examples from which to tell.

    Raises:
        PathfinderError: if another axis than the first has the length of the batch, whatever that is.
    """
    values = found.values if isinstance(found, Weighted) else found
    if not isinstance(values, Tensor) or values.ndim < 1 or len(values) < 1:
        return False
    examples = len(values)
    if examples not in values.shape[1:]:
        if not _broadcasts(output, target):
            return True
        if examples < 2:
            return False
        if _depends_on_others(function, values, output, target):
            raise PathfinderError(
                f"{what} broadcasts outputs of shape {_shapes(output)} against targets of shape {_shapes(target)}: its "
                "value for an example changes with the other examples; give both the same shape."
            )
        return True
    try:
        with torch.no_grad():
            more = function(_with_one_more(output, examples), _with_one_more(target, examples))
    except Exception:  # two tensors that fit only by chance; of other outputs nothing is known
        broadcast = isinstance(output, Tensor) and isinstance(target, Tensor)
    else:
        more = more.values if isinstance(more, Weighted) else more
        broadcast = not isinstance(more, Tensor) or more.shape[1:] != values.shape[1:]
    if broadcast:
        raise PathfinderError(
            f"{what} broadcasts outputs of shape {_shapes(output)} against targets of shape {_shapes(target)} to "
            f"values of shape {tuple(values.shape)}, each example against all others; give both the same shape."
        )
    return True


def _broadcasts(output: Any, target: Any) -> bool:
    """Whether outputs and targets are tensors of numbers that together give more values than either has."""
    if not (isinstance(output, Tensor) and isinstance(target, Tensor)) or len(output) != len(target):
        return False
    try:
        together = torch.broadcast_shapes(output.shape, target.shape)
    except RuntimeError:
        return False
    return together.numel() > max(output.numel(), target.numel())


def _depends_on_others(function: Callable[..., Any], values: Tensor, output: Tensor, target: Tensor) -> bool:
    """Whether the values of the first half of a batch are others when they are computed without the second half."""
    half = len(values) // 2
    try:
        with torch.no_grad():
            alone = function(output[:half], target[:half])
    except Exception:  # of a batch of another size nothing is known
        return False
    alone = alone.values if isinstance(alone, Weighted) else alone
    if not isinstance(alone, Tensor) or alone.shape != (half, *values.shape[1:]):
        return False
    return not torch.allclose(alone, values[:half].detach(), rtol=1e-3, atol=1e-6, equal_nan=True)


def _with_one_more(tree: Any, examples: int) -> Any:
    """Outputs or targets with the last example twice, in a container of the same type."""
    if isinstance(tree, Tensor):
        return torch.cat([tree, tree[-1:]]) if tree.ndim and len(tree) == examples else tree
    if isinstance(tree, Mapping):
        parts = {key: _with_one_more(part, examples) for key, part in tree.items()}
        return parts if type(tree) is dict else type(tree)(**parts)
    if isinstance(tree, tuple | list):
        parts = [_with_one_more(part, examples) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(
            tree, **{f.name: _with_one_more(getattr(tree, f.name), examples) for f in fields(tree) if f.init}
        )
    return tree


def _shapes(tree: Any) -> str:
    if isinstance(tree, Tensor):
        return str(tuple(tree.shape))
    if is_dataclass(tree) and not isinstance(tree, type) and not isinstance(tree, Mapping):
        tree = {field.name: getattr(tree, field.name) for field in fields(tree)}
    parts = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, tuple | list) else ()
    return ", ".join(_shapes(part) for part in parts if part is not None) or type(tree).__name__
