"""Results: the tables of a run as they come together, written as CSV files and drawn from these."""

from pathlib import Path
from typing import Any

import pandas as pd

from pathfinder.errors import PathfinderError
from pathfinder.geometry.curves import Curve
from pathfinder.geometry.planes import Plane
from pathfinder.scoring.scores import Scores
from pathfinder.tables.csv_files import write_table
from pathfinder.tables.summary import replicates, summarize

_ORDER = ["epoch", "step", "lr", "train_loss", "test_loss", "train_error", "test_error", "norm"]


_TABLES = ("minima", "weights", "surfaces", "trajectory", "training", "paths", "rescored")
_TABLES += ("planes", "plane_markers", "plane_paths", "summary", "curvature", "alignment", "barriers")


class Results:
    """The tables of one run, by file name without `.csv`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frames: dict[str, list[pd.DataFrame]] = {}

    def __bool__(self) -> bool:
        """Whether anything was added."""
        return bool(self._frames)

    def add(self, table: str, frame: pd.DataFrame, **keys: Any) -> None:
        """Add rows to a table, with key columns before them."""
        frame = frame.copy()
        for i, (key, value) in enumerate(keys.items()):
            frame.insert(i, key, value)
        self._frames.setdefault(table, []).append(frame)

    def add_training(self, pair: str, fit: str, history: pd.DataFrame) -> None:
        """Add the history of a fit: of minimum `a` or `b` of a pair, or of a curve."""
        columns = [column for column in _ORDER if column in history]
        self.add("training", history[[*columns, *history.columns.difference(columns)]], pair=pair, fit=fit)

    def add_paths(self, group: str, pair: str, scores: dict[str, Scores], epochs: dict[str, int] | None = None) -> None:
        """Add the scored paths of a pair, and what is read off them; the epochs of training behind each, if given."""
        for path, scored in scores.items():
            self.add("paths", _arranged(scored.table), pair=pair, path=path)
        summary = summarize(scores, pair)
        if epochs is not None:
            summary = summary.assign(epochs=summary["path"].map(epochs))
        self.add("summary", summary, group=group)

    def add_rescored(self, pair: str, path: str, scores: Scores) -> None:
        """Add points scored once more, on all examples."""
        self.add("rescored", _arranged(scores.table), pair=pair, path=path)

    def add_plane(self, pair: str, name: str, plane: Plane, scored: Scores, curves: dict[str, Curve], t: Any) -> None:
        """Add a scored plane, the anchors of its own curve as markers, and all curves projected onto it."""
        self.add("planes", _arranged(scored.table), pair=pair, plane=name)
        own = curves[name]
        bends = [f"bend {i + 1}" if len(own.bends) > 1 else "bend" for i in range(len(own.bends))]
        markers = pd.DataFrame(plane.locate(own.anchors).numpy(), columns=["x", "y", "distance"])
        markers.insert(0, "name", ["a", *bends, "b"])
        self.add("plane_markers", markers, pair=pair, plane=name)
        for path, curve in curves.items():
            located = pd.DataFrame(_located(plane, curve, t), columns=["x", "y", "distance"])
            located.insert(0, "t", t.numpy())
            self.add("plane_paths", located, pair=pair, plane=name, path=path)

    def add_surface(self, pair: str, name: str, surface: str, scored: Scores, trajectory: pd.DataFrame) -> None:
        """Add a scored profile or surface around the minimum `name`, and the trajectory of its training there."""
        keys = {"pair": pair, "name": name, "surface": surface}
        self.add("surfaces", _on_both_axes(_arranged(scored.table)), **keys)
        if len(trajectory):
            self.add("trajectory", _on_both_axes(trajectory), **keys)

    def add_curvature(self, pair: str, name: str, along: str, table: pd.DataFrame) -> None:
        """Add the curvature at points of a path, or of a surface around the minimum `name`."""
        self.add("curvature", table, pair=pair, name=name, along=along)

    def table(self, name: str) -> pd.DataFrame:
        """A table as it is now.

        Raises:
            PathfinderError: if nothing was added to it.
        """
        if name not in self._frames:
            raise PathfinderError(f"there is no table `{name}` in this run.")
        return pd.concat(self._frames[name], ignore_index=True)

    def write(self) -> None:
        """Write every table that has rows."""
        for name in self._frames:
            write_table(self.folder / f"{name}.csv", self.table(name))
        if "summary" in self._frames:
            write_table(self.folder / "replicates.csv", replicates(self.table("summary")))

    def remove_stale(self) -> None:
        """Remove the tables an earlier run left that this one has not."""
        for name in _TABLES:
            if name not in self._frames:
                (self.folder / f"{name}.csv").unlink(missing_ok=True)


def _on_both_axes(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column y, empty where there is one axis only."""
    if "y" not in table:
        table = table.copy()
        table.insert(table.columns.get_loc("x") + 1, "y", float("nan"))
    return table


def _located(plane: Plane, curve: Curve, t: Any) -> list[list[float]]:
    return [plane.locate(curve(t[i : i + 1]).detach())[0].tolist() for i in range(len(t))]


def _arranged(table: pd.DataFrame) -> pd.DataFrame:
    """Columns as in design: coordinates, then metric by metric, then standard errors, then counts."""
    scored = [c for c in table if c.endswith(("_loss", "_error"))]
    extra = [c for c in table if c.endswith("_se")]
    counts = [c for c in table if c.endswith("_examples")]
    first = [c for c in table if c not in {*scored, *extra, *counts}]
    return table[[*first, *scored, *extra, *counts]]
