"""Options that take one of a few words."""

from enum import StrEnum


class BatchNorm(StrEnum):
    """Where the running statistics of BatchNorm come from."""

    training = "training"
    reestimate = "reestimate"
    stored = "stored"
    interpolate = "interpolate"
    augmented = "augmented"  # the former name of `training`


class Precision(StrEnum):
    """The arithmetic of a network."""

    fp32 = "fp32"
    bf16 = "bf16"


class Normalization(StrEnum):
    """How a random direction is scaled to the weights."""

    filter = "filter"
    layer = "layer"
    weight = "weight"
    none = "none"


class Parameters(StrEnum):
    """With respect to which parameters the loss is differentiated."""

    all = "all"
    matrices = "matrices"


class Matching(StrEnum):
    """What is compared to match hidden units."""

    weights = "weights"
    activations = "activations"


class Format(StrEnum):
    """Kinds of files of figures."""

    png = "png"
    pdf = "pdf"


class Lines(StrEnum):
    """Levels of contour lines."""

    paper = "paper"
    log = "log"
