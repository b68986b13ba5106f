"""The summary of a run on the terminal."""

import sys
from collections.abc import Iterable

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pathfinder.data.normalization import describe_normalization
from pathfinder.data.sources import Source
from pathfinder.experiment.estimate import Estimate
from pathfinder.experiment.pieces import Piece, kind_of
from pathfinder.tables.score_names import METRICS, parse_score_column, score_column, score_columns

_CAPTION = (
    "A barrier is a maximum of noisy means, so it comes out too high on a flat path; its interval allows for that."
)


def show_summary(summary: pd.DataFrame) -> None:
    """The columns of the summary that a reader looks at first; summary.csv has all of them."""
    table = Table(box=None, pad_edge=False, caption=_CAPTION, caption_justify="left")
    leading = [column for column in ("run", "pair", "path") if column in summary]
    for column in leading:
        table.add_column(column)
    for column in ("train barrier", "95 % interval", "train loss max", "test error max", "length ratio"):
        table.add_column(column, justify="right")
    for _, rows in summary.groupby(leading, sort=False):
        cells = rows.set_index(["split", "metric"])
        low, high = (_cell(cells, "train_loss", f"barrier_{end}") for end in ("low", "high"))
        table.add_row(
            *(Text(str(name)) for name in rows[leading].iloc[0]),  # a name is no markup
            f"{_cell(cells, 'train_loss', 'barrier'):.4g}",
            f"{low:.3g} to {high:.3g}",
            f"{_cell(cells, 'train_loss', 'max'):.4g}",
            f"{_cell(cells, 'test_error', 'max'):.2f} %",
            f"{rows['length_ratio'].iloc[0]:.3f}",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def show_barriers(barriers: pd.DataFrame) -> None:
    """The barriers of the lines between every two minima, as they are and aligned; barriers.csv has all columns."""
    table = Table(box=None, pad_edge=False, caption=_CAPTION, caption_justify="left")
    for column in ("a", "b", "aligned by"):
        table.add_column(column)
    for column in ("distance", "train barrier", "95 % interval", "test error barrier"):
        table.add_column(column, justify="right")
    for _, row in barriers.iterrows():
        low, high = row["train_loss_barrier_low"], row["train_loss_barrier_high"]
        error = row.get("test_error_barrier")
        table.add_row(
            *(Text(str(row[name])) for name in ("a", "b", "method")),
            f"{row['distance']:.4g}",
            f"{row['train_loss_barrier']:.4g}",
            f"{low:.3g} to {high:.3g}",
            "" if error is None else f"{error:.2f} %",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def show_race(methods: pd.DataFrame) -> None:
    """The passes over the training data that each method needs to the target, the fewest first.

    Args:
        methods: the table `race_methods`.
    """
    table = Table(box=None, pad_edge=False)
    for column in ("group", "method"):
        table.add_column(column)
    for column in ("passes to the target", "smallest to largest", "pairs that met it", "times fewer"):
        table.add_column(column, justify="right")
    for _, rows in methods.groupby("group", sort=False):
        for _, row in rows.sort_values("passes", na_position="last", kind="stable").iterrows():
            low, high = (
                f"{row[name]:.1f}" if row[name] == row[name] else "-" for name in ("passes_low", "passes_high")
            )
            table.add_row(
                Text(str(row["group"])),
                Text(str(row["method"])),
                f"{row['passes']:.1f}" if row["passes"] == row["passes"] else "not reached",
                f"{low} to {high}",
                f"{row['met']} of {row['pairs']}",
                f"{row['times_fewer']:.2f}" if row["times_fewer"] == row["times_fewer"] else "",
            )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


_QUESTION = 1.0  # points of error by which statistics may differ before the normalisation is in doubt


def show_ends(minima: pd.DataFrame, train: Source) -> None:
    """The errors of two minima with stored and with re-estimated statistics, and the normalisation in use.

    Args:
        minima: their rows of minima.csv.
        train: the data.
    """
    table = Table(box=None, pad_edge=False)
    splits = [name.split for column in minima if (name := parse_score_column(column)) and name.metric == "error"]
    table.add_column("minimum")
    shown: dict[str, str] = {}
    for split in dict.fromkeys(splits):
        for statistic, words in (("mean", "stored"), ("reestimated", "re-estimated")):
            if (column := score_column(split, "error", statistic)) in minima:
                shown[column] = statistic
                known = f", BatchNorm {words}" if score_column(split, "error", "reestimated") in minima else ""
                table.add_column(f"{split} error{known}", justify="right")
    for _, row in minima.iterrows():
        table.add_row(Text(str(row["name"])), *(f"{row[column]:.2f} %" for column in shown))
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    console.print(table)
    stored = [column for column, statistic in shown.items() if statistic == "mean"]
    pairs = [(c, again) for c in stored if (again := f"{c}_reestimated") in shown]
    off = max(((minima[first] - minima[second]).abs().max() for first, second in pairs), default=0.0)
    console.print(_normalization(train, off))


def _normalization(train: Source, off: float) -> Text:
    """The normalisation in use; a question where errors with other statistics of BatchNorm are `off` by too much."""
    question = "; is that the one of the training? If not, give --data-arg mean=... and std=..."
    return Text(f"normalisation: {describe_normalization(train)}{question if off > _QUESTION else ''}")


def show_point(table: pd.DataFrame, train: Source) -> None:
    """The table of `score point`, means with standard errors, and the normalisation in use; point.csv has all columns.

    Args:
        table: its rows.
        train: the data.
    """
    scored = {name: score for name in table if (score := parse_score_column(name)) and score.statistic == "mean"}
    counts = {score.split: int(table[f"{score.split}_examples"].iloc[0]) for score in scored.values()}
    caption = "Mean ± standard error over " + " and ".join(f"{n} {split}" for split, n in counts.items()) + " examples."
    shown = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
    shown.add_column("BatchNorm")
    for score in scored.values():
        shown.add_column(f"{score.split} {score.metric}", justify="right")
    for _, row in table.iterrows():
        cells = []
        for name, score in scored.items():
            end = " %" if METRICS.get(str(score.metric)) == "%" else ""
            cells.append(f"{row[name]:.4g} ± {row[f'{name}_se']:.2g}{end}")
        shown.add_row(str(row["batch_norm"]), *cells)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(shown)
    errors = table.set_index("batch_norm")[score_columns(table, "error")]
    both = errors.reindex(["stored", "training"]).dropna()
    console.print(_normalization(train, 0.0 if len(both) < 2 else (both.iloc[0] - both.iloc[1]).abs().max()))


def _cell(cells: pd.DataFrame, scored: str, column: str) -> float:
    """One quantity of a split and metric such as `train_loss`; NaN where that was not scored."""
    place = tuple(scored.split("_"))
    return float(cells.loc[place, column]) if place in cells.index else float("nan")


def show_pieces(pieces: Iterable[Piece], left: Estimate) -> None:
    """Show how many pieces there are of each kind, how many of them are kept, and how long the rest takes.

    Args:
        pieces: the plan.
        left: what is not done.
    """
    rows = [
        {
            "work": kind_of(piece.title),
            "pieces": 1,
            "kept": int(piece.name not in left.seconds),
            "seconds": left.seconds.get(piece.name, 0.0),
        }
        for piece in pieces
    ]
    table = pd.DataFrame(rows).groupby("work", sort=False).sum().reset_index()
    print(table.to_string(index=False, float_format="{:.2f}".format))
    print(
        f"about {_duration(left.total)} of work for one process, {_duration(left.with_workers(2))} for two, at least "
        f"{_duration(left.longest)} for any number, and the time for figures; estimated from one step and one point"
        + (f"; about {left.memory / 2**20:.0f} MiB of memory in each process" if left.memory else "")
        + (f" and {left.gpu_memory / 2**20:.0f} MiB of its GPU" if left.gpu_memory else "")
    )


def _duration(seconds: float) -> str:
    """Seconds in words: seconds, minutes or hours."""
    for bound, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < bound:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h"
