"""Draw the figure at the top of the README from the tables of committed runs: `python .docs/hero.py`."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.grid import Grid
from pathfinder.figures.levels import Scale
from pathfinder.figures.relief import draw_relief
from pathfinder.figures.style import DARK, STYLE
from pathfinder.tables.csv_files import read_table

REFERENCE = Path(__file__).parents[1] / "results" / "reference"
PANELS = {  # title: the run, the minimum and the surface
    "ResNet-56 with shortcuts\nBatchNorm as stored": ("li2018-figure1", "resnet56", "stored"),
    "without shortcuts\nBatchNorm as stored": ("li2018-figure1", "resnet56-noshort", "stored"),
    "without shortcuts\nBatchNorm re-estimated": ("li2018-statistics", "resnet56-noshort", "reestimated-0"),
}
MODES = {"light": {}, "dark": DARK}
SIZE = (11.1, 4.3)  # inches: at GitHub's 830 pixels a letter of 13 points is as tall as the text around it


def surface(run: str, name: str, title: str) -> pd.DataFrame:
    """The points of a surface of a committed run."""
    rows = read_table(REFERENCE / run / "surfaces.csv")
    return rows[(rows["name"] == name) & (rows["surface"] == title)]


def draw() -> Figure:
    """The train loss around both networks, and around the second with other statistics, on one scale."""
    found = {title: surface(*where) for title, where in PANELS.items()}
    levels = Scale().levels(pd.concat(found.values())["train_loss"])
    figure = Figure(figsize=SIZE)
    axes = figure.subplots(1, len(found), subplot_kw={"projection": "3d"})
    for ax, (title, rows) in zip(axes, found.items(), strict=True):
        draw_relief(ax, Grid.of(rows, "train_loss", levels), levels, "train loss (nats)")
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
        if ax is not axes[-1]:
            ax.set(zlabel="", zticklabels=[])
        highest = f"up to {rows['train_loss'].max():.0f} nats"
        ax.set_title(f"{title}, {highest}", fontsize=11.8, pad=2, linespacing=1.4)
    figure.subplots_adjust(left=0.0, right=0.93, bottom=0.0, top=0.9, wspace=0.02)
    return figure


if __name__ == "__main__":
    for mode, style in MODES.items():
        with mpl.rc_context({**STYLE, "figure.constrained_layout.use": False, "font.size": 12, **style}):
            draw().savefig(REFERENCE / f"hero-{mode}.png", dpi=150, metadata={"Software": None})
