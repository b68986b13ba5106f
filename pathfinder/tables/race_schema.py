"""The tables of a race, with the meaning, type and unit of every column."""

from pathfinder.tables.common_columns import GROUP, PAIR, PATH
from pathfinder.tables.table import Column, Table

_METHOD = Column("method", "name", "how the path was found, without its budget")
_PASSES = "passes over the training data, forward and backward; a forward pass alone counts a third"

RACE = Table(
    "race",
    "A row for each pair, method and budget: what it took, and how flat the path is; none if its training diverged.",
    (
        *(GROUP, PAIR, PATH, _METHOD),
        Column("epochs", "whole", "the budget; 0 for a line"),
        Column("steps", "whole", "gradient steps"),
        Column("examples", "whole", "examples seen: passes times the examples of the training data"),
        Column("passes", "number", _PASSES),
        Column("length", "number", "length of the path in weight space"),
        Column("max", "number", "largest train loss along the path", "nats"),
        Column("max_low", "number", "lower end of its 95 % interval over the examples, at the same t", "nats"),
        Column("max_high", "number", "upper end of it", "nats"),
        Column(
            "target",
            "number",
            "median over the pairs of the group of the reference's `max` after its largest budget; if their number is "
            "even, the higher of both middle ones",
            "nats",
        ),
        Column("met", "truth", "whether `max` is at most the target"),
    ),
    key=("pair", "path"),
    needed=("group", "pair", "method", "passes", "max", "target"),
    figures=("race",),
)

RACE_METHODS = Table(
    "race_methods",
    "A row for each group and method: the smallest budget that met the target, over the pairs.",
    (
        *(GROUP, _METHOD),
        Column("reference", "truth", "whether the target is what this method ends with"),
        Column("pairs", "whole", "how many pairs there are"),
        Column("met", "whole", "how many of them met the target"),
        Column("passes", "number", f"median of the {_PASSES}; empty if half of the pairs did not meet it", empty=True),
        Column("passes_low", "number", "smallest over the pairs; empty if none met it", empty=True),
        Column("passes_high", "number", "largest over the pairs; empty if one did not meet it", empty=True),
        Column("times_fewer", "number", "median passes of the reference over those of this method", empty=True),
    ),
    key=("group", "method"),
    needed=("group", "method", "reference", "passes", "passes_low", "passes_high"),
    figures=("race",),
)
