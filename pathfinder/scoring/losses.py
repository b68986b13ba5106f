"""Losses and metrics: callables (output, target) -> a value for each example."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pathfinder.data.sources import IGNORED, Source
from pathfinder.data.split import Split
from pathfinder.errors import PathfinderError, PathfinderWarning, describe_error, list_names
from pathfinder.scoring.broadcast import check_broadcast
from pathfinder.scoring.weighted import Weighted
from pathfinder.settings import check_callable, describe


def guard(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The user's loss or metric, whose errors become one line that says where they were raised.

    Raises:
        PathfinderError: if it cannot be called.
    """
    check_callable(function, what)

    checked = False

    def guarded(output: Any, target: Any) -> Any:
        nonlocal checked
        try:
            found = function(output, target)
        except (PathfinderError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise PathfinderError(
                f"{what} failed: {describe_error(error)}; it is called with (output, target)."
            ) from error
        if not checked:  # on the first batch
            checked = check_broadcast(function, found, output, target, what)
            _warn_if_zeros(found, target, what)
        return found

    return guarded


def _warn_if_zeros(found: Any, target: Any, what: str) -> None:
    """Warn where values of targets of -100 are all 0, as torch gives them, and would be averaged with the others."""
    if not isinstance(found, Tensor) or not isinstance(target, Tensor) or found.shape != target.shape:
        return
    ignored = target == IGNORED
    if ignored.any() and not found[ignored].any():
        warnings.warn(
            f"{what} gives 0 for {int(ignored.sum())} targets of {IGNORED}, which its mean then counts; to leave them "
            f"out, return Weighted(values, target != {IGNORED}) of pathfinder.scoring.",
            PathfinderWarning,
            stacklevel=3,
        )


PerExample = Callable[[Any, Any], Tensor | Weighted]
_ROUNDED = 0.02  # by which shares of classes in half precision may miss the sum of 1
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)  # False is class 0


def cross_entropy(
    output: Any, target: Tensor, label_smoothing: float = 0.0, ignore_index: int = IGNORED
) -> Tensor | Weighted:
    """Cross-entropy in nats, (examples, ...), classes on axis 1 of the output as everywhere in torch.

    Args:
        output: the logits, or a tuple or dict that holds them.
        target: labels, or the share of each class.
        label_smoothing: fraction of the target that is spread evenly over all classes.
        ignore_index: the label of examples or tokens that are left out.

    Returns:
        A tensor; `Weighted` if a target is left out.

    Raises:
        PathfinderError: if the targets do not fit the output.

    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([1, 3]))
    tensor([1.3863, 1.3863])
    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([1, -100])).weights
    tensor([ True, False])
    """
    return _simplify(masked_cross_entropy(output, target, label_smoothing, ignore_index))


def classification_error(output: Any, target: Tensor, ignore_index: int = IGNORED) -> Tensor | Weighted:
    """100 where the largest logit is not the target's class, else 0: its mean is a percentage.

    Args:
        output: the logits, or a tuple or dict that holds them.
        target: labels, or the share of each class.
        ignore_index: the label of examples or tokens that are left out.

    Returns:
        A tensor; `Weighted` if a target is left out.

    >>> classification_error(torch.eye(2), torch.tensor([0, 0]))
    tensor([  0., 100.])
    """
    return _simplify(masked_error(output, target, ignore_index))


def masked_cross_entropy(
    output: Any, target: Tensor, label_smoothing: float = 0.0, ignore_index: int = IGNORED
) -> Tensor | Weighted:
    """As `cross_entropy`, but of labels always `Weighted`, without waiting for an accelerator to look at them."""
    logits = as_logits(output)
    logits = logits.float() if isinstance(logits, Tensor) and logits.dtype.itemsize < 4 else logits
    target = _labels(logits, target)
    shares = _are_shares(logits, target)
    try:
        values = F.cross_entropy(
            logits, target, reduction="none", label_smoothing=label_smoothing, ignore_index=ignore_index
        )
    except IndexError as error:
        wrong = target[((target < 0) | (target >= logits.shape[1])) & (target != ignore_index)]
        raise PathfinderError(
            f"labels must be 0 to {logits.shape[1] - 1} for this network, got {int(wrong[0])}; "
            "choose data and a model with the same classes."
        ) from error
    return values if shares else Weighted(values, target != ignore_index)


