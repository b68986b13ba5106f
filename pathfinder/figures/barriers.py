"""Figures of barriers: the line between every two minima of a group, as a matrix."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.contours import COLOURS, Scale, level_bar


def barrier_figures(table: pd.DataFrame) -> dict[str, Figure]:
    """For each group the train barriers of its minima, a matrix for each method, on one scale."""
    return {f"barriers-{group}": _matrices(rows, str(group)) for group, rows in table.groupby("group", sort=False)}


def _matrices(rows: pd.DataFrame, title: str) -> Figure:
    names = list(dict.fromkeys([*rows["a"], *rows["b"]]))
    methods = list(rows.groupby("method", sort=False))
    scale, side = Scale(), 1.6 + 0.6 * len(names)
    levels = scale.levels(rows["train_loss_barrier"])
    figure = Figure(figsize=(side * len(methods) + 1.0, side + 0.6))
    for ax, (method, own) in zip(figure.subplots(1, len(methods), squeeze=False)[0], methods, strict=True):
        values = np.full((len(names), len(names)), np.nan)
        for _, row in own.iterrows():
            i, j = names.index(row["a"]), names.index(row["b"])
            values[i, j] = values[j, i] = max(row["train_loss_barrier"], levels[0])
            for x, y in ((i, j), (j, i)):
                ax.text(x, y, f"{row['train_loss_barrier']:.2g}", ha="center", va="center", fontsize=8, color="#ffffff",
                        bbox={"boxstyle": "round,pad=0.15", "facecolor": "#00000055", "linewidth": 0})  # fmt: skip
        drawn = ax.imshow(np.ma.masked_invalid(values), norm=scale.norm(levels), cmap=COLOURS)
        ax.grid(False)
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        ax.set_yticks(range(len(names)), names, fontsize=8)
        ax.set_title("as trained" if method == "none" else f"aligned by {method}")
    level_bar(figure, drawn, figure.axes, "train barrier of the line (nats)", scale, aspect=25)
    figure.suptitle(title, fontsize=11)
    return figure
