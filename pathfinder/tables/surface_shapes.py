"""The shape of a surface in a few numbers: how much of it is low, how rugged it is, how high it gets."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from pathfinder.tables.scattered import on_grid

LOW = 1.0  # nats


def surface_shape(table: pd.DataFrame) -> dict[str, float | int]:
    """The quantities of `surface_shapes.csv` for the train loss over a grid around a minimum.

    Args:
        table: with the columns x, y and train_loss, a row for each point; those that losses chose are interpolated.

    >>> x, y = (axis.ravel() for axis in np.meshgrid([-1.0, -0.5, 0.0, 0.5, 1.0], [-1.0, 0.0, 1.0]))
    >>> loss = np.where((x == 0.5) & (y == 0), 1.5, 2 * (x**2 + y**2) + (x == 1))
    >>> shape = surface_shape(pd.DataFrame({"x": x, "y": y, "train_loss": loss}))
    >>> shape["centre"], shape["largest"], shape["local_minima"]
    (0.0, 5.0, 0)
    """
    grid = on_grid(table, "train_loss")
    losses = grid.to_numpy(dtype=float)
    centre = float(losses[np.abs(grid.index).argmin(), np.abs(grid.columns).argmin()])
    return {
        "points": len(table),
        "centre": centre,
        "median": float(np.median(losses)),
        "largest": float(table["train_loss"].max()),
        "share_low": 100 * float((losses < LOW).mean()),
        "local_minima": int((strict_minima(losses) & (losses > centre)).sum()),
    }


def strict_minima(losses: Float[np.ndarray, "rows columns"]) -> np.ndarray:
    """Where a grid is lower than at all eight neighbours: truth, (rows, columns); its edge never is.

    >>> strict_minima(np.array([[1.0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]])).sum()
    np.int64(1)
    """
    inner, (rows, columns) = losses[1:-1, 1:-1], losses.shape
    lower = np.zeros(losses.shape, dtype=bool)
    if rows < 3 or columns < 3:
        return lower
    around = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    lower[1:-1, 1:-1] = np.all([inner < losses[i : rows - 2 + i, j : columns - 2 + j] for i, j in around], axis=0)
    return lower
