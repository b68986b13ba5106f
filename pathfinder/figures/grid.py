"""The values of a table over two axes as a smooth height, which has no hills or valleys of its own."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.interpolate import RectBivariateSpline

from pathfinder.figures.levels import Levels


@dataclass(frozen=True)
class Grid:
    """Heights over a grid.

    Attributes:
        x: (columns,), ascending.
        y: (rows,), ascending.
        heights: (rows, columns); masked where a value is not a number.
    """

    x: np.ndarray
    y: np.ndarray
    heights: np.ma.MaskedArray

    @classmethod
    def of(cls, table: pd.DataFrame, column: str, levels: Levels) -> "Grid":
        """The grid in a table with the columns x, y and `column`; an infinite loss is as high as the clip."""
        grid = table.pivot(index="y", columns="x", values=column)
        heights = np.ma.masked_invalid(levels.height(grid.to_numpy(dtype=float)))
        return cls(grid.columns.to_numpy(dtype=float), grid.index.to_numpy(dtype=float), heights)

    def refine(self, points: int) -> "Grid":
        """The same heights at more points, at least `points` along each axis, old ones among them.

        A bicubic spline through the nodes, held between the heights at the four corners of each cell, so that there is
        no hill or valley that was not measured. A cell with a masked corner is masked.
        """
        if min(len(self.x), len(self.y)) < 2:
            return self
        x, y = _split(self.x, points), _split(self.y, points)
        nodes = self.heights.filled(self.heights.max() if self.heights.count() else 0.0)
        spline = RectBivariateSpline(self.y, self.x, nodes, kx=min(3, len(self.y) - 1), ky=min(3, len(self.x) - 1))
        corners = [nodes[:-1, :-1], nodes[1:, :-1], nodes[:-1, 1:], nodes[1:, 1:]]
        cells = np.ix_(_cell_of(y, self.y), _cell_of(x, self.x))
        heights = np.clip(spline(y, x), np.min(corners, axis=0)[cells], np.max(corners, axis=0)[cells])
        hidden = np.ma.getmaskarray(self.heights)
        unknown = hidden[:-1, :-1] | hidden[1:, :-1] | hidden[:-1, 1:] | hidden[1:, 1:]
        return Grid(x, y, np.ma.array(heights, mask=unknown[cells]))


def _split(nodes: np.ndarray, points: int) -> np.ndarray:
    """The nodes, and as many points between every two of them as it takes."""
    pieces = max(1, -(-(points - 1) // (len(nodes) - 1)))
    starts = np.repeat(nodes[:-1], pieces)
    steps = np.repeat(np.diff(nodes), pieces) * np.tile(np.arange(pieces) / pieces, len(nodes) - 1)
    return np.append(starts + steps, nodes[-1])


def _cell_of(points: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Between which two nodes each point lies, by the number of the first."""
    return np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, len(nodes) - 2)
