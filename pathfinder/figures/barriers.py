"""Figures of barriers: the line between every two minima of a group, as a matrix."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.contours import COLOURS, Scale, level_bar
from pathfinder.figures.style import by_name, of_pair, set_title


def barrier_figures(table: pd.DataFrame) -> dict[str, Figure]:
    """The train barriers between the minima of each group, a matrix for each method, all with the same colours."""
    return {f"barriers-{group}": _matrices(rows, group) for group, rows in by_name(table, "group")}


def _matrices(table: pd.DataFrame, group: str) -> Figure:
    names = list(dict.fromkeys([*table["a"], *table["b"]]))
    methods = list(by_name(table, "method"))
    scale, side = Scale(), 1.6 + 0.6 * len(names)
    levels = scale.levels(table["train_loss_barrier"])
    figure = Figure(figsize=(side * len(methods) + 1.0, side + 0.6))
    for ax, (method, own) in zip(figure.subplots(1, len(methods), squeeze=False)[0], methods, strict=True):
        values = np.full((len(names), len(names)), np.nan)
        for _, row in own.iterrows():
            i, j = names.index(row["a"]), names.index(row["b"])
            values[i, j] = values[j, i] = max(row["train_loss_barrier"], levels[0])
            for x, y in ((i, j), (j, i)):
                ax.text(x, y, f"{row['train_loss_barrier']:.2g}", ha="center", va="center", fontsize=8, color="#ffffff",
                        bbox={"boxstyle": "round,pad=0.15", "facecolor": "#00000055", "linewidth": 0})  # fmt: skip
        image = ax.imshow(np.ma.masked_invalid(values), norm=scale.norm(levels), cmap=COLOURS)
        ax.grid(False)
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        ax.set_yticks(range(len(names)), names, fontsize=8)
        ax.set_title("as trained" if method == "none" else f"aligned by {method}")
    level_bar(figure, image, "train barrier of the line (nats)", scale, ax=figure.axes, aspect=25)
    set_title(figure, f"Train barrier of the line between every two minima{of_pair(group)}")
    return figure
