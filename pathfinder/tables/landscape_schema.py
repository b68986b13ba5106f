"""The tables of what lies around minima: surfaces, trajectories, curvature, and the scores of a point."""

from pathfinder.tables.common_columns import (
    AWAY,
    BATCH_NORM,
    COUNTS,
    KNOWN_BETWEEN,
    MINIMUM,
    PAIR,
    SCORES,
    STATISTICS_FROM,
    SURFACE,
    X,
    Y,
)
from pathfinder.tables.table import Column, Table

SURFACES = Table(
    "surfaces",
    "A row for each point along one direction, or of the grid over two, around a minimum.",
    (PAIR, MINIMUM, SURFACE, X, Y, *SCORES, *KNOWN_BETWEEN),
    key=("pair", "name", "surface", "x", "y"),
    needed=("pair", "name", "surface", "x", "y", "train_loss"),
    figures=("profile", "contours", "filled", "relief"),
)


SURFACE_SHAPES = Table(
    "surface_shapes",
    "A row for each surface over two directions: the shape of its train loss in a few numbers.",
    (
        *(PAIR, MINIMUM, SURFACE),
        Column("points", "whole", "points of the grid"),
        Column("centre", "number", "train loss at the minimum, or at the point next to it", "nats"),
        Column("median", "number", "median train loss of the points", "nats"),
        Column("largest", "number", "largest train loss of the points", "nats"),
        Column("share_low", "number", "share of the points whose train loss is below 1 nat", "%"),
        Column(
            "local_minima", "whole", "points lower than all eight neighbours and higher than the centre, edges left out"
        ),
        *(COUNTS, BATCH_NORM, STATISTICS_FROM, *KNOWN_BETWEEN),
    ),
    key=("pair", "name", "surface"),
)


TRAJECTORY = Table(
    "trajectory",
    "A row for each checkpoint of a minimum's training, projected onto the directions of a profile or surface.",
    (
        *(PAIR, MINIMUM, SURFACE),
        Column("epoch", "whole", "epochs of training behind the checkpoint"),
        *(X, Y, AWAY),
        Column("explained_x", "number", "share of the checkpoints' variance along x", empty=True, optional=True),
        Column("explained_y", "number", "share of the checkpoints' variance along y", empty=True, optional=True),
    ),
    key=("pair", "name", "surface", "epoch"),
    needed=("pair", "name", "surface", "x", "y"),
    figures=("contours", "filled"),
)


CURVATURE = Table(
    "curvature",
    "A row for each point at which the Hessian of the train loss was measured.",
    (
        PAIR,
        Column("name", "name", "the minimum around which it lies; empty on a path", empty=True),
        Column("along", "name", "the path, or the profile or surface, by its name", in_file_names=True),
        Column("t", "number", "position on a path", empty=True, optional=True),
        Column("x", "number", "position along the first direction", empty=True, optional=True),
        Column("y", "number", "position along the second direction", empty=True, optional=True),
        Column("lambda_min", "number", "smallest eigenvalue", "nats", empty=True),
        Column("lambda_max", "number", "largest eigenvalue", "nats", empty=True),
        Column("ratio", "number", "absolute value of the smallest divided by the largest", empty=True),
        Column(
            "residual_min",
            "number",
            "length of H v - lambda_min v, for the unit vector v that was found",
            "nats",
            empty=True,
        ),
        Column(
            "residual_max",
            "number",
            "length of H v - lambda_max v, for the unit vector v that was found",
            "nats",
            empty=True,
        ),
        Column("products", "whole", "products of the Hessian with a vector that it took"),
        Column("converged", "truth", "whether both residuals are within the tolerance"),
        Column("trace", "number", "trace, estimated with random vectors", "nats", empty=True, optional=True),
        Column("trace_se", "number", "standard error of the trace", "nats", empty=True, optional=True),
        Column(
            "parameters",
            "name",
            "of what it is: `all`, or `matrices`, tensors of two axes or more",
            optional=True,
        ),
        Column("examples", "whole", "how many training examples the loss is the mean of"),
        BATCH_NORM,
        STATISTICS_FROM,
        Column(
            "interpolation_gap",
            "number",
            "where ratios chose the points: by how much log(ratio + 0.01) was off at 95 % of the last, before these "
            "were measured",
            empty=True,
            optional=True,
        ),
        Column("interpolation_converged", "truth", "whether that is within the tolerance", empty=True, optional=True),
    ),
    key=("pair", "name", "along", "t", "x", "y"),
    needed=("pair", "name", "along", "ratio", "converged"),
    figures=("curvature", "ratio"),
)


POINT = Table(
    "point",
    "What `pathfinder score point` writes: a row for each way to find BatchNorm's statistics at one minimum.",
    (MINIMUM, *SCORES),
    key=("name", "batch_norm"),
)
