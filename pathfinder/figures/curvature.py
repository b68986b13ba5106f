"""Figures of curvature: both ends of the spectrum along a path, and maps of their ratio."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.surfaces import panels

_MOST = 0.5  # of the ratio, where Li et al. (2018) end their colours


def curvature_figures(table: pd.DataFrame) -> dict[str, Figure]:
    """A figure for each path and each surface; a single point has none."""
    figures = {}
    for along, rows in table.groupby("along", sort=False):
        if "t" in rows and rows["t"].notna().all():
            figures[f"curvature-{along}"] = _along(rows)
        elif "y" in rows and rows["y"].notna().all():
            figures[f"ratio-{along}"] = _ratios(rows)
    return figures


def _along(rows: pd.DataFrame) -> Figure:
    """lambda_max, lambda_min and the trace over t; points that did not converge are left out."""
    parts = [("lambda_max", "largest eigenvalue"), ("lambda_min", "smallest eigenvalue"), ("trace", "trace")]
    parts = [part for part in parts if part[0] in rows]
    figure = Figure(figsize=(4.0 * len(parts) + 0.4, 3.4))
    for ax, (column, label) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        for _, pair in rows.groupby("pair", sort=False):
            values = pair[column] if column == "trace" else pair[column].where(pair["converged"])
            ax.plot(pair["t"], values, ".-", color="#0072B2", linewidth=1.6)
            if column == "trace":
                half = 1.96 * pair["trace_se"]
                ax.fill_between(pair["t"], values - half, values + half, color="#0072B2", alpha=0.2, linewidth=0)
        ax.set(xlabel="t", ylabel=f"{label} (nats)")
    figure.suptitle("curvature of the train loss along the path", fontsize=11)
    return figure


def _ratios(rows: pd.DataFrame) -> Figure:
    figure, places = panels(rows, by="pair")
    for ax, name, own in places:
        ratio = own["ratio"].where(own["converged"])
        table = own.assign(ratio=ratio).pivot(index="y", columns="x", values="ratio")
        drawn = ax.pcolormesh(
            table.columns,
            table.index,
            np.ma.masked_invalid(table),
            vmin=0,
            vmax=_MOST,
            cmap="viridis",
            shading="nearest",
        )
        ax.grid(False)
        ax.set(title=name, xlabel="x", ylabel="y")
    figure.colorbar(drawn, ax=figure.axes, label="|smallest / largest eigenvalue|", extend="max", aspect=30)
    return figure
