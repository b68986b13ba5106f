"""Draw the figure at the top of the README from the tables of a committed run: `python .docs/hero.py`."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, withStroke

from pathfinder.tables.csv_files import read_table

REFERENCE = Path(__file__).parents[1] / "results" / "reference"
RUN = REFERENCE / "connect-resnet20-small"
COLOURS = {"line": "#D55E00", "bezier": "#009E73"}
NAMES = {"line": "straight line", "bezier": "Bezier curve"}
MODES = {"light": {"page": "#ffffff", "ink": "#1f2328"}, "dark": {"page": "#0d1117", "ink": "#e6edf3"}}
SIZE = (11.1, 4.1)  # inches: at GitHub's 830 pixels a letter of 13 points is as tall as the text around it


def draw(ink: str, page: str) -> Figure:
    """The plane of the curve with both paths over it, and the train loss along both."""
    style = {"font.size": 13, "text.color": ink, "axes.labelcolor": ink, "axes.edgecolor": ink, "xtick.color": ink}
    style |= {"ytick.color": ink, "axes.facecolor": page, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=SIZE, facecolor=page, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        _draw_plane(figure, left)
        _draw_loss(right, ink)
    return figure


def _draw_plane(figure: Figure, ax: Axes) -> None:
    grid = read_table(RUN / "planes.csv").pivot(index="y", columns="x", values="train_loss")
    levels = np.geomspace(grid.min().min() * 0.99, grid.max().max() * 1.01, 13)
    filled = ax.contourf(grid.columns, grid.index, grid, levels, norm="log", cmap="Blues")
    bar = figure.colorbar(filled, ax=ax, ticks=[0.2, 0.5, 1, 2], format="%g", pad=0.02)
    bar.ax.minorticks_off()
    paths = read_table(RUN / "plane_paths.csv")
    for name, colour in COLOURS.items():
        path = paths[paths["path"] == name]
        outline = [withStroke(linewidth=6, foreground="white"), Normal()]
        ax.plot(path["x"], path["y"], color=colour, linewidth=3, path_effects=outline, solid_capstyle="round")
    markers = read_table(RUN / "plane_markers.csv").set_index("name").loc[["a", "b"]]
    ax.plot(markers["x"], markers["y"], "o", color="white", markeredgecolor="black", markersize=10)
    for name, point in markers.iterrows():
        ax.annotate(
            f"network {name.upper()}", (point["x"], point["y"]), (0, -12), textcoords="offset points",
            ha="center", va="top", color="black",
        )  # fmt: skip
    ax.set_aspect("equal")
    ax.set(xlabel="distance in weight space", ylabel="distance", title="Train loss around both paths (nats)")


def _draw_loss(ax: Axes, ink: str) -> None:
    paths, summary = read_table(RUN / "paths.csv"), read_table(RUN / "summary.csv")
    for name, colour in COLOURS.items():
        path = paths[paths["path"] == name]
        ax.plot(path["t"], path["train_loss"], color=colour, linewidth=3, label=NAMES[name])
    train = summary[(summary["split"] == "train") & (summary["metric"] == "loss")].set_index("path")
    line, curve = train.loc["line"], train.loc["bezier"]
    foot = (1 - line["argmax"]) * line["start"] + line["argmax"] * line["end"]
    ax.plot([0, 1], [line["start"], line["end"]], ":", color=ink, linewidth=1.2)
    arrow = {"arrowstyle": "<->", "color": ink, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.4}
    ax.annotate("", (line["argmax"], line["max"]), (line["argmax"], foot), arrowprops=arrow)
    ax.text(0.63, 0.8 * line["max"], f"barrier\n{line['barrier']:.1f} nats", va="center", linespacing=1.3)
    ax.text(curve["argmax"], 0.06, f"{curve['barrier']:.2f} nats", ha="center", color=COLOURS["bezier"])
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.02, 1.04), handlelength=1.2)
    ax.set_ylim(0, 1.2 * line["max"])
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["A", "0.25", "0.5", "0.75", "B"])
    ax.set(xlabel="t", title="Train loss along both (nats)")


if __name__ == "__main__":
    for mode, colours in MODES.items():
        draw(**colours).savefig(REFERENCE / f"hero-{mode}.png", dpi=150, metadata={"Software": None})
