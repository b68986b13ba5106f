"""Columns that several tables share, and those of a recipe of training."""

from functools import partial

from pathfinder.tables.table import Column, ScoreColumns

PAIR = Column("pair", "name", "the two minima, a and b", in_file_names=True)
GROUP = Column("group", "name", "pairs that differ only in their seeds", in_file_names=True)
PATH = Column("path", "name", "the path between the minima: `line`, or the name of a curve")
MINIMUM = Column("name", "name", "the minimum")
SURFACE = Column("surface", "name", "the name of the profile or surface", in_file_names=True)
PLANE = Column("plane", "name", "the name of the curve whose plane it is", in_file_names=True)
SPLIT = Column("split", "name", "the part of the data")
METRIC = Column("metric", "name", "`loss` or `error`")
T = Column("t", "number", "position on the path, 0 at minimum a and 1 at minimum b")
X = Column("x", "number", "position along the first direction; the minimum is at 0")
Y = Column("y", "number", "position along the second direction; empty if there is only one", empty=True)
ACROSS = Column("x", "number", "position in the plane, along the straight line from a to b, in units of distance")
UP = Column("y", "number", "position in the plane, at right angles to x, in units of distance")
AWAY = Column("distance", "number", "distance of the weights from the directions or plane shown")
ARC_LENGTH = Column("arc_length", "number", "length of the path from minimum a to here")
NORM = Column("norm", "number", "Euclidean norm of all weights")
EXAMPLES = Column("examples", "whole", "how many examples were scored")
BATCH_NORM = Column("batch_norm_examples", "whole", "how many examples re-estimated BatchNorm; 0 if none did")
STATISTICS_FROM = Column(
    "batch_norm",
    "name",
    "how BatchNorm's statistics were found: `training`, `reestimate`, `stored` or `interpolate`; `none` without any",
    optional=True,
)
MEANS, STANDARD_ERRORS, COUNTS = (ScoreColumns((statistic,)) for statistic in ("mean", "se", "examples"))
SCORES = (NORM, MEANS, STANDARD_ERRORS, COUNTS, BATCH_NORM, STATISTICS_FROM)

KNOWN_BETWEEN = (
    Column(
        "interpolation_gap",
        "number",
        "where losses chose the points: by how much log(loss + 0.01) was off at 95 % of the last, before they were "
        "scored",
        empty=True,
        optional=True,
    ),
    Column("converged", "truth", "whether that is within the tolerance", empty=True, optional=True),
)

_setting = partial(Column, empty=True, optional=True)  # a minimum that was read from a file has none

RECIPE = (
    _setting("epochs", "whole", "passes over the training data"),
    _setting("lr", "number", "largest learning rate"),
    _setting("batch_size", "whole", "examples per step"),
    _setting("micro_batch_size", "whole", "examples per forward pass, if fewer than batch_size"),
    _setting("optimizer", "text", "`sgd`, `adam` or `adamw`"),
    _setting("momentum", "number", "momentum of SGD"),
    _setting("nesterov", "truth", "whether Nesterov momentum is used"),
    _setting("weight_decay", "number", "weight decay of the optimiser"),
    _setting("label_smoothing", "number", "share of the target that is spread over all classes"),
    _setting("schedule", "text", "how the learning rate changes"),
    _setting("seed", "whole", "draws the order of the examples"),
    _setting("init_seed", "whole", "draws the initial weights"),
)
