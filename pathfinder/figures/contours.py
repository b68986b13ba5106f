"""What figures over two axes share: the levels of their contours, the grid of values, the colour bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator

from pathfinder.errors import PathfinderError

COLOURS = "viridis_r"
_LEVELS = 13
_DECADES = 4  # below the highest level; what lies deeper has the colour of the deepest


@dataclass(frozen=True)
class Scale:
    """How values become heights and colours, the same in all panels of a figure.

    Attributes:
        clip: the highest value shown; higher ones are drawn at it.
        log: whether levels are evenly spaced in the logarithm.
    """

    clip: float = float("inf")
    log: bool = True

    def __post_init__(self) -> None:
        if not self.clip > 0:
            raise PathfinderError(f"the clip of a figure must be more than 0, got {self.clip}.")

    def levels(self, values: pd.Series) -> np.ndarray:
        """The levels of contours that hold all values up to the clip."""
        found = values[values > 0].dropna() if self.log else values.dropna()
        low, high = (float(found.min()), min(float(found.max()), self.clip)) if len(found) else (1e-6, 1e-6)
        if self.log:
            high *= 1.001
            low = min(max(low, high * 10**-_DECADES) * 0.999, high / 1.01)
            return np.geomspace(low, high, _LEVELS)
        return np.linspace(low, max(high, low + 1e-6), _LEVELS)

    def norm(self, levels: np.ndarray) -> Normalize:
        """From the lowest level to the highest."""
        return (LogNorm if self.log else Normalize)(levels[0], levels[-1])

    def height(self, values: Any) -> Any:
        """Where a value stands on an axis that is even in the levels."""
        return np.log10(values) if self.log else values


def gridded(table: pd.DataFrame, column: str, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and the values over them, (y, x), what lies beyond the levels drawn at the outermost."""
    grid = table.pivot(index="y", columns="x", values=column)
    values = np.ma.masked_invalid(grid.to_numpy(dtype=float))
    return grid.columns.to_numpy(), grid.index.to_numpy(), np.ma.clip(values, levels[0], levels[-1])


def labelled(ax: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray, levels: np.ndarray, **drawn: Any) -> None:
    """Contour lines, every second one with its level."""
    if np.ptp(values) > 0:
        lines = ax.contour(x, y, values, levels[1:-1], **drawn)
        outline = [withStroke(linewidth=1.4, foreground="#404040")] if drawn.get("colors") == "white" else []
        for label in ax.clabel(lines, lines.levels[::2], fmt="%.2g", fontsize=7):
            label.set_path_effects(outline)


def level_bar(figure: Figure, drawn: Any, axes: Sequence[Axes] | Axes, label: str, scale: Scale, **kwargs: Any) -> None:
    """A colour bar with plain numbers at round levels."""
    bar = figure.colorbar(drawn, ax=axes, label=label, **kwargs)
    low, high = drawn.norm.vmin, drawn.norm.vmax
    fine = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=fine) if scale.log else MaxNLocator(6))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    if scale.log:
        bar.ax.yaxis.set_minor_locator(LogLocator(subs=()))
