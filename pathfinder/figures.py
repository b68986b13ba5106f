"""Figures: drawn from the CSV files of a run alone, so that they can be redrawn years later."""

import io
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from pathfinder.errors import PathfinderError
from pathfinder.storage import write
from pathfinder.tables import read_table

# Okabe and Ito's palette, safe for colour-blind readers
_KNOWN = {"line": "#D55E00", "polychain": "#0072B2", "bezier": "#009E73"}
_OTHERS = ["#CC79A7", "#E69F00", "#56B4E9", "#000000"]
_STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
}
_MINIMA = {"a": "#000000", "b": "#8c8c8c"}
_UNITS = {"loss": "loss (nats)", "error": "error (%)"}
_SETTINGS = ("batch_size", "weight_decay", "lr", "epochs", "momentum", "label_smoothing")  # that panels may compare
_PANELS = 4  # side by side in one figure
_SPLITS = {"train": "-", "test": "--"}


def draw(folder: str | Path) -> list[Path]:
    """Draw every figure the tables of a run allow into its `figures` folder.

    Returns:
        The files written.

    Raises:
        PathfinderError: if the folder holds no table to draw.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PathfinderError(f"{folder} is no folder; give the folder of a run, with its CSV files.")
    figures: dict[str, Figure] = {}
    groups = _groups(folder)
    with mpl.rc_context(_STYLE):
        if (folder / "paths.csv").exists():
            figures |= _paths(read_table(folder / "paths.csv", ["pair", "path", "t"]), groups)
        if (folder / "planes.csv").exists():
            names = ("planes", "plane_markers", "plane_paths")
            figures |= _planes(*(read_table(folder / f"{name}.csv", ["pair", "plane", "x", "y"]) for name in names))
        if (folder / "training.csv").exists():
            figures |= _training(read_table(folder / "training.csv", ["pair", "fit", "epoch"]), groups)
        if (folder / "weights.csv").exists():
            optional = [_optional(folder / f"{name}.csv") for name in ("training", "minima")]
            figures |= _weights(read_table(folder / "weights.csv", ["pair", "name", "low"]), *optional, groups)
        if not figures:
            raise PathfinderError(f"{folder} holds no paths.csv, planes.csv or training.csv; give the folder of a run.")
        drawn = [_saved(figure, folder / "figures" / f"{name}.png") for name, figure in figures.items()]
    for path in set((folder / "figures").glob("*.png")) - set(drawn):  # of tables that are no longer there
        path.unlink()
    return drawn


def _saved(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write(path, lambda scratch: scratch.write_bytes(content.getvalue()))
    return path


def _groups(folder: Path) -> dict[str, str]:
    """The group of each pair, as the summary says."""
    if not (folder / "summary.csv").exists():
        return {}
    summary = read_table(folder / "summary.csv", ["pair", "group"]).drop_duplicates("pair")
    return dict(zip(summary["pair"], summary["group"], strict=True))


def _paths(paths: pd.DataFrame, groups: dict[str, str]) -> dict[str, Figure]:
    """Loss and error along t, train and test, a figure per group of pairs."""
    by_group = paths.groupby(paths["pair"].map(lambda pair: groups.get(pair, pair)), sort=False)
    return {f"paths-{group}": _path_figure(rows, str(group)) for group, rows in by_group}


def _path_figure(paths: pd.DataFrame, title: str) -> Figure:
    splits = [split for split in ("train", "validation", "test") if f"{split}_loss" in paths]
    splits = splits or sorted({column.removesuffix("_loss") for column in paths if column.endswith("_loss")})
    metrics = [metric for metric in ("loss", "error") if f"{splits[0]}_{metric}" in paths]
    figure = Figure(figsize=(4.6 * len(metrics), 3.2 * len(splits) + 0.5))
    axes = figure.subplots(len(splits), len(metrics), sharex=True, squeeze=False)
    colours = _colours(paths["path"].unique())
    for row, split in zip(axes, splits, strict=True):
        for ax, metric in zip(row, metrics, strict=True):
            for name, path in paths.groupby("path", sort=False):
                _draw_path(ax, path, f"{split}_{metric}", colours[name], name)
            ax.set_title(f"{split} {metric}", loc="left")
            ax.set_ylabel(_UNITS[metric])
            _set_scale(ax, paths[f"{split}_{metric}"], metric)
    for ax in axes.flat:
        if paths["t"].min() < 0 or paths["t"].max() > 1:
            ax.axvline(0, color="#8c8c8c", linewidth=0.9, linestyle=":")
            ax.axvline(1, color="#8c8c8c", linewidth=0.9, linestyle=":")
    for ax in axes[-1]:
        ax.set_xlabel("t")
    pairs = paths["pair"].nunique()
    shaded = "shaded: 95 % interval over examples" if pairs == 1 else f"mean and range over {pairs} pairs"
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(f"{title} ({shaded})", fontsize=11)
    return figure


def _draw_path(ax: Axes, path: pd.DataFrame, column: str, colour: str, name: str) -> None:
    """One path: with its interval over examples, or over the pairs where there are several."""
    by_t = path.groupby("t")[column]
    t, mean = by_t.mean().index.to_numpy(), by_t.mean().to_numpy()
    if path["pair"].nunique() == 1:
        half = 1.96 * path[f"{column}_se"].to_numpy()
        low, high = mean - half, mean + half
    else:
        low, high = by_t.min().to_numpy(), by_t.max().to_numpy()
    ax.plot(t, mean, color=colour, label=name, linewidth=1.8)
    ax.fill_between(
        t,
        np.maximum(low, 0 if column.endswith("error") else 1e-12),
        high,
        color=colour,
        alpha=0.2,
        linewidth=0,
    )


def _set_scale(ax: Axes, values: pd.Series, metric: str) -> None:
    """Losses span decades between a valley and the mountain; errors are read in points."""
    positive = values[values > 0]
    if metric == "loss" and len(positive) == len(values) and values.max() > 20 * values.min():
        ax.set_yscale("log")
        ax.set_ylim(values.min() / 2.5, values.max() * 2)
    else:
        ax.set_ylim(bottom=0 if values.min() >= 0 else None, top=1 if values.max() == 0 else None)


def _planes(planes: pd.DataFrame, markers: pd.DataFrame, paths: pd.DataFrame) -> dict[str, Figure]:
    """The planes, each with train loss and test error side by side."""
    figures = {}
    for (pair, plane), grid in planes.groupby(["pair", "plane"], sort=False):
        own = [table[(table["pair"] == pair) & (table["plane"] == plane)] for table in (markers, paths)]
        figures[f"plane-{pair}-{plane}"] = _plane_figure(
            grid, *own, title=f"{pair}: plane of the {plane}", own_path=plane
        )
    return figures


def _plane_figure(grid: pd.DataFrame, markers: pd.DataFrame, paths: pd.DataFrame, title: str, own_path: str) -> Figure:
    columns = [column for column in ("train_loss", "test_error") if column in grid] or [
        next(column for column in grid if column.endswith("_loss"))
    ]
    ratio = np.ptp(grid["y"]) / np.ptp(grid["x"])
    if ratio < 0.5:  # a wide plane: one panel above the other
        figure = Figure(figsize=(8.4, len(columns) * (6.4 * ratio + 0.85) + 0.9))
        axes = figure.subplots(len(columns), 1, squeeze=False)[:, 0]
    else:
        figure = Figure(figsize=(5.6 * len(columns), 1.2 + 4.2 * min(ratio, 1.3)))
        axes = figure.subplots(1, len(columns), squeeze=False)[0]
    for ax, column in zip(axes, columns, strict=True):
        _contours(figure, ax, grid, column)
        _overlay(ax, markers, paths, own_path)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(title, fontsize=11)
    return figure


def _contours(figure: Figure, ax: Axes, grid: pd.DataFrame, column: str) -> None:
    """Filled contours at logarithmic levels, axes equal in weight-space distance."""
    table = grid.pivot(index="y", columns="x", values=column)
    values = np.ma.masked_invalid(table.to_numpy())
    smallest = float(values[values > 0].min()) if (values > 0).any() else 1e-6
    largest = max(float(values.max()), smallest * 1.01)
    levels = np.geomspace(smallest * 0.999, largest * 1.001, 13)
    drawn = ax.contourf(
        table.columns,
        table.index,
        np.ma.clip(values, levels[0], None),
        levels,
        norm=LogNorm(),
        cmap="viridis_r",
    )
    ax.contour(drawn, levels=levels[1:-1:2], colors="white", linewidths=0.4, alpha=0.6)
    split, metric = column.split("_", 1)
    bar = figure.colorbar(drawn, ax=ax, aspect=15, label=f"{split} {_UNITS.get(metric, metric)}")
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if largest < 300 * smallest else (1.0,)))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_locator(LogLocator(subs=()))
    ax.set_aspect("equal")
    ax.grid(False)
    ax.set_xlabel("x (distance in weight space)")
    ax.set_ylabel("y (distance)")
    ax.set_title(f"{split} {metric}", loc="left")


def _overlay(ax: Axes, markers: pd.DataFrame, paths: pd.DataFrame, own_path: str) -> None:
    """The curve that lies in the plane solid, projections of the others dashed, and the three points."""
    low, high = ax.get_ylim()
    left, right = ax.get_xlim()
    colours = _colours(paths["path"].unique())
    for name, path in paths.groupby("path", sort=False):
        inside = name in (own_path, "line")
        label = name if inside else f"{name} (projected)"
        style = "-" if inside else (0, (3, 2))
        ax.plot(path["x"], path["y"], color="white", linewidth=3.4, linestyle="-" if inside else style, alpha=0.8)
        ax.plot(path["x"], path["y"], color=colours[name], linewidth=2.0, linestyle=style, label=label)
    ends = markers["name"].isin(["a", "b"])
    for chosen, marker, label in ((ends, "o", "minima"), (~ends, "s", "bends")):
        ax.plot(
            markers["x"][chosen],
            markers["y"][chosen],
            marker,
            color="white",
            markeredgecolor="black",
            markersize=7,
            label=label,
        )
    for _, point in markers.iterrows():
        before = point["name"] == "a"
        ax.annotate(
            point["name"], (point["x"], point["y"]), xytext=(-8 if before else 8, 0), textcoords="offset points",
            ha="right" if before else "left", va="center", fontsize=10,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
        )  # fmt: skip
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)


def _training(training: pd.DataFrame, groups: dict[str, str]) -> dict[str, Figure]:
    """Learning curves: loss and error by epoch, a figure per group of pairs."""
    by_group = training.groupby(training["pair"].map(lambda pair: groups.get(pair, pair)), sort=False)
    return {f"training-{group}": _training_figure(rows, str(group)) for group, rows in by_group}


def _training_figure(training: pd.DataFrame, title: str) -> Figure:
    metrics = [metric for metric in ("loss", "error") if f"train_{metric}" in training]
    figure = Figure(figsize=(4.8 * len(metrics), 4.2))
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    colours = {**_colours(fit for fit in training["fit"].unique() if fit not in _MINIMA), **_MINIMA}
    for ax, metric in zip(axes, metrics, strict=True):
        for (_, name), fit in training.groupby(["pair", "fit"], sort=False):
            for split, style in _SPLITS.items():
                if f"{split}_{metric}" in fit:
                    values = fit[f"{split}_{metric}"]
                    ax.plot(fit["epoch"], values, style, color=colours[name], linewidth=1.5, label=f"{name} {split}")
        ax.set_xlabel("epoch")
        ax.set_ylabel(_UNITS[metric])
        ax.set_title(metric, loc="left")
        if metric == "loss":
            ax.set_yscale("log")
        else:  # the first epochs are wrong about everything, the last about a few in a hundred
            ax.set_yscale("symlog", linthresh=1.0)
            ax.set_ylim(0, 100)
            ax.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 5, 10, 20, 50, 100]))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_formatter("{x:g}")
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))  # one for all pairs
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=(len(handles) + 1) // 2)
    figure.suptitle(f"{title}: training (test scores of curves at t = 1/2)", fontsize=11)
    return figure


def _weights(
    weights: pd.DataFrame, training: pd.DataFrame, minima: pd.DataFrame, groups: dict[str, str]
) -> dict[str, Figure]:
    """Histograms of the minima's weights over their norm by epoch, groups side by side on one scale."""
    names = list(dict.fromkeys(groups.get(pair, pair) for pair in weights["pair"]))
    tables = [
        table.assign(group=table["pair"].map(lambda p: groups.get(p, p))) for table in (weights, training, minima)
    ]
    pages = [names[i : i + _PANELS] for i in range(0, len(names), _PANELS)]
    figures = [_weight_figure(page, *tables) for page in pages]
    return {"weights" if i == 0 else f"weights-{i + 1}": figure for i, figure in enumerate(figures)}


