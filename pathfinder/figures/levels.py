"""Levels of contours, and the heights and colours of the values between them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from pathfinder.errors import PathfinderError

LevelChoice = Literal["paper", "log"]
_DECADES = 5  # below the highest value; lower values have the lowest colour
_FEWEST = 7  # levels, where a series of round numbers has them
_SERIES = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8))
_PAPER = np.arange(0.1, 10, 0.5)  # Li et al. 2018, plot_2D.py
_ABOVE = {"loss": (-5.0, 5.0), "error": (-1.0, 40.0)}  # Garipov et al. 2018, plane_plot.py: a, and the highest value
_VALLEY = 0.05  # of the points lie below the level at which colours begin, at most
_DEEPEST = 9  # e-folds below the highest value, where colours begin
_STEPS = 7  # the same: levels above the lowest


@dataclass(frozen=True)
class Levels:
    """Levels of contours, and how values become heights; equal steps of height are equal steps of colour.

    Attributes:
        edges: the levels, ascending, above `low` and up to `high`.
        low: the lowest value shown; lower ones are drawn as this one.
        high: the highest value shown.
        log: whether heights are logarithms (to base 10), of the value above `base`.
        base: what is taken from a value before its logarithm.
        floor: the smallest difference from `base` that is told apart.
        clipped: whether there are values above `high`.
    """

    edges: np.ndarray
    low: float
    high: float
    log: bool = True
    base: float = 0.0
    floor: float = 0.0
    clipped: bool = False

    def height(self, values: Any) -> np.ndarray:
        """The height of each value; NaN stays NaN."""
        inside = np.clip(np.asarray(values, dtype=float), self.low, self.high)
        return np.asarray(np.log10(np.maximum(inside - self.base, self.floor)) if self.log else inside)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest height."""
        low, high = self.height([self.low, self.high])
        return float(low), float(high)

    def words(self) -> list[str]:
        """The levels as text, with as many digits as tell neighbours apart."""
        return number_words(self.edges)


@dataclass(frozen=True)
class Scale:
    """How the values of a figure become heights and colours, the same in all its panels.

    Attributes:
        clip: the highest value shown; higher ones are drawn as this one.
        log: whether heights are logarithms.
        lines: levels of contour lines: `paper`, from 0.1 to 10 in steps of 0.5 (Li et al. 2018), or `log`, round
            numbers evenly spaced in the logarithm.
        points: whether the scored points are marked on maps.
    """

    clip: float = float("inf")
    log: bool = True
    lines: LevelChoice = "paper"
    points: bool = False

    def __post_init__(self) -> None:
        if not self.clip > 0:
            raise PathfinderError(f"the clip of a figure must be more than 0, got {self.clip}; raise it.")

    def height(self, values: Any) -> Any:
        """The height of positive values without limits, as other programs show them."""
        return np.log10(values) if self.log else values

    def levels(self, values: pd.Series) -> Levels:
        """Round levels between the smallest value and the largest or the clip."""
        low, high, clipped = _range(values, self.clip, self.log)
        if self.log:
            low = max(low, high * 10.0**-_DECADES)
            edges = _round_numbers(low, high)
        else:
            edges = np.asarray(MaxNLocator(_FEWEST + 5).tick_values(low, high))
        edges = edges[(edges > low) & (edges <= high)]
        return Levels(edges if len(edges) else np.array([(low + high) / 2]), low, high, self.log, 0.0, low, clipped)

    def line_levels(self, values: pd.Series) -> Levels:
        """Levels of contour lines: those of Li et al. (2018) if at least three of them are between the values."""
        levels = self.levels(values)
        edges = _PAPER[(levels.low < _PAPER) & (levels.high > _PAPER)]
        if self.lines != "paper" or len(edges) < 3:
            return levels
        return Levels(edges, levels.low, levels.high, levels.log, levels.base, levels.floor, levels.clipped)


def levels_above(values: pd.Series, metric: str) -> Levels:
    """Levels spaced evenly in the logarithm of what lies above the minimum (Garipov et al. 2018, plane_plot.py).

    level_k = min + exp(a + g k), k = 1 to 7, where g makes the last one the largest value. Where the values differ by
    little, a is less than the reference's, so that at least four e-folds are shown; in a valley where losses differ by
    less still, a is the logarithm of a small share of them, so that the valley is not all of one colour.
    """
    smallest, most = _ABOVE.get(metric, _ABOVE["loss"])
    found = values[np.isfinite(values)]
    least = float(found.min()) if len(found) else 0.0
    low, high, clipped = _range(values, max(most, 2 * least), False)
    start = min(smallest, math.log(high - low) - 4)
    above = found[found > low] - low
    if metric == "loss" and len(above):
        start = min(start, max(math.log(float(above.quantile(_VALLEY))), math.log(high - low) - _DEEPEST))
    step = (math.log(high - low) - start) / _STEPS
    edges = low + np.exp(start + step * np.arange(1, _STEPS))
    return Levels(edges, low, high, True, low, math.exp(start), clipped)


def _range(values: pd.Series, clip: float, positive: bool) -> tuple[float, float, bool]:
    """The smallest and largest value up to the clip, never the same; and whether any is beyond."""
    found = values[np.isfinite(values) & ((values > 0) | (not positive))]
    low, largest = (float(found.min()), float(found.max())) if len(found) else (1e-6, 1e-6)
    high = min(largest, clip)
    low = min(low, high)
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        low, high = low - 0.01 * abs(low), high + max(0.01 * abs(high), 1e-9)
    return low, high, largest > clip or bool(np.isposinf(values).any())


def _round_numbers(low: float, high: float) -> np.ndarray:
    """Round numbers from low to high, evenly spaced in the logarithm, at least seven where a series has them."""
    decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for series in _SERIES:
        numbers = np.array([float(f"{factor * decade:.6g}") for decade in decades for factor in series])
        inside = numbers[(numbers >= low) & (numbers <= high)]
        if len(inside) >= _FEWEST:
            return inside
    return np.asarray(MaxNLocator(_FEWEST + 2).tick_values(low, high))


def number_words(numbers: Iterable[int | float]) -> list[str]:
    """Numbers as text, each with as many digits as it takes to tell it from its neighbours to a tenth of the gap.

    >>> number_words([0.1, 0.2, 0.5, 1]), number_words([0.2901, 0.3062, 0.34])
    (['0.1', '0.2', '0.5', '1'], ['0.29', '0.306', '0.34'])
    >>> number_words([1.01e-5, 1.02e-5, 1.03e-5])
    ['1.01e-05', '1.02e-05', '1.03e-05']
    """
    sorted_ones = np.asarray(list(numbers), dtype=float)
    gaps = np.diff(sorted_ones)
    words = []
    for i, number in enumerate(sorted_ones):
        gap = min([*gaps[max(i - 1, 0) : i + 1], abs(number) or 1.0])
        places = min(max(0, math.ceil(math.log10(5 / gap))), 17) if gap > 0 else 6
        text = f"{number:.{places}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        digits = math.floor(math.log10(abs(number) / gap)) + 2 if gap > 0 and number else 2
        words.append(text if 1e-4 <= abs(number) < 1e6 or number == 0 else f"{number:.{min(max(digits, 2), 17)}g}")
    return words
