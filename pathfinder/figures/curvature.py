"""Figures of curvature: both ends of the spectrum along a path, and maps of their ratio."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.panels import panels
from pathfinder.figures.style import colours, legend_below

_MOST = 0.5  # of the ratio, where Li et al. (2018) end their colours
_WRITTEN = 9  # points along an axis up to which the values are written
_DARK = 0.3  # a ratio whose colour wants white letters
_ALONG = {"lambda_max": "largest eigenvalue", "lambda_min": "smallest eigenvalue", "trace": "trace"}


def curvature_figures(table: pd.DataFrame) -> dict[str, Figure]:
    """A figure for the paths of each pair, and one for each profile and surface; a single point has none."""
    figures = {}
    if "t" in table:
        for pair, rows in table[table["t"].notna()].groupby("pair", sort=False):
            figures[f"curvature-{pair}"] = _along(rows, str(pair), "t")
    if "x" in table:
        single = table[table["x"].notna() & (table["y"].isna() if "y" in table else True)]
        for along, rows in single.groupby("along", sort=False):
            if rows["x"].nunique() > 1:  # paths by the minimum they lead through
                figures[f"curvature-{along}"] = _along(rows.assign(along=rows["name"]), str(along), "x")
    if "y" in table:
        for along, rows in table[table["y"].notna()].groupby("along", sort=False):
            figures[f"ratio-{along}"] = _ratios(rows, str(along))
    return figures


def _along(rows: pd.DataFrame, title: str, axis: str) -> Figure:
    """lambda_max, lambda_min and the trace over t or x; points that did not converge are left out."""
    parts = {column: label for column, label in _ALONG.items() if column in rows}
    figure = Figure(figsize=(3.9 * max(len(parts), 1) + 0.4, 3.8))
    chosen = colours(rows["along"].unique())
    for ax, (column, label) in zip(
        figure.subplots(1, max(len(parts), 1), squeeze=False)[0], parts.items(), strict=False
    ):
        for along, path in rows.groupby("along", sort=False):
            values = path[column] if column == "trace" else path[column].where(path["converged"])
            ax.plot(path[axis], values, ".-", color=chosen[along], linewidth=1.6, label=along)
            if column == "trace":
                half = 1.96 * path["trace_se"]
                ax.fill_between(path[axis], values - half, values + half, color=chosen[along], alpha=0.2, linewidth=0)
        ax.axhline(0, color="#8c8c8c", linewidth=0.8)
        ax.set(xlabel=axis, ylabel=f"{label} (nats)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend_below(figure, handles, labels)
    shaded = " (shaded: 95 % interval over random vectors)" if "trace" in parts else ""
    figure.suptitle(f"{title}: Hessian of the train loss{shaded}", fontsize=11)
    return figure


def _ratios(rows: pd.DataFrame, title: str) -> Figure:
    """|lambda_min / lambda_max| over x and y; points that did not converge stay grey."""
    figure, places = panels(rows, sharex=True, sharey=True)
    for ax, name, own in places:
        ratio = own["ratio"].where(own["converged"])
        table = own.assign(ratio=ratio).pivot(index="y", columns="x", values="ratio")
        values = np.ma.masked_invalid(table.to_numpy(dtype=float))
        drawn = ax.pcolormesh(table.columns, table.index, values, vmin=0, vmax=_MOST, cmap="viridis", shading="nearest")
        if max(values.shape) <= _WRITTEN:
            for (row, column), value in np.ndenumerate(values.filled(np.nan)):
                text = f"{value:.2g}" if np.isfinite(value) else ""
                place = table.columns[column], table.index[row]
                ax.text(*place, text, ha="center", va="center", fontsize=7, color="white" if value < _DARK else "black")
        ax.set_facecolor("#d9d9d9")
        ax.grid(False)
        ax.set(title=name, xlabel="x", ylabel="y")
    figure.colorbar(drawn, ax=figure.axes, label="|smallest / largest eigenvalue|", extend="max", aspect=30)
    figure.suptitle(f"{title}: Hessian of the train loss", fontsize=11)
    return figure
