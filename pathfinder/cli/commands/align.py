"""Align one minimum to another."""

from pathlib import Path

import pandas as pd

from pathfinder.cli.commands.opened import Asked, Opened
from pathfinder.cli.outputs import may_replace, weights_file
from pathfinder.symmetry.matching import align as align_weights
from pathfinder.symmetry.settings import Align


def align(
    a: Path,
    b: Path,
    asked: Asked,
    out: Path,
    method: str,
    orders: int,
    examples: int,
    seed: int,
    force: bool,
) -> pd.DataFrame:
    """Write b with its hidden units in the order of a's.

    Args:
        a: the minimum to follow.
        b: the minimum to align.
        asked: data and network, where the files do not say them.
        out: the file for the aligned weights.
        method: `weights` or `activations`.
        orders: random orders that weight matching tries.
        examples: training examples whose activations are compared.
        seed: draws orders and examples.
        force: whether any other file at `out` is replaced.

    Returns:
        The row of `Alignment.row`.
    """
    settings = Align.parse({"method": method, "orders": orders, "examples": examples})
    out, own = weights_file(out, [a, b]), {"aligned": {"to": a.name, "method": method}}
    may_replace(out, own, force)
    opened = Opened([a, b], asked)
    space, theirs, ours = opened.space, opened.curve.start, opened.curve.end
    found = align_weights(space, theirs, ours, opened.data["train"], settings, opened.statistics, seed)
    opened.network.save(out, space.state_dict(found.vector, found.statistics), **own)
    return pd.DataFrame([found.row(theirs, ours)])
