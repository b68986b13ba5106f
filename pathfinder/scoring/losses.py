"""Losses and metrics: callables (output, target) -> a value for each example."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pathfinder.errors import PathfinderError, describe_error, list_names
from pathfinder.settings import check_callable, describe


def guard(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The user's loss or metric, whose errors become one line that says where they were raised.

    Raises:
        PathfinderError: if it cannot be called.
    """
    check_callable(function, what)

    def guarded(output: Any, target: Any) -> Any:
        try:
            return function(output, target)
        except (PathfinderError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise PathfinderError(
                f"{what} failed: {describe_error(error)}; it is called with (output, target)."
            ) from error

    return guarded


PerExample = Callable[[Any, Any], Tensor]
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)  # False is class 0


def cross_entropy(output: Any, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy in nats, (examples, ...), classes on axis 1 of the output as everywhere in torch."""
    logits = as_logits(output)
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    target = _labels(logits, target)
    try:
        return F.cross_entropy(logits, target, reduction="none", label_smoothing=label_smoothing)
    except IndexError as error:
        raise PathfinderError(
            f"labels must be 0 to {logits.shape[1] - 1} for this network, got {int(target.max())}; "
            "choose data and a model with the same classes."
        ) from error


def classification_error(output: Any, target: Tensor) -> Tensor:
    """100 where the largest logit is not the target's class, else 0: its mean is a percentage."""
    logits = as_logits(output)
    return 100.0 * (logits.argmax(1) != (target.argmax(1) if _are_shares(logits, target) else target))


def _labels(logits: Tensor, target: Any) -> Tensor:
    """The labels as int64, the only integers that torch takes everywhere; or the share of each class, unchanged.

    Raises:
        PathfinderError: if they do not fit these logits.
    """
    if not isinstance(logits, Tensor) or logits.ndim < 2:
        came = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise PathfinderError(f"cross-entropy needs logits (examples, classes, ...), got {came}; pass loss=.")
    if _are_shares(logits, target):
        return target
    wanted = (logits.shape[0], *logits.shape[2:])
    if not isinstance(target, Tensor) or target.dtype not in _WHOLE or target.shape != wanted:
        came = f"{target.dtype} of shape {tuple(target.shape)}" if isinstance(target, Tensor) else type(target).__name__
        raise PathfinderError(
            f"cross-entropy needs whole-number labels of shape {wanted}, got {came}; convert them, or pass loss=."
        )
    return target.long()


def _are_shares(logits: Tensor, target: Any) -> bool:
    return isinstance(target, Tensor) and target.is_floating_point() and target.shape == logits.shape


def as_logits(output: Any) -> Tensor:
    """The logits in a module's output: the tensor itself, the first of a tuple, or a dict's `logits` or only entry."""
    if isinstance(output, Mapping):
        if "logits" not in output and len(output) != 1:
            raise PathfinderError(f"the output has no `logits` but {list_names(map(str, output))}; pass your own loss.")
        return output["logits"] if "logits" in output else next(iter(output.values()))
    return output[0] if isinstance(output, tuple | list) else output


def functions_by_name(
    loss: PerExample | None, metrics: Mapping[str, PerExample] | None, classes: int | None
) -> dict[str, PerExample]:
    """The loss and the metrics by name, each guarded by `guard`.

    Args:
        loss: cross-entropy if not given.
        metrics: the percentage of errors if not given, and the loss is the cross-entropy or there are classes.
        classes: how many the data has; None where it has none.

    Raises:
        PathfinderError: if one of them is no function, or a metric is called `loss`.
    """
    functions = {"loss": cross_entropy if loss is None else guard(loss, "loss")}
    if metrics is None:
        return functions | ({"error": classification_error} if loss is None or classes is not None else {})
    if not isinstance(metrics, Mapping):
        raise PathfinderError(f"metrics must be functions by name, got {describe(metrics)}; pass {{name: function}}.")
    for name, function in metrics.items():
        if not isinstance(name, str) or name == "loss":
            raise PathfinderError(f"a metric must have a name other than `loss`, got {describe(name)}; rename it.")
        if function is None:
            raise PathfinderError(f"metric `{name}` must be a function, got None.")
    return functions | {name: guard(function, f"metric `{name}`") for name, function in metrics.items()}


def per_example(values: Tensor, examples: int) -> Tensor:
    """(examples,): the mean over all axes but the first, such as the tokens of a sequence.

    Raises:
        PathfinderError: if there is not at least one value for each example.
    """
    if not isinstance(values, Tensor):
        raise PathfinderError(
            f"a loss or metric must return a tensor, a value per example, got {type(values).__name__}; "
            'use reduction="none".'
        )
    if values.ndim == 0 or len(values) != examples:
        raise PathfinderError(
            f"a loss or metric must return a value per example, shape ({examples}, ...), got {tuple(values.shape)}; "
            'use reduction="none".'
        )
    return values.reshape(examples, -1).to(torch.promote_types(values.dtype, torch.float32)).mean(1)
