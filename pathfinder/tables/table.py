"""What a table is: its columns, its key, and the figures drawn from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pathfinder.tables.score_names import METRICS, STATISTICS, ScoreName, parse_score_column, score_column

Kind = Literal["name", "text", "number", "whole", "truth"]
KINDS: dict[Kind, str] = {  # and what to call them
    "name": "name",
    "text": "text",
    "number": "number",
    "whole": "whole number",
    "truth": "True or False",
}
FIGURES = {  # by the beginning of their files' names
    "paths": "loss and error along the paths of a group of pairs",
    "plane": "loss and error over the plane of a curve",
    "training": "loss and error by epoch, for a group of pairs",
    "weights": "the line between the minima, and the distribution and norm of their weights",
    "profile": "loss and error along one direction from each minimum",
    "contours": "contour lines of the loss over two directions from each minimum",
    "filled": "filled contours of the loss over two directions from each minimum",
    "relief": "the loss over two directions from each minimum, in three dimensions",
    "curvature": "eigenvalues and trace of the Hessian along paths and profiles",
    "ratio": "ratio of the smallest to the largest eigenvalue of the Hessian over surfaces",
    "race": "largest loss against passes over the data, and the passes to the target",
    "barriers": "barrier of the line between every two minima of a group",
}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its header.
        kind: what its cells hold, a key of `KINDS`.
        meaning: in plain English.
        unit: of its numbers, if they have one.
        empty: whether cells may be empty.
        optional: whether only some runs have it.
        in_file_names: whether figures are named after its cells.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    empty: bool = False
    optional: bool = False
    in_file_names: bool = False


@dataclass(frozen=True)
class ScoreColumns:
    """Columns that exist once for each split and metric, or, if they count examples, once for each split.

    Attributes:
        statistics: those they hold, keys of `STATISTICS`, or `examples`.
        alphabetical: whether they are ordered by name; else by metric.
    """

    statistics: tuple[str, ...]
    alphabetical: bool = False

    def column(self, name: str) -> Column | None:
        """The column of this name, if it is one of these."""
        score = parse_score_column(name)
        return _column(score) if score is not None and score.statistic in self.statistics else None

    def place(self, name: str) -> tuple[int, str]:
        """A sort key; names that share one stay as they are."""
        if self.alphabetical:
            return 0, name
        score = parse_score_column(name)
        return (list(METRICS).index(score.metric) if score is not None and score.metric else 0), ""

    def patterns(self) -> list[Column]:
        """The columns in general, with SPLIT and METRIC in their names."""
        metrics = {statistic: "" if statistic == "examples" else "METRIC" for statistic in self.statistics}
        return [_column(ScoreName("SPLIT", metric, statistic)) for statistic, metric in metrics.items()]


def _column(score: ScoreName) -> Column:
    """The column for scores of a split and metric, or of any."""
    name = score_column(score.split, score.metric, score.statistic)
    split = "each split" if score.split == "SPLIT" else f"the split {score.split}"
    if score.statistic == "examples":
        return Column(name, "whole", f"how many examples of {split} were scored")
    metric, unit = ("loss or error", "nats or %") if score.metric == "METRIC" else (score.metric, METRICS[score.metric])
    return Column(name, "number", f"{metric} on {split}: {STATISTICS[score.statistic]}", unit, empty=True)


@dataclass(frozen=True)
class Table:
    """A table of a run.

    Attributes:
        name: of its file, without `.csv`.
        meaning: what a row is.
        columns: in the order of the file; columns that the first rows lack are written after all others.
        key: the columns that together tell rows apart.
        needed: the columns that figures cannot do without.
        figures: those that show it, keys of `FIGURES`.
    """

    name: str
    meaning: str
    columns: tuple[Column | ScoreColumns, ...]
    key: tuple[str, ...]
    needed: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns if isinstance(column, Column)]
        mistakes = {
            "has columns twice": [name for name in names if names.count(name) > 1],
            "has keys that are not its columns": [name for name in self.key if name not in names],
            "needs columns it does not have": [name for name in self.needed if self.column(name) is None],
            "names figures that do not exist": [name for name in self.figures if name not in FIGURES],
        }
        for mistake, found in mistakes.items():
            if found:
                raise ValueError(f"table `{self.name}` {mistake}: {', '.join(found)}")

    def column(self, name: str) -> Column | None:
        """The column of this name; None if the table has no such column."""
        if (i := self._index(name)) is None:
            return None
        entry = self.columns[i]
        return entry if isinstance(entry, Column) else entry.column(name)

    def sort(self, names: Iterable[str]) -> list[str]:
        """Put names of columns in the order of the file; names that the table does not know come last."""
        return sorted(names, key=self._place)

    def as_markdown(self) -> str:
        """Describe the table and its columns in Markdown."""
        lines = [f"## {self.name}.csv", "", self.meaning]
        lines += [f"No two rows have the same {' and '.join(f'`{name}`' for name in self.key)}.", ""]
        if self.figures:
            lines += [f"Figures: {'; '.join(f'`{name}` ({FIGURES[name]})' for name in self.figures)}.", ""]
        lines += ["| column | holds | unit | meaning |", "| --- | --- | --- | --- |"]
        for entry in self.columns:
            for column in entry.patterns() if isinstance(entry, ScoreColumns) else [entry]:
                notes = [column.meaning, *(["not in every run"] if column.optional else [])]
                lines.append(f"| `{column.name}` | {KINDS[column.kind]} | {column.unit} | {'; '.join(notes)} |")
        return "\n".join(lines)

    def _index(self, name: str) -> int | None:
        """Which entry of `columns` describes a column: its own before one for all scores."""
        own = [i for i, entry in enumerate(self.columns) if isinstance(entry, Column) and entry.name == name]
        scores = [i for i, entry in enumerate(self.columns) if isinstance(entry, ScoreColumns) and entry.column(name)]
        return next(iter(own + scores), None)

    def _place(self, name: str) -> tuple[int, int, str]:
        if (i := self._index(name)) is None:
            return len(self.columns), 0, ""
        entry = self.columns[i]
        return i, *((0, "") if isinstance(entry, Column) else entry.place(name))