def _weight_figure(names: list[str], weights: pd.DataFrame, training: pd.DataFrame, minima: pd.DataFrame) -> Figure:
    trained = training[training["fit"].isin(_MINIMA)] if len(training) else training
    rows = 2 if len(trained) else 1
    figure = Figure(figsize=(1.2 + 3.6 * len(names), 3.1 * rows + 0.6))
    axes = figure.subplots(rows, len(names), sharex="row", sharey="row", squeeze=False)
    for column, group in zip(axes.T, names, strict=True):
        labels = _differences(minima[minima["group"] == group])
        for name, bins in weights[weights["group"] == group].groupby("name", sort=False):
            side, inner = str(name)[-1], bins.iloc[1:-1]  # the outermost bins hold the tails
            edges = [*inner["low"], inner["high"].iloc[-1]]
            column[0].stairs(inner["density"], edges, color=_MINIMA[side], label=labels[side], linewidth=1.4)
        column[0].set(title=group, xlabel="weight", yscale="log")
        for (_, side), fit in trained[trained["group"] == group].groupby(["pair", "fit"], sort=False):
            column[-1].plot(fit["epoch"], fit["norm"], color=_MINIMA[side], label=labels[side], linewidth=1.6)
            column[-1].set(xlabel="epoch")
        handles = dict(zip(*reversed(column[0].get_legend_handles_labels()), strict=True))  # one for all pairs
        column[-1].legend(handles.values(), handles.keys(), fontsize=9)
    axes[0, 0].set_ylabel("density of weights")
    if rows > 1:
        axes[1, 0].set_ylabel("norm of all weights")
    return figure


def _differences(minima: pd.DataFrame) -> dict[str, str]:
    """What to call the two sides of a group's pairs: by the settings in which they differ."""
    labels = dict.fromkeys(_MINIMA, "")
    settings = [c for c in _SETTINGS if c in minima and minima[c].nunique() > 1]
    for side in labels:
        own = minima[minima["name"].str.endswith(f"-{side}")] if len(minima) else minima
        labels[side] = ", ".join([side, *(f"{c.replace('_', ' ')} {own[c].iloc[0]:g}" for c in settings if len(own))])
    return labels


def _optional(path: Path) -> pd.DataFrame:
    return read_table(path) if path.exists() else pd.DataFrame(columns=["pair", "fit", "name"])


def _colours(names: Iterable[str]) -> dict[str, str]:
    names = list(names)
    others = iter(_OTHERS * (1 + len(names) // len(_OTHERS)))
    return {name: _KNOWN.get(name) or next(others) for name in names}
