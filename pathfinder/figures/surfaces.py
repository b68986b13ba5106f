"""Figures of landscapes: profiles and surfaces around minima, those of several runs side by side on one scale."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from pathfinder.figures.style import SPLITS, UNITS

_LOSS, _ERROR = "#0072B2", "#D55E00"
_LEVELS = 13
_DECADES = 4  # below the highest level; what lies deeper has the colour of the deepest
_CLIP = 10.0  # nats: far beyond chance, where the shape of the valley would no longer show


def surface_figures(surfaces: pd.DataFrame, trajectory: pd.DataFrame) -> dict[str, Figure]:
    """Profiles with loss and error; surfaces as contour lines, filled contours and in three dimensions."""
    figures = {}
    for name, rows in surfaces.groupby("surface", sort=False):
        walked = trajectory[trajectory["surface"] == name]
        if rows["y"].isna().all():
            figures[f"profile-{name}"] = _profiles(rows, str(name))
            continue
        figures[f"contours-{name}"] = _contours(rows, walked, str(name), filled=False)
        figures[f"filled-{name}"] = _contours(rows, walked, str(name), filled=True)
        figures[f"relief-{name}"] = _reliefs(rows, str(name))
    return figures


def panels(
    rows: pd.DataFrame, by: str = "name", **kwargs: object
) -> tuple[Figure, Iterator[tuple[Axes, str, pd.DataFrame]]]:
    """A figure with a panel for each minimum (or pair): one row of up to three, else two rows."""
    minima = list(rows.groupby(by, sort=False))
    lines = 1 if len(minima) <= 3 else 2
    columns = math.ceil(len(minima) / lines)
    figure = Figure(figsize=(1.0 + 3.8 * columns, 0.7 + 3.3 * lines))
    axes = list(figure.subplots(lines, columns, squeeze=False, **kwargs).flat)
    for spare in axes[len(minima) :]:
        spare.set_visible(False)
    return figure, ((ax, str(name), own) for ax, (name, own) in zip(axes, minima, strict=False))


def _profiles(rows: pd.DataFrame, title: str) -> Figure:
    """Loss on the left axis, error on the right, train solid and test dashed (Li et al. 2018, figure 2)."""
    figure, places = panels(rows, sharex=True, sharey=True)
    losses = [column for column in rows if column.endswith("_loss")]
    low, high = rows[losses].min(axis=None), min(rows[losses].max(axis=None), _CLIP)
    for ax, name, own in places:
        other = ax.twinx()
        other.grid(False)
        other.spines["right"].set_visible(True)
        for split, style in SPLITS.items():
            for side, metric, colour in ((ax, "loss", _LOSS), (other, "error", _ERROR)):
                if f"{split}_{metric}" in own:
                    label = f"{split} {metric}"
                    side.plot(own["x"], own[f"{split}_{metric}"], style, color=colour, linewidth=1.6, label=label)
        ax.set(title=name, yscale="log", ylim=(low / 1.5, high * 1.5), xlabel="x")
        ax.set_ylabel(UNITS["loss"], color=_LOSS)
        other.set_ylim(0, 100)
        other.set_ylabel(UNITS["error"], color=_ERROR)
        lines = [*ax.get_lines(), *other.get_lines()]
    figure.legend(handles=lines, loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize=11)
    return figure


def _levels(rows: pd.DataFrame) -> np.ndarray:
    """Levels that all panels share, evenly spaced in the logarithm."""
    losses = rows["train_loss"].dropna()
    high = min(float(losses.max()), _CLIP) * 1.001
    low = max(float(losses[losses > 0].min()), high * 10**-_DECADES) * 0.999
    return np.geomspace(low, max(high, low * 1.01), _LEVELS)


def _grid(own: pd.DataFrame, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = own.pivot(index="y", columns="x", values="train_loss")
    values = np.ma.masked_invalid(table.to_numpy())
    return table.columns.to_numpy(), table.index.to_numpy(), np.ma.clip(values, levels[0], levels[-1])


def _contours(rows: pd.DataFrame, trajectory: pd.DataFrame, title: str, filled: bool) -> Figure:
    figure, places = panels(rows)
    levels = _levels(rows)
    drawn = None
    for ax, name, own in places:
        x, y, values = _grid(own, levels)
        if filled:
            drawn = ax.contourf(x, y, values, levels, norm=LogNorm(levels[0], levels[-1]), cmap="viridis_r")
        else:
            lines = ax.contour(
                x, y, values, levels, norm=LogNorm(levels[0], levels[-1]), cmap="viridis_r", linewidths=1
            )
            ax.clabel(lines, lines.levels[1::2], fmt="%.2g", fontsize=8)
        walked = trajectory[trajectory["name"] == name]
        ax.plot(walked["x"], walked["y"], ".-", color="#D55E00", linewidth=1.2, markersize=5)
        ax.plot(0, 0, "o", color="white", markeredgecolor="black", markersize=6)
        ax.grid(False)
        ax.locator_params(axis="x", nbins=5)
        ax.set(title=name, xlabel=_axis("x", walked), ylabel=_axis("y", walked))
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=figure.axes, label="train loss (nats)", aspect=30)
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.ax.yaxis.set_minor_locator(LogLocator(subs=()))
    figure.suptitle(f"{title}: train loss (nats)", fontsize=11)
    return figure


def _axis(axis: str, walked: pd.DataFrame) -> str:
    """The axis, and how much of the trajectory's variance lies along it."""
    column = f"explained_{axis}"
    share = walked[column].iloc[0] if column in walked and len(walked) else math.nan
    return axis if math.isnan(share) else f"{axis} ({100 * share:.1f} % of the variance)"


def _reliefs(rows: pd.DataFrame, title: str) -> Figure:
    figure, places = panels(rows, subplot_kw={"projection": "3d"})
    levels = _levels(rows)
    low, high = np.log10(levels[0]), np.log10(levels[-1])
    for ax, name, own in places:
        x, y, values = _grid(own, levels)
        steps = {"rcount": len(y), "ccount": len(x)}
        ax.plot_surface(
            *np.meshgrid(x, y), np.log10(values), cmap="viridis_r", vmin=low, vmax=high, linewidth=0, **steps
        )
        ax.set(title=name, xlabel="x", ylabel="y", zlim=(low, high))
        ax.zaxis.set_major_formatter(lambda exponent, _: f"{10**exponent:.2g}")
        ax.tick_params(labelsize=8, pad=0)
        ax.locator_params(axis="x", nbins=4)
        ax.locator_params(axis="y", nbins=4)
    figure.suptitle(f"{title}: train loss (nats), clipped at {levels[-1]:.3g}", fontsize=11)
    return figure
