"""What figures call things: networks, minima, paths, directions, and how BatchNorm's statistics were found."""

import re
from collections.abc import Sequence

import pandas as pd

ALIGNED = "aligned-"  # before the name of a path whose end b was aligned to a
REPAIRED = f"{ALIGNED}line-repair"  # the line to the aligned b whose hidden units were repaired
NO_SHORTCUTS = "without shortcuts"

_PATHS = {"line": "line", "polychain": "polygonal chain", "bezier": "Bezier curve"}
_UNNAMED = ("pair", "minimum")  # what commands call the two minima, or the one, that they are given
_PLAIN = ("surface", "profile", "stored")  # names of surfaces that say nothing, or what another note says
_FAMILIES = {
    "convnet": "ConvNet",
    "densenet": "DenseNet",
    "mlp": "MLP",
    "preresnet": "Pre-activation ResNet",
    "resnet": "ResNet",
    "vgg": "VGG",
    "wrn": "Wide ResNet",
}
_MODEL = re.compile(rf"({'|'.join(_FAMILIES)})-?(\d+(?:-\d+)*)?((?:-(?:bn|noshort))*)")
_DIRECTIONS = {  # by the first part of a surface's name, one and two of them
    "filter": ("a filter-normalised random direction", "filter-normalised random directions"),
    "layer": ("a layer-normalised random direction", "layer-normalised random directions"),
    "weight": ("a weight-normalised random direction", "weight-normalised random directions"),
    "none": ("a random direction", "random directions"),
    "raw": ("a random direction", "random directions"),
    "trajectory": ("the principal direction of training", "the principal directions of training"),
}
_BATCH_NORM = {
    "training": "BatchNorm re-estimated from inputs as in training",
    "reestimate": "BatchNorm re-estimated from clean inputs",
    "stored": "BatchNorm as stored",
    "interpolate": "BatchNorm interpolated between the ends",
}
_REESTIMATED = "BatchNorm re-estimated"  # of tables that do not say from which inputs


def model_label(name: str) -> str:
    """What to call a network; names that are not pathfinder's stay as they are.

    >>> model_label("resnet56-noshort"), model_label("vgg16-bn"), model_label("wrn28-10"), model_label("my_nets:Net")
    ('ResNet-56 without shortcuts', 'VGG-16 with BatchNorm', 'Wide ResNet-28-10', 'Net')
    """
    own = name.rpartition(":")[2]
    found = _MODEL.fullmatch(own)
    if not found:
        return own
    family, size, kinds = found.groups()
    label = _FAMILIES[family] + (f"-{size}" if size else "")
    return label + " with BatchNorm" * ("-bn" in kinds) + f" {NO_SHORTCUTS}" * ("-noshort" in kinds)


def has_size(label: str) -> bool:
    """Whether the label of a network says which of its family it is.

    >>> has_size("ResNet-56 without shortcuts"), has_size("ResNet")
    (True, False)
    """
    return label not in _FAMILIES.values()


def name_label(name: str) -> str:
    """What to call a minimum of which nothing but its name is known.

    >>> name_label("resnet56-noshort-a"), name_label("k0.5-noshort-b"), name_label("noshort"), name_label("digits-a")
    ('ResNet-56 without shortcuts', 'k0.5, without shortcuts', 'without shortcuts', 'digits')
    """
    own = re.sub(r"-[ab]$", "", name)
    if _MODEL.fullmatch(own):
        return model_label(own)
    parts = {"noshort": NO_SHORTCUTS, "shortcut": "with shortcuts"}
    for part, words in parts.items():
        if own == part:
            return words
        if own.endswith(f"-{part}"):
            return f"{own.removesuffix(f'-{part}')}, {words}"
    return own


def path_label(name: str) -> str:
    """What to call a path in a legend.

    >>> path_label("bezier"), path_label("aligned-line-repair"), path_label("my-curve")
    ('Bezier curve', 'line, b aligned, REPAIR', 'my-curve')
    """
    if name == REPAIRED:
        return f"{path_label(f'{ALIGNED}line')}, REPAIR"
    own = name.removeprefix(ALIGNED)
    return ", ".join([_PATHS.get(own, own), *["b aligned"] * name.startswith(ALIGNED)])


def of_pair(name: str) -> str:
    """` of NAME`, to follow `the minima`; nothing if the pair has no name.

    >>> of_pair("convnet-1"), of_pair("resnet20"), of_pair("pair")
    (' of ConvNet-1', ' of ResNet-20', '')
    """
    return "" if name in _UNNAMED else f" of {model_label(name)}"


def surroundings(minima: Sequence[str], surface: str) -> str:
    """Where a profile or surface lies: around which minima, and along which directions, if its name says so.

    >>> surroundings(["ResNet-56"], "filter-2d")
    'around ResNet-56, along filter-normalised random directions'
    >>> surroundings(["ResNet-20", "ResNet-56"], "wide")
    'around the minima'
    """
    one = "the minimum" if minima[0] in _UNNAMED else minima[0]
    along = f", along {directions}" if (directions := _directions(surface)) else ""
    return f"around {one if len(minima) == 1 else 'the minima'}{along}"


def surface_notes(surface: str) -> list[str]:
    """The name of a surface that a title cannot tell in words.

    >>> surface_notes("wide"), surface_notes("filter-2d"), surface_notes("surface")
    (['surface wide'], [], [])
    """
    return [] if _directions(surface) or surface in _PLAIN else [f"surface {surface}"]


def _directions(surface: str) -> str:
    """The directions that the name of a surface names; nothing for other names."""
    found = re.fullmatch(r"(\w+)-([12])d", surface)
    kind, axes = (found[1], int(found[2])) if found else (surface if surface == "trajectory" else "", 2)
    return _DIRECTIONS[kind][axes - 1] if kind in _DIRECTIONS else ""


def batch_norm_notes(rows: pd.DataFrame) -> list[str]:
    """How the statistics of BatchNorm were found in the rows of a table, each way once; none without BatchNorm.

    Tables of earlier versions lack the column `batch_norm`; they count the examples that re-estimated statistics.

    >>> batch_norm_notes(pd.DataFrame({"batch_norm": ["stored", "none", "stored"]}))
    ['BatchNorm as stored']
    >>> batch_norm_notes(pd.DataFrame({"batch_norm_examples": [500, 0]}))
    ['BatchNorm re-estimated']
    """
    if "path" in rows:  # REPAIR has statistics of its own, which its label says
        rows = rows[rows["path"] != REPAIRED]
    if "batch_norm" in rows:
        return [_BATCH_NORM[way] for way in rows["batch_norm"].dropna().unique() if way in _BATCH_NORM]
    counted = "batch_norm_examples" in rows and (rows["batch_norm_examples"] > 0).any()
    return [_REESTIMATED] if counted else []
