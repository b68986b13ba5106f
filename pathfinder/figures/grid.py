"""The values of a table over two axes as a smooth height, which has no hills or valleys of its own."""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from scipy.interpolate import RectBivariateSpline

from pathfinder.figures.levels import Levels
from pathfinder.tables.scattered import on_grid

_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


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
        """The grid of a table with the columns x, y and `column`; an infinite loss is as high as the clip."""
        grid = on_grid(table, column)
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
        hidden = np.ma.getmaskarray(self.heights)
        unknown = hidden[:-1, :-1] | hidden[1:, :-1] | hidden[:-1, 1:] | hidden[1:, 1:]
        heights, mask = spline(y, x), np.zeros((len(y), len(x)), dtype=bool)
        for row_side, column_side in product(_SIDES, repeat=2):  # an edge belongs to the cells on both sides
            cells = np.ix_(_cells_of(y, self.y, row_side), _cells_of(x, self.x, column_side))
            heights = np.clip(heights, np.min(corners, axis=0)[cells], np.max(corners, axis=0)[cells])
            mask |= unknown[cells]
        return Grid(x, y, np.ma.array(heights, mask=mask))


def _split(nodes: np.ndarray, points: int) -> np.ndarray:
    """The nodes, and as many points between every two of them as it takes."""
    pieces = max(1, -(-(points - 1) // (len(nodes) - 1)))
    starts = np.repeat(nodes[:-1], pieces)
    steps = np.repeat(np.diff(nodes), pieces) * np.tile(np.arange(pieces) / pieces, len(nodes) - 1)
    return np.append(starts + steps, nodes[-1])


def _cells_of(points: np.ndarray, nodes: np.ndarray, side: Literal["left", "right"]) -> np.ndarray:
    """Between which two nodes each point lies, by the number of the first; a node belongs to the cell on one side."""
    return np.clip(np.searchsorted(nodes, points, side=side) - 1, 0, len(nodes) - 2)
