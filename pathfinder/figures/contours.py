"""Parts of figures over two axes: contour lines, filled contours, and the colour bar."""

from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, FuncNorm, ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import withStroke

from pathfinder.figures.grid import Grid
from pathfinder.figures.levels import Levels

COLOURS = "viridis_r"
UNKNOWN = "#d9d9d9"  # where a value is not a number
POINTS = 151  # along each axis of a smooth map
_BANDS = 96
_LABELLED = 8  # at most this many levels are written
_MOST_LABELS = 14  # in a panel
_APART = 0.075  # of a panel, between labels
_EDGE = 0.05  # of a panel, without labels
_CLEAR = 0.013  # of a panel, between the lines next to a label
_PALE = 0.14  # of the colours; lines in paler ones cannot be seen on white


def mark_unknown(ax: Axes, grid: Grid) -> None:
    """Make grey what is not a number."""
    if np.ma.getmaskarray(grid.heights).any():
        ax.set_facecolor(UNKNOWN)
        known = np.ma.array(np.zeros(grid.heights.shape), mask=np.ma.getmaskarray(grid.heights))
        ax.contourf(grid.x, grid.y, known, [-1, 1], colors=[mpl.rcParams["axes.facecolor"]])


def mark_points(ax: Axes, rows: pd.DataFrame, wanted: bool) -> None:
    """Mark where a map was scored, if that is wanted."""
    if wanted:
        ax.plot(rows["x"], rows["y"], ".", color=mpl.rcParams["text.color"], markersize=1.5, alpha=0.6)


def line_colours() -> Colormap:
    """The colours of maps without those that cannot be seen on the page: the palest on white, the darkest on dark."""
    dark = sum(to_rgb(mpl.rcParams["axes.facecolor"])) < 1.5
    return ListedColormap(mpl.colormaps[COLOURS](np.linspace(*((0, 1 - 2 * _PALE) if dark else (_PALE, 1)), 256)))


def by_rank(levels: Levels) -> Normalize:
    """Equal steps of colour from one level to the next, however far apart they are."""
    heights = levels.height(levels.edges)
    if len(heights) < 2:
        return Normalize(*levels.limits)
    ranks = np.linspace(0, 1, len(heights))
    there, back = partial(np.interp, xp=heights, fp=ranks), partial(np.interp, xp=ranks, fp=heights)
    return FuncNorm((there, back), heights[0], heights[-1])


def draw_lines(ax: Axes, grid: Grid, levels: Levels, halo: str | None = None, **style: Any) -> None:
    """Draw contour lines and write some of their levels, at most eight."""
    inside = (levels.height(levels.edges) > grid.heights.min()) & (levels.height(levels.edges) < grid.heights.max())
    words = dict(zip(levels.height(levels.edges), levels.words(), strict=True))
    heights = [height for height, shown in zip(words, inside, strict=True) if shown]
    if not heights:
        return
    lines = ax.contour(grid.x, grid.y, grid.heights, heights, **style)
    chosen = list(words)[:: -(-len(words) // _LABELLED)]  # the same in all panels
    written = [height for height in chosen if height in heights]
    spacing, heights_of = _spacing(grid, levels), {text: height for height, text in words.items()}
    kept = [np.array([-grid.x[0], -grid.y[0]]) / (np.ptp(grid.x), np.ptp(grid.y))]  # as shares; first, the minimum
    for label in ax.clabel(lines, written, inline=False, fmt=words, fontsize=8) if written else ():
        x, y = label.get_position()
        place = np.array([(x - grid.x[0]) / np.ptp(grid.x), (y - grid.y[0]) / np.ptp(grid.y)])
        near = min(float(np.abs(place - other).max()) for other in kept)
        cut = not (place.min() > _EDGE and place.max() < 1 - _EDGE)
        if cut or near < _APART or len(kept) > _MOST_LABELS or spacing(place, heights_of[label.get_text()]) < _CLEAR:
            label.remove()  # it would be cut by the frame, touch another, be one of too many, or hide other lines
            continue
        kept.append(place)
        label.set_path_effects([withStroke(linewidth=2.5, foreground=halo or mpl.rcParams["axes.facecolor"])])


def _spacing(grid: Grid, levels: Levels) -> Callable[[np.ndarray, float], float]:
    """How far it is from a place on a line to the next line, as a share of the panel; the place is in such shares."""
    edges, (rows, columns) = levels.height(levels.edges), grid.heights.shape
    along_y, along_x = np.gradient(grid.heights.filled(grid.heights.min()))
    steepness = np.hypot(along_y * (rows - 1), along_x * (columns - 1))

    def spacing(place: np.ndarray, height: float) -> float:
        j, i = (round(float(share) * (count - 1)) for share, count in zip(place, (columns, rows), strict=True))
        gaps = np.abs(edges - height)
        return float(gaps[gaps > 0].min(initial=np.inf) / max(steepness[i, j], 1e-9))

    return spacing


def fill(ax: Axes, grid: Grid, levels: Levels) -> None:
    """Colour the map by height."""
    low, high = levels.limits
    bands = np.linspace(low, high, _BANDS + 1)
    norm = Normalize(low, high)
    filled = ax.contourf(grid.x, grid.y, grid.heights, bands, norm=norm, cmap=COLOURS, extend="both")
    filled.set_rasterized(True)  # or hairlines between the bands show in a PDF
    ax.set_facecolor(UNKNOWN)


def level_bar(figure: Figure | SubFigure, levels: Levels, label: str, **place: Any) -> None:
    """Add a colour bar with the levels as its ticks; `place` is that of `Figure.colorbar`."""
    colours = ScalarMappable(Normalize(*levels.limits), COLOURS)
    bar = figure.colorbar(colours, label=label, extend="max" if levels.clipped else "neither", **place)
    bar.ax.yaxis.minorticks_off()
    bar.set_ticks(list(levels.height(levels.edges)), labels=levels.words())
    bar.ax.tick_params(labelsize=9.5)
