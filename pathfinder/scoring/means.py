"""Values of examples, their means and standard errors."""

import warnings
from collections.abc import Mapping, Sequence, Sized
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pathfinder.errors import PathfinderError, PathfinderWarning
from pathfinder.scoring.weighted import Reduced

STANDARD_ERRORS = 1.96  # on both sides of a mean: its 95 % interval

Key = tuple[str, str]  # (metric, split)


class Values(dict[Key, np.ndarray]):
    """The value of each example, (examples,) by metric and split.

    Attributes:
        weights: those of the examples, (examples,), where they differ.
    """

    weights: dict[Key, np.ndarray]

    def __init__(self, *args: dict[Key, np.ndarray]) -> None:
        super().__init__(*args)
        self.weights = {}

    def tensors(self) -> dict[tuple[str, ...], Tensor]:
        """The values, and the weights under (metric, split, "weights"), for a stage to save."""
        weights = {(*key, "weights"): weights for key, weights in self.weights.items()}
        return {key: torch.from_numpy(array) for key, array in (*self.items(), *weights.items())}


class Estimate(NamedTuple):
    """A mean over examples.

    Attributes:
        mean: sum(w v) / sum(w).
        error: its standard error.
        examples: how many of the examples it is the mean of.
    """

    mean: float
    error: float
    examples: int


def join(batches: dict[Key, list[Reduced]]) -> Values:
    """Put the values of all batches together.

    Raises:
        PathfinderError: if weights are wrong, or all of them are 0.
    """
    values = Values()
    for key, parts in batches.items():
        means = torch.cat([part.values for part in parts]).cpu().numpy()
        weights = _weights(key, parts)
        if weights is not None:
            size = np.concatenate([np.full(len(part.values), part.size) for part in parts])
            means = (means * size / np.where(weights > 0, weights, 1)).astype(means.dtype)
            values.weights[key] = weights
        values[key] = means
    return values


def _weights(key: Key, parts: Sequence[Reduced]) -> np.ndarray | None:
    """The weights of a metric's examples; None if it has none, or no example is left out, even in part."""
    found = [
        torch.full_like(part.values, part.size) if part.weights is None else part.weights.detach() for part in parts
    ]
    if all(part.weights is None for part in parts):
        return None
    weights = torch.cat(found).cpu().numpy().astype(np.float64)
    whole = all(part.mask or part.weights is None for part in parts)
    if whole and (weights == np.concatenate([np.full(len(part.values), part.size) for part in parts])).all():
        return None
    metric, split = key
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise PathfinderError(f"weights of `{metric}` must be finite and 0 or more; in split {split} some are not.")
    if not weights.any():
        raise PathfinderError(
            f"all targets of split {split} are left out of `{metric}`, or have weight 0; give it some that count."
        )
    return weights


def estimate(values: np.ndarray, weights: np.ndarray | None) -> Estimate:
    """The mean over the examples and its standard error.

    Of weighted examples the mean is a ratio of sums; its standard error is that of the linearised residuals
    w (v - mean) (Cochran 1977, equation 2.46).

    Args:
        values: (examples,).
        weights: (examples,), or None.

    >>> estimate(np.array([1.0, 3.0, 9.0]), np.array([1.0, 1.0, 0.0]))
    Estimate(mean=2.0, error=1.0, examples=2)
    """
    if weights is None:
        spread = float(values.std(ddof=1, dtype=np.float64)) if len(values) > 1 else 0.0
        return Estimate(float(values.mean(dtype=np.float64)), spread / len(values) ** 0.5, len(values))
    counted = weights > 0
    values, weights = values[counted].astype(np.float64), weights[counted]
    examples, total = len(values), weights.sum()
    mean = float((weights * values).sum() / total)
    squares = float(np.square(weights * (values - mean)).sum())
    error = (squares * examples / (examples - 1)) ** 0.5 / float(total) if examples > 1 else 0.0
    return Estimate(mean, error, examples)


def fill_counts(table: pd.DataFrame, splits: Mapping[str, Sized]) -> pd.DataFrame:
    """Fill in the counts of `row_of` at the points where no example was left out."""
    for column in [column for column in table if str(column).endswith("_examples")]:
        split = max((split for split in splits if str(column).startswith(f"{split}_")), key=len)
        table[column] = table[column].fillna(len(splits[split])).astype(int)
    return table


def row_of(values: Values, warned: set[Key] | None = None) -> dict[str, float]:
    """The mean of each metric on each split, then their standard errors, by the names of their columns.

    Examples of which a metric is NaN are left out of its mean, with a warning, and the column `SPLIT_METRIC_examples`
    counts the others. A loss that is NaN stays NaN.

    Args:
        values: of each example.
        warned: the metrics and splits of which the user was warned before; these are added.
    """
    warned = set() if warned is None else warned
    found = {}
    for key, v in values.items():
        weights = values.weights.get(key)
        missing = np.isnan(v) if key[0] != "loss" else np.zeros(len(v), bool)
        if missing.any() and not missing.all():
            weights = np.where(missing, 0.0, 1.0 if weights is None else weights)
            v = np.where(missing, 0.0, v)
        found[key] = (estimate(v, weights), int(missing.sum()))
    row = {f"{split}_{metric}": one.mean for (metric, split), (one, _) in found.items()}
    row |= {f"{split}_{metric}_se": one.error for (metric, split), (one, _) in found.items()}
    for (metric, split), (one, missing) in found.items():
        if missing:
            examples = len(values[metric, split])
            row[f"{split}_{metric}_examples"] = 0 if missing == examples else one.examples
            if (metric, split) in warned:
                continue
            warned.add((metric, split))
            rest = "it has no mean" if missing == examples else "its mean is over the others"
            warnings.warn(
                f"metric `{metric}` is NaN for {missing} of {examples} examples of split {split}; {rest}, and the "
                f"column {split}_{metric}_examples counts those with a value.",
                PathfinderWarning,
                stacklevel=2,
            )
    return row