def masked_error(output: Any, target: Tensor, ignore_index: int = IGNORED) -> Tensor | Weighted:
    """As `classification_error`, but of labels always `Weighted`."""
    logits = as_logits(output)
    if _are_shares(logits, target):
        return 100.0 * (logits.argmax(1) != target.argmax(1))
    return Weighted(100.0 * (logits.argmax(1) != target), target != ignore_index)


def check_targets(loss: PerExample | None, sources: Mapping[str, Source]) -> None:
    """Check that targets can be class labels where no loss is given; those of a stream are checked with each batch.

    Raises:
        PathfinderError: if they are floating numbers, one for each example, or several that are no shares of classes.
    """
    for name, source in sources.items():
        if loss is None and isinstance(source, Split) and isinstance(source.y, Tensor):
            if _is_regression(source.y):
                raise PathfinderError(f"{name}: {_no_labels(source.y)}")
            if source.y.is_floating_point():
                _check_shares(source.y, f"{name}: ")


def may_leave_out(sources: Iterable[Source]) -> bool:
    """Whether a target may be -100: of data in memory it is known, of a stream it is not."""
    return any(
        not (isinstance(source, Split) and isinstance(source.y, Tensor) and not (source.y == IGNORED).any())
        for source in sources
    )


def plain(function: Callable[..., Tensor | Weighted]) -> Callable[..., Tensor]:
    """A masked function for data of which nothing is left out."""

    @wraps(function)
    def unmasked(*arguments: Any, **settings: Any) -> Tensor:
        found = function(*arguments, **settings)
        return found.values if isinstance(found, Weighted) else found

    return unmasked


def _simplify(found: Tensor | Weighted) -> Tensor | Weighted:
    return found.values if isinstance(found, Weighted) and bool(found.weights.all()) else found


def _is_regression(target: Any) -> bool:
    numbers = isinstance(target, Tensor) and (target.is_floating_point() or target.is_complex())
    return numbers and (target.ndim < 2 or target.shape[1] == 1)


def _no_labels(target: Tensor) -> str:
    return (
        f"no class labels, pass a loss: cross-entropy needs whole-number labels, got {target.dtype} of shape "
        f"{tuple(target.shape)}; for a regression pass one such as loss=lambda output, target: (output - "
        "target).square(), labels convert by .long()."
    )


def _labels(logits: Any, target: Any) -> Tensor:
    """The labels as int64, the only integers that torch takes everywhere; or the share of each class, unchanged.

    Raises:
        PathfinderError: if they do not fit these logits.
    """
    if _is_regression(target):
        raise PathfinderError(_no_labels(target))
    if not isinstance(logits, Tensor) or logits.ndim < 2:
        came = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise PathfinderError(f"cross-entropy needs logits (examples, classes, ...), got {came}; pass loss=.")
    if logits.shape[1] < 2:
        raise PathfinderError(
            f"cross-entropy needs logits of 2 classes or more on axis 1, got shape {tuple(logits.shape)}; pass a loss."
        )
    if _are_shares(logits, target):
        if target.device.type == "cpu":  # an accelerator would have to be waited for
            _check_shares(target)
        return target
    wanted = (logits.shape[0], *logits.shape[2:])
    if not isinstance(target, Tensor) or target.dtype not in _WHOLE or target.shape != wanted:
        came = f"{target.dtype} of shape {tuple(target.shape)}" if isinstance(target, Tensor) else type(target).__name__
        column = isinstance(target, Tensor) and target.dtype in _WHOLE and target.shape == (*wanted, 1)
        remedy = f"convert them, or pass a loss{' (for labels, target[..., 0])' if column else ''}"
        raise PathfinderError(f"cross-entropy needs whole-number labels of shape {wanted}, got {came}; {remedy}.")
    return target.long()


