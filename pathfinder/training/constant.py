"""The loss of predicting the same for every example, which training should fall below."""

import math
import warnings

import pandas as pd
import torch
from torch import Tensor

from pathfinder.data.sources import IGNORED, Source
from pathfinder.data.split import Split
from pathfinder.errors import PathfinderWarning
from pathfinder.training.recipe import Recipe

_EPOCHS, _STEPS = 5, 50  # after fewer, the loss may still be on its way down
_FAR = 2.0  # times the constant loss, which is too much even after fewer epochs


def constant_loss(y: Tensor) -> float | None:
    """The smallest cross-entropy of one prediction for all examples: the entropy of the frequencies of the classes.

    Args:
        y: labels, without those of -100; or (examples, classes, ...), the share of each class.

    Returns:
        The entropy in nats; None if no target is left.

    >>> round(constant_loss(torch.tensor([0, 0, 1, 1])), 6)
    0.693147
    """
    if y.is_floating_point():
        counts = y.double().transpose(0, 1).reshape(y.shape[1], -1).sum(1)
    else:
        counts = torch.unique(y[y != IGNORED], return_counts=True)[1].double()
    shares = counts[counts > 0] / counts.sum()
    return -float((shares * shares.log()).sum()) if len(shares) else None


def warn_if_constant_is_better(history: pd.DataFrame, source: Source, recipe: Recipe) -> None:
    """Warn if the cross-entropy of the last epoch is above that of constant prediction, for splits in memory."""
    if not isinstance(source, Split) or not isinstance(source.y, Tensor):
        return
    if history.empty or history["step"].iloc[-1] < _STEPS:
        return
    last, constant = float(history["train_loss"].iloc[-1]), constant_loss(source.y)
    factor = 1.0 if len(history) >= _EPOCHS else _FAR
    if constant is not None and math.isfinite(last) and last > factor * constant:
        warnings.warn(
            f"training ended at a loss of {last:.4g}, above the {constant:.4g} of predicting the frequencies of the "
            f"classes for every example; check labels and model, change the learning rate {recipe.lr:g}, or train for "
            f"more than {recipe.epochs} epochs.",
            PathfinderWarning,
            stacklevel=3,
        )
