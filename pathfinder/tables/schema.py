"""Every table of a run, with the meaning, type and unit of every column; results, figures and documentation read it."""

from dataclasses import replace
from functools import partial

from pathfinder.tables.common_columns import (
    ACROSS,
    ARC_LENGTH,
    AWAY,
    BATCH_NORM,
    COUNTS,
    EXAMPLES,
    GROUP,
    KNOWN_BETWEEN,
    MEANS,
    METRIC,
    MINIMUM,
    NORM,
    PAIR,
    PATH,
    PLANE,
    RECIPE,
    SCORES,
    SPLIT,
    STATISTICS_FROM,
    UP,
    T,
)
from pathfinder.tables.landscape_schema import CURVATURE, POINT, SURFACE_SHAPES, SURFACES, TRAJECTORY
from pathfinder.tables.race_schema import RACE, RACE_METHODS
from pathfinder.tables.score_names import METRICS, score_column
from pathfinder.tables.table import Column, ScoreColumns, Table

_EITHER = "nats or %"

MINIMA = Table(
    "minima",
    "A row for each minimum: how it was trained and its scores on all examples, with the BatchNorm statistics that are "
    "stored with it and, if paths end in it, with those re-estimated as along the paths.",
    (
        *(MINIMUM, PAIR),
        Column("model", "text", "its network"),
        Column("checkpoint", "text", "the file it was read from; empty if it was trained in this run", empty=True),
        *RECIPE,
        *(MEANS, NORM, COUNTS, BATCH_NORM),
        ScoreColumns(("reestimated",)),
        replace(STATISTICS_FROM, meaning="how BatchNorm's statistics were re-estimated; `stored` if they were not"),
        Column("aligned", "text", "how its units were matched to those of a", empty=True, optional=True),
    ),
    key=("name",),
    needed=("pair", "name"),
    figures=("weights", "profile", "contours", "filled", "relief", "ratio"),
)

TRAINING = Table(
    "training",
    "A row for each epoch of each fit.",
    (
        PAIR,
        Column("fit", "name", "what was trained: minimum `a` or `b`, or a curve by its name"),
        Column("epoch", "whole", "passes over the data so far"),
        Column("step", "whole", "steps so far"),
        Column("lr", "number", "learning rate of the epoch's last step"),
        *(
            Column(score_column(split, metric), "number", f"{metric} {how}", unit, optional=True)
            for metric, unit in METRICS.items()
            for split, how in (
                ("train", "over the epoch's mini-batches, while the weights moved"),
                ("test", "on the split test after the epoch; of a curve at t = 1/2"),
            )
        ),
        Column("norm", "number", "Euclidean norm of all weights after the epoch; of a curve at t = 1/2"),
        Column(
            "largest", "number", "largest train loss along the curve, for `until`", "nats", empty=True, optional=True
        ),
        Column("reached", "truth", "whether that was low enough to stop", empty=True, optional=True),
        replace(BATCH_NORM, optional=True),
        replace(STATISTICS_FROM, meaning="how BatchNorm's statistics were found for the columns of the test split"),
        ScoreColumns(("mean", "examples"), alphabetical=True),
    ),
    key=("pair", "fit", "epoch"),
    needed=("pair", "fit", "epoch"),
    figures=("training", "weights"),
)

WEIGHTS = Table(
    "weights",
    "A row for each bin of the histogram of a minimum's weights, biases and norm parameters left out.",
    (
        *(PAIR, MINIMUM),
        Column("low", "number", "lower end of the bin"),
        Column("high", "number", "upper end of the bin"),
        Column("weights", "whole", "how many weights lie in it"),
        Column("density", "number", "their share of all weights, divided by the width of the bin"),
    ),
    key=("pair", "name", "low"),
    needed=("pair", "name", "low", "high", "density"),
    figures=("weights",),
)

PATHS = Table(
    "paths",
    "A row for each scored point of each path.",
    (PAIR, PATH, T, ARC_LENGTH, *SCORES),
    key=("pair", "path", "t"),
    needed=("pair", "path", "t"),
    figures=("paths", "weights"),
)

RESCORED = Table(
    "rescored",
    "A row for each point that was scored again on all examples: the ends of each path, and where it is worst.",
    (PAIR, Column("path", "name", "as in paths.csv; `ends` in tables of earlier versions"), T, ARC_LENGTH, *SCORES),
    key=("pair", "path", "t"),
    needed=("pair", "path", "t"),
    figures=("paths",),
)

QUANTITIES = (
    Column("start", "number", "L(0), the value at minimum a", _EITHER),
    Column("end", "number", "L(1), the value at minimum b", _EITHER),
    Column("min", "number", "smallest L(t)", _EITHER),
    Column("max", "number", "largest L(t)", _EITHER),
    Column("mean", "number", "mean of L(t) over the points", _EITHER),
    Column("integral", "number", "mean of L(t) over the length of the path (Garipov et al. 2018)", _EITHER),
    Column("argmax", "number", "the t of the largest L(t)"),
    Column("barrier", "number", "largest L(t) - (1 - t) L(0) - t L(1) (Entezari et al. 2022)", _EITHER),
    Column("barrier_low", "number", "lower end of the barrier's 95 % interval over examples", _EITHER, empty=True),
    Column("barrier_high", "number", "upper end of the barrier's 95 % interval over examples", _EITHER, empty=True),
    Column("barrier_mean", "number", "largest L(t) - (L(0) + L(1)) / 2 (Ainsworth et al. 2023)", _EITHER),
    Column("midpoint", "number", "L(1/2) - (L(0) + L(1)) / 2; empty if t = 1/2 was not scored", _EITHER, empty=True),
    Column("length", "number", "length of the path in weight space"),
    Column("length_ratio", "number", "length, divided by the distance between the ends", empty=True),
)

