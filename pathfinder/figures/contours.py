"""Parts of figures over two axes: the levels of contours, the grid of values, the colour bar."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import LogLocator, MaxNLocator

from pathfinder.errors import PathfinderError

COLOURS = "viridis_r"
_LEVELS = 13
_DECADES = 4  # below the highest level; lower values have the lowest level's colour


@dataclass(frozen=True)
class Scale:
    """How values become heights and colours, the same in all panels of a figure.

    Attributes:
        clip: the highest value shown; higher ones are drawn as this one.
        log: whether levels are evenly spaced in the logarithm.
    """

    clip: float = float("inf")
    log: bool = True

    def __post_init__(self) -> None:
        if not self.clip > 0:
            raise PathfinderError(f"the clip of a figure must be more than 0, got {self.clip}; raise it.")

    def levels(self, values: pd.Series) -> np.ndarray:
        """Levels of contours, from the smallest value to the largest or the clip."""
        found = values[values > 0].dropna() if self.log else values.dropna()
        low, high = (float(found.min()), min(float(found.max()), self.clip)) if len(found) else (1e-6, 1e-6)
        if self.log:
            high *= 1.001
            low = min(max(low, high * 10**-_DECADES) * 0.999, high / 1.01)
            return np.geomspace(low, high, _LEVELS)
        return np.linspace(low, max(high, low + 1e-6), _LEVELS)

    def norm(self, levels: np.ndarray) -> Normalize:
        """How colours are spread from the lowest level to the highest."""
        return (LogNorm if self.log else Normalize)(levels[0], levels[-1])

    def height(self, values: Any) -> Any:
        """The height of a value on an axis with evenly spaced levels."""
        return np.log10(values) if self.log else values


@dataclass(frozen=True)
class Grid:
    """Values over a grid.

    Attributes:
        x: (columns,).
        y: (rows,).
        values: (rows, columns), those that are not finite masked.
        levels: of the contours; values beyond them were moved to the nearest.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ma.MaskedArray
    levels: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, column: str, levels: np.ndarray) -> "Grid":
        """The grid in a table with the columns x, y and `column`."""
        grid = table.pivot(index="y", columns="x", values=column)
        values = np.ma.clip(np.ma.masked_invalid(grid.to_numpy(dtype=float)), levels[0], levels[-1])
        return cls(grid.columns.to_numpy(), grid.index.to_numpy(), values, levels)

    def draw_lines(self, ax: Axes, **style: Any) -> None:
        """Draw contour lines and write the level on every second one."""
        if np.ptp(self.values) > 0:
            lines = ax.contour(self.x, self.y, self.values, self.levels[1:-1], **style)
            outline: list[AbstractPathEffect] = []
            if style.get("colors") == "white":
                outline.append(withStroke(linewidth=1.4, foreground="#404040"))
            for label in ax.clabel(lines, np.asarray(lines.levels)[::2], fmt="%.2g", fontsize=7):
                label.set_path_effects(outline)

    def fill(self, ax: Axes, scale: Scale) -> ContourSet:
        """Fill the space between the levels."""
        norm = scale.norm(self.levels)
        return ax.contourf(self.x, self.y, self.values, self.levels, norm=norm, cmap=COLOURS)


def level_bar(figure: Figure | SubFigure, colours: ScalarMappable, label: str, scale: Scale, **place: Any) -> None:
    """Add a colour bar with plain numbers at round levels; `place` is that of `Figure.colorbar`."""
    bar = figure.colorbar(colours, label=label, **place)
    low, high = np.asarray(colours.get_clim(), dtype=float)
    fine = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=fine) if scale.log else MaxNLocator(6))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    if scale.log:
        bar.ax.yaxis.set_minor_locator(LogLocator(subs=()))
