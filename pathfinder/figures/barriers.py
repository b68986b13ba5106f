"""Figures of barriers: the line between every two minima of a group, as a matrix."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.contours import COLOURS, level_bar
from pathfinder.figures.levels import Scale
from pathfinder.figures.style import by_name, set_title
from pathfinder.figures.words import batch_norm_notes, of_pair

_DARK = 0.45  # of the range of heights; above it, white letters are easier to read


def barrier_figures(table: pd.DataFrame) -> dict[str, Figure]:
    """The train barriers between the minima of each group, a matrix for each method, all with the same colours."""
    return {f"barriers-{group}": _matrices(rows, group) for group, rows in by_name(table, "group")}


def _matrices(table: pd.DataFrame, group: str) -> Figure:
    names = list(dict.fromkeys([*table["a"], *table["b"]]))
    methods = list(by_name(table, "method"))
    levels, side = Scale().levels(table["train_loss_barrier"]), 1.6 + 0.6 * len(names)
    low, high = levels.limits
    figure = Figure(figsize=(side * len(methods) + 1.0, side + 0.6))
    for ax, (method, own) in zip(figure.subplots(1, len(methods), squeeze=False)[0], methods, strict=True):
        heights = np.full((len(names), len(names)), np.nan)
        for _, row in own.iterrows():
            i, j = names.index(row["a"]), names.index(row["b"])
            heights[i, j] = heights[j, i] = levels.height(row["train_loss_barrier"])
            colour = "white" if heights[i, j] - low > _DARK * (high - low) else "black"
            for x, y in ((i, j), (j, i)):
                text = f"{row['train_loss_barrier']:.2g}"
                ax.text(x, y, text, ha="center", va="center", fontsize=9, color=colour)
        ax.imshow(np.ma.masked_invalid(heights), vmin=low, vmax=high, cmap=COLOURS)
        ax.grid(False)
        short = [name.removeprefix(f"{group}-") for name in names]
        ax.set_xticks(range(len(names)), short, rotation=90, fontsize=9)
        ax.set_yticks(range(len(names)), short, fontsize=9)
        ax.set_title("as trained" if method == "none" else f"aligned by {method}")
    level_bar(figure, levels, "train barrier of the line (nats)", ax=figure.axes, aspect=25)
    set_title(figure, f"Barrier between every two minima{of_pair(group)}", batch_norm_notes(table))
    return figure
