"""Results: the tables of a run as they grow, written as CSV files."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.geometry.curves import Curve
from pathfinder.geometry.planes import Plane
from pathfinder.scoring.scores import Scores
from pathfinder.tables.csv_files import write_table
from pathfinder.tables.schema import TABLES
from pathfinder.tables.summary import replicates, summarize
from pathfinder.tables.surface_shapes import surface_shape

PROJECTED = 61  # points of the curves that are drawn over a plane


class Results:
    """The tables of one run, by their names in `schema.TABLES`.

    Args:
        folder: where their CSV files are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frames: dict[str, list[pd.DataFrame]] = {}

    def __bool__(self) -> bool:
        """Whether rows were added to any table."""
        return bool(self._frames)

    def __contains__(self, table: str) -> bool:
        """Whether a table has rows."""
        return table in self._frames

    def add(self, table: str, rows: pd.DataFrame, **keys: str) -> None:
        """Add rows to a table.

        Args:
            table: its name.
            rows: some of its columns.
            **keys: columns with the same value in every row.
        """
        self._frames.setdefault(table, []).append(rows.assign(**keys))

    def add_training(self, pair: str, fit: str, history: pd.DataFrame) -> None:
        """Add the history of a fit: of minimum `a` or `b` of a pair, or of a curve by its name."""
        self.add("training", history, pair=pair, fit=fit)

    def add_paths(
        self,
        group: str,
        pair: str,
        scores: Mapping[str, Scores],
        rescored: Mapping[str, Scores],
        epochs: Mapping[str, int] | None = None,
    ) -> None:
        """Add the scored paths of a pair to `paths` and `summary`.

        Args:
            group: that the pair belongs to.
            pair: its name.
            scores: of each path by its name.
            rescored: of some of them, points on all examples that the summary is to follow.
            epochs: that each path was trained for, if the summary is to show them.
        """
        for path, scored in scores.items():
            self.add("paths", scored.table, pair=pair, path=path)
        summary = summarize(scores, pair, rescored=rescored)
        if epochs is not None:
            summary = summary.assign(epochs=summary["path"].map(epochs))
        self.add("summary", summary, group=group)

    def add_rescored(self, pair: str, path: str, scores: Scores) -> None:
        """Add points of a path that were scored again on all examples."""
        self.add("rescored", scores.table, pair=pair, path=path)

    def add_plane(
        self, pair: str, name: str, plane: Plane, scored: Scores, curves: Mapping[str, Curve], t: Tensor
    ) -> None:
        """Add a scored plane, the anchors of the curve that spans it, and every curve projected onto it.

        Args:
            pair: the two minima.
            name: the curve that spans the plane.
            plane: through the ends and the bend of that curve.
            scored: the grid over the plane.
            curves: all paths of the pair by name.
            t: (points,), where the curves are projected.
        """
        self.add("planes", scored.table, pair=pair, plane=name)
        own = curves[name]
        bends = [f"bend {i + 1}" if len(own.bends) > 1 else "bend" for i in range(len(own.bends))]
        markers = pd.DataFrame(plane.locate(own.anchors).numpy(), columns=["x", "y", "distance"])
        self.add("plane_markers", markers.assign(name=["a", *bends, "b"]), pair=pair, plane=name)
        for path, curve in curves.items():
            located = [plane.locate(curve(t[i : i + 1]).detach())[0].tolist() for i in range(len(t))]
            projected = pd.DataFrame(located, columns=["x", "y", "distance"]).assign(t=t.numpy())
            self.add("plane_paths", projected, pair=pair, plane=name, path=path)

    def add_surface(self, pair: str, name: str, surface: str, scored: Scores, trajectory: pd.DataFrame) -> None:
        """Add a scored profile or surface around the minimum `name`, and the checkpoints of its training there."""
        self.add("surfaces", _with_y(scored.table), pair=pair, name=name, surface=surface)
        if "y" in scored.table:
            given = {"pair": pair, "name": name, "surface": surface}
            keys = ["train_examples", "batch_norm_examples", "batch_norm", "interpolation_gap", "converged"]
            given |= {key: scored.table[key].iloc[0] for key in keys if key in scored.table}
            self.add("surface_shapes", pd.DataFrame([{**given, **surface_shape(scored.table)}]))
        if len(trajectory):
            self.add("trajectory", _with_y(trajectory), pair=pair, name=name, surface=surface)

    def add_curvature(self, pair: str, name: str, along: str, table: pd.DataFrame) -> None:
        """Add the curvature at points of a path, or of a surface around the minimum `name`."""
        self.add("curvature", table, pair=pair, name=name, along=along)

    def table(self, name: str) -> pd.DataFrame:
        """A table with all rows added so far, its columns in the order of the schema.

        Raises:
            PathfinderError: if no rows were added to it.
        """
        if name not in self._frames:
            raise PathfinderError(f"this run has no table `{name}`; it has {', '.join(self._frames) or 'none yet'}.")
        rows = pd.concat(self._frames[name], ignore_index=True)
        return rows[TABLES[name].sort(rows.columns)]

    def write(self) -> None:
        """Write every table that has rows."""
        for name in self._frames:
            write_table(self.folder / f"{name}.csv", self.table(name))
        if "summary" in self._frames:
            write_table(self.folder / "replicates.csv", replicates(self.table("summary")))

    def remove_stale(self) -> None:
        """Remove the tables of an earlier run in this folder that this run does not have."""
        kept = {*self._frames, *(["replicates"] if "summary" in self._frames else [])}
        for name in TABLES.keys() - kept:
            (self.folder / f"{name}.csv").unlink(missing_ok=True)


def _with_y(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column y, empty if it has one axis only."""
    return table if "y" in table else table.assign(y=float("nan"))
