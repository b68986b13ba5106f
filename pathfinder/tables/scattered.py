"""Values over two axes as a grid: a table's own, or one between the points that the losses chose."""

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from pathfinder.scoring.adaptive_plane import FLOOR, interpolate

POINTS = 51  # along each axis of a grid between scattered points
_FEWEST = 12  # points through which a surface is drawn


def is_grid(table: pd.DataFrame) -> bool:
    """Whether the points (x, y) of a table are a whole grid."""
    return len(table) == table["x"].nunique() * table["y"].nunique()


def on_grid(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column by y (rows) and x (columns).

    Between scattered points it is interpolated: losses and ratios of eigenvalues by their logarithm, and all within the
    range of what is known. Where the nearest point has no finite value, the grid has none either.

    Args:
        table: with the columns x, y and `column`.
        column: of a loss, if its name ends in `loss`, `ratio`, or anything else.

    >>> x, y = (axis.ravel() for axis in np.meshgrid([0.0, 0.4, 1.0], [0.0, 0.7, 1.5, 2.0]))
    >>> table = pd.DataFrame({"x": x, "y": y, "train_loss": np.exp(x + y) - 0.01})
    >>> on_grid(table, "train_loss").shape
    (4, 3)
    >>> more = pd.DataFrame({"x": [0.5], "y": [1.0], "train_loss": np.exp([1.5]) - 0.01})
    >>> bool(np.isclose(on_grid(pd.concat([table, more]), "train_loss").loc[0.08, 0.5], np.exp(0.58) - 0.01))
    True
    """
    if is_grid(table):
        return table.pivot(index="y", columns="x", values=column)
    at, values = table[["x", "y"]].to_numpy(dtype=float), table[column].to_numpy(dtype=float)
    known, size = np.isfinite(values), np.ptp(at, axis=0)
    x, y = (np.linspace(low, high, POINTS) for low, high in zip(at.min(0), at.max(0), strict=True))
    wanted = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    heights = values[KDTree(at / size).query(wanted / size)[1]]
    by_logarithm = column.endswith("loss") or column == "ratio"
    to, back = (np.log, np.exp) if by_logarithm else (np.asarray, np.asarray)
    floor = FLOOR if by_logarithm else 0.0
    if known.sum() >= _FEWEST:
        between = back(interpolate(at[known], to(values[known] + floor), wanted)) - floor
        heights = np.where(np.isfinite(heights), between.clip(values[known].min(), values[known].max()), heights)
    rows, columns = pd.Index(y.round(12), name="y"), pd.Index(x.round(12), name="x")
    return pd.DataFrame(heights.reshape(len(y), len(x)), index=rows, columns=columns)
