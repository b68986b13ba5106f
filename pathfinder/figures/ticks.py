"""Axes with ticks that one can read: plain numbers, a few of them."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

_SERIES = ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
_MOST = 8  # ticks on an axis
_ERRORS = [0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]  # percent
_WIDE = 4.0  # the largest value is this often the smallest: a logarithm shows both


def set_log_axis(ax: Axes, low: float, high: float) -> None:
    """Make the y axis logarithmic, from low to high."""
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for series in _SERIES:
        numbers = [float(f"{factor * decade:.6g}") for decade in decades for factor in series]
        ticks = [number for number in numbers if low <= number <= high]
        if len(ticks) <= _MOST:
            break
    _fix_ticks(ax, ticks[:: max(1, -(-len(ticks) // _MOST))])


def set_loss_axis(ax: Axes, values: pd.Series) -> None:
    """A logarithmic axis for losses that differ by a factor of four or more, so that no path rules the panel."""
    found = values[np.isfinite(values)]
    if len(found) and found.min() > 0 and found.max() > _WIDE * found.min():
        set_log_axis(ax, found.min() / 1.25, found.max() * 1.25)
    else:
        _set_linear_axis(ax, found)


def set_error_axis(ax: Axes, values: pd.Series) -> None:
    """The same for errors in percent; below 1 % the axis is linear, down to 0."""
    found = values[np.isfinite(values)]
    low, high = (float(found.min()), float(found.max())) if len(found) else (0.0, 1.0)
    if high <= max(_WIDE * low, 2.0) or low < 0:
        _set_linear_axis(ax, found)
    elif low > 1:
        set_log_axis(ax, low / 1.15, high * 1.15)
    else:
        ax.set_yscale("symlog", linthresh=1.0)
        ax.set_ylim(max([tick for tick in _ERRORS if tick < 0.9 * low], default=0.0), min(100.0, high * 1.15))
        _fix_ticks(ax, _ERRORS)


def _set_linear_axis(ax: Axes, values: pd.Series) -> None:
    negative, nothing = bool((values < 0).any()), not (values != 0).any()
    ax.set_ylim(bottom=None if negative else 0, top=1 if nothing else None)


def _fix_ticks(ax: Axes, ticks: list[float]) -> None:
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
