"""Figures of curvature: the largest and smallest eigenvalue along a path, and maps of their ratio."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.contours import UNKNOWN, mark_points
from pathfinder.figures.panels import make_panels
from pathfinder.figures.style import GUIDE, by_name, colours, legend_below, set_title
from pathfinder.figures.titles import panel_titles
from pathfinder.figures.words import batch_norm_notes, of_pair, path_label, surroundings
from pathfinder.scoring.means import STANDARD_ERRORS
from pathfinder.tables.scattered import on_grid

_MOST = 0.5  # the ratio at which the colours of Li et al. (2018) end
_WRITTEN = 9  # up to this many points along an axis, values are written
_DARK = 0.3  # below this ratio, white letters are easier to read
_LABELS = {"lambda_max": "largest eigenvalue", "lambda_min": "smallest eigenvalue", "trace": "trace"}


def curvature_figures(table: pd.DataFrame, minima: pd.DataFrame, points: bool = False) -> dict[str, Figure]:
    """A figure for the paths of each pair, and for each profile and surface; a single point has none.

    Args:
        table: of curvature.
        minima: the table of minima, indexed by name.
        points: whether the measured points are marked on maps.
    """
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, "t", "x", "y"])))  # those it lacks stay empty
    figures = {}
    for pair, rows in by_name(table[table["t"].notna()], "pair"):
        figures[f"curvature-{pair}"] = _lines(rows, f"along paths between the minima{of_pair(pair)}", "t")
    for along, rows in by_name(table[table["x"].notna() & table["y"].isna()], "along"):
        if rows["x"].nunique() > 1:
            titles = panel_titles([(str(name), along) for name in rows["name"].unique()], minima)
            named = rows["name"].map(dict(zip(rows["name"].unique(), titles, strict=True)))
            figures[f"curvature-{along}"] = _lines(rows.assign(along=named), surroundings(titles, along), "x")
    for along, rows in by_name(table[table["y"].notna()], "along"):
        figures[f"ratio-{along}"] = _ratios(rows, minima, points)
    return figures


def _lines(rows: pd.DataFrame, place: str, axis: str) -> Figure:
    """lambda_max, lambda_min and the trace over t or x; eigenvalues that did not converge are left out."""
    labels = {column: label for column, label in _LABELS.items() if column in rows}
    figure = Figure(figsize=(3.9 * max(len(labels), 1) + 0.4, 3.8))
    axes = figure.subplots(1, max(len(labels), 1), squeeze=False)[0]
    colour = colours(rows["along"].unique())
    for ax, (column, label) in zip(axes, labels.items(), strict=False):
        for name, path in by_name(rows, "along"):
            values = path[column] if column == "trace" else path[column].where(path["converged"])
            ax.plot(path[axis], values, ".-", color=colour[name], linewidth=1.6, label=path_label(name))
            if column == "trace":
                half = STANDARD_ERRORS * path["trace_se"]
                ax.fill_between(path[axis], values - half, values + half, color=colour[name], alpha=0.2, linewidth=0)
        ax.axhline(0, **GUIDE)
        ax.set(xlabel="t (0 at a, 1 at b)" if axis == "t" else axis, ylabel=f"{label} (nats)")
    legend_below(figure, *axes[0].get_legend_handles_labels())
    shaded = ["shaded: 95 % interval over random vectors"] if "trace" in labels else []
    set_title(figure, f"Hessian of the train loss {place}", [*batch_norm_notes(rows), *shaded])
    return figure


def _ratios(rows: pd.DataFrame, minima: pd.DataFrame, points: bool) -> Figure:
    """|lambda_min / lambda_max| over x and y (Li et al. 2018, figure 7); points that did not converge stay grey."""
    panels = make_panels(rows, minima, by="along", sharex=True, sharey=True)
    image = None
    for panel in panels:
        ax, ratio = panel.ax, panel.rows["ratio"].where(panel.rows["converged"])
        table = on_grid(panel.rows.assign(ratio=ratio), "ratio")
        values = np.ma.masked_invalid(table.to_numpy(dtype=float))
        image = ax.pcolormesh(table.columns, table.index, values, vmin=0, vmax=_MOST, cmap="viridis", shading="nearest")
        if max(values.shape) <= _WRITTEN:
            for (row, column), value in np.ndenumerate(values.filled(np.nan)):
                text = f"{value:.2f}" if np.isfinite(value) else ""
                at = table.columns[column], table.index[row]
                ax.text(*at, text, ha="center", va="center", fontsize=7, color="white" if value < _DARK else "black")
        mark_points(ax, panel.rows, points)
        ax.set_facecolor(UNKNOWN)
        ax.grid(False)
        ax.locator_params(nbins=5)
        ax.set(xlabel="x", ylabel="y")
    if image is not None:
        label = r"$|\lambda_{\min}\,/\,\lambda_{\max}|$"
        panels.figure.colorbar(image, ax=panels.figure.axes, label=label, extend="max", aspect=30)
    converged = bool((rows["converged"] & rows["ratio"].notna()).all())
    panels.set_title("Smallest over largest eigenvalue of the Hessian", "" if converged else "grey: did not converge")
    return panels.figure