_chosen = partial(Column, optional=True, empty=True)

KNOWN = (
    _chosen("argmax_low", "number", "the scored t before that of the largest L(t), which lies between the two"),
    _chosen("argmax_high", "number", "the scored t after it"),
    _chosen(
        "interpolation_gap",
        "number",
        "relative error of losses that were interpolated just before they were scored; empty if none were",
    ),
    _chosen("converged", "truth", "whether the tolerance was reached"),
)

SUMMARY = Table(
    "summary",
    "A row for each path, split and metric. L(t) is the metric's mean over the examples at the point t of the path.",
    (
        *(GROUP, PAIR, PATH, SPLIT, METRIC),
        *QUANTITIES,
        EXAMPLES,
        BATCH_NORM,
        STATISTICS_FROM,
        _chosen(
            "examples_rescored",
            "whole",
            "examples of the points of rescored.csv, if the values are those of all examples",
        ),
        *KNOWN,
        Column("epochs", "whole", "epochs the path was trained for; 0 for a line", optional=True),
    ),
    key=("pair", "path", "split", "metric"),
    needed=("group", "pair"),
    figures=("paths", "training", "weights"),
)

COMPARISON = replace(
    SUMMARY,
    name="comparison",
    meaning="What `pathfinder compare --out` writes: the summaries of several runs.",
    columns=(Column("run", "text", "the folder of the run"), *SUMMARY.columns),
    key=("run", *SUMMARY.key),
    figures=(),
)

REPLICATES = Table(
    "replicates",
    "A row for each path, split, metric and quantity: its spread over the pairs of a group.",
    (
        *(GROUP, PATH, SPLIT, METRIC),
        Column("quantity", "name", "a column of summary.csv, from start to length_ratio"),
        Column("pairs", "whole", "how many pairs the group has"),
        Column("mean", "number", "mean over the pairs"),
        Column("std", "number", "standard deviation over the pairs; empty if there is one", empty=True),
        Column("min", "number", "smallest of the pairs"),
        Column("max", "number", "largest of the pairs"),
        Column("high", "number", "of the barrier: mean upper end of the pairs' 95 % intervals", empty=True),
        Column("low", "number", "of the barrier: mean lower end of the pairs' 95 % intervals", empty=True),
    ),
    key=("group", "path", "split", "metric", "quantity"),
)

PLANES = Table(
    "planes",
    "A row for each point of the grid over a plane.",
    (PAIR, PLANE, ACROSS, UP, *SCORES, *KNOWN_BETWEEN),
    key=("pair", "plane", "x", "y"),
    needed=("pair", "plane", "x", "y"),
    figures=("plane",),
)

PLANE_MARKERS = Table(
    "plane_markers",
    "A row for each anchor of the curve that spans a plane.",
    (PAIR, PLANE, Column("name", "name", "`a`, `b`, or a bend"), ACROSS, UP, AWAY),
    key=("pair", "plane", "name"),
    needed=("pair", "plane", "name", "x", "y"),
    figures=("plane",),
)

PLANE_PATHS = Table(
    "plane_paths",
    "A row for each point of each path of the pair, projected onto a plane.",
    (PAIR, PLANE, PATH, T, ACROSS, UP, AWAY),
    key=("pair", "plane", "path", "t"),
    needed=("pair", "plane", "path", "x", "y", "distance"),
    figures=("plane",),
)


ALIGNMENT = Table(
    "alignment",
    "A row for each pair: how the hidden units of b were matched to those of a.",
    (
        PAIR,
        Column("method", "name", "what was matched, `weights` or `activations`"),
        Column("groups", "whole", "groups of units that can be exchanged among themselves"),
        Column("units", "whole", "units in all groups"),
        Column("moved", "whole", "units that were moved"),
        Column("sweeps", "whole", "passes over all groups of the best order"),
        Column("orders", "whole", "random orders of the groups that were tried"),
        Column("best_orders", "whole", "orders that reached the best objective"),
        Column("distance_before", "number", "distance between a and b"),
        Column("distance", "number", "distance between a and the aligned b"),
        Column("objective_before", "number", "the objective before matching"),
        Column("objective", "number", "inner product of the weights, or mean correlation of the matched activations"),
    ),
    key=("pair",),
)

BARRIERS = Table(
    "barriers",
    "A row for each method and every two minima of a group: the barrier of the line between them.",
    (
        GROUP,
        Column("a", "name", "one minimum"),
        Column("b", "name", "the other minimum"),
        Column("method", "name", "how b was aligned to a, `weights` or `activations`; `none` if it was not"),
        Column("distance", "number", "distance between a and b"),
        ScoreColumns(("barrier", "barrier_low", "barrier_high")),
        *(COUNTS, BATCH_NORM, STATISTICS_FROM),
    ),
    key=("group", "a", "b", "method"),
    needed=("group", "a", "b", "method", "train_loss_barrier"),
    figures=("barriers",),
)

TABLES = {
    table.name: table
    for table in (
        MINIMA, TRAINING, WEIGHTS, PATHS, SUMMARY, REPLICATES, RESCORED, PLANES, PLANE_MARKERS, PLANE_PATHS,
        SURFACES, SURFACE_SHAPES, TRAJECTORY, CURVATURE, POINT, ALIGNMENT, BARRIERS, RACE, RACE_METHODS,
    )
}  # fmt: skip


def as_markdown() -> str:
    """Describe every table and column in Markdown, for the documentation."""
    return "\n\n".join(table.as_markdown() for table in TABLES.values()) + "\n"