def _are_shares(logits: Tensor, target: Any) -> bool:
    same = isinstance(target, Tensor) and target.is_floating_point() and target.shape == logits.shape
    return same and logits.ndim > 1 and logits.shape[1] > 1


def _check_shares(target: Tensor, name: str = "") -> None:
    """Check that floating targets (examples, classes, ...) are the shares of classes, not those of a regression.

    Raises:
        PathfinderError: if some are negative, or those of an example do not sum to 1.
    """
    sums = target.sum(1, dtype=torch.promote_types(target.dtype, torch.float32))
    if bool((target < 0).any()) or not bool(((sums - 1).abs() <= _ROUNDED).all()):
        raise PathfinderError(
            f"{name}no class labels, pass a loss: floating targets of shape {tuple(target.shape)} are shares of "
            "classes where none is negative and those of each example sum to 1, which these do not; for a regression "
            "pass one such as loss=lambda output, target: (output - target).square()."
        )


def as_logits(output: Any) -> Tensor:
    """The logits in a module's output: the tensor itself, the first of a tuple, or a dict's `logits` or only entry."""
    if isinstance(output, Mapping):
        if "logits" not in output and len(output) != 1:
            raise PathfinderError(f"the output has no `logits` but {list_names(map(str, output))}; pass your own loss.")
        return output["logits"] if "logits" in output else next(iter(output.values()))
    return output[0] if isinstance(output, tuple | list) else output


def _left_out_by(loss: PerExample | None) -> int | None:
    """The label that a partial of a cross-entropy leaves out, torch's own among them."""
    if not isinstance(loss, partial):
        return None
    return loss.keywords.get("ignore_index", IGNORED if loss.func is F.cross_entropy else None)


def _leave_out(loss: PerExample, ignored: int) -> PerExample:
    """A loss that returns 0 for what it leaves out, as one that does not count it."""

    def weighted(output: Any, target: Any) -> Tensor | Weighted:
        found = loss(output, target)
        same = isinstance(found, Tensor) and isinstance(target, Tensor) and found.shape == target.shape
        return Weighted(found, target != ignored) if same else found

    return weighted


def functions_by_name(
    loss: PerExample | None, metrics: Mapping[str, PerExample] | None, classes: int | None, masked: bool = True
) -> dict[str, PerExample]:
    """The loss and the metrics by name, each guarded by `guard`.

    Args:
        loss: cross-entropy if not given.
        metrics: the percentage of errors if not given, and the loss is the cross-entropy or there are classes.
        classes: how many the data has; None where it has none.
        masked: whether targets may be -100, see `may_leave_out`.

    Raises:
        PathfinderError: if one of them is no function, or a metric is called `loss`.
    """
    entropy, error = (f if masked else plain(f) for f in (masked_cross_entropy, masked_error))
    ignored = _left_out_by(loss)
    if loss is not None and ignored is not None:
        loss, error = _leave_out(loss, ignored), partial(masked_error, ignore_index=ignored)
    functions = {"loss": entropy if loss is None else guard(loss, "loss")}
    if metrics is None:
        return functions | ({"error": error} if loss is None or classes is not None else {})
    if not isinstance(metrics, Mapping):
        raise PathfinderError(f"metrics must be functions by name, got {describe(metrics)}; pass {{name: function}}.")
    for name, function in metrics.items():
        if not isinstance(name, str) or name == "loss":
            raise PathfinderError(f"a metric must have a name other than `loss`, got {describe(name)}; rename it.")
        if function is None:
            raise PathfinderError(f"metric `{name}` must be a function, got None.")
    return functions | {name: guard(function, f"metric `{name}`") for name, function in metrics.items()}
