"""Score files without training, and export a point of a curve."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pathfinder.cli.commands.opened import Asked, Opened
from pathfinder.cli.commands.target import FILES, LANDSCAPES, check, counted, not_interpolated, target_of
from pathfinder.cli.outputs import may_replace, weights_file
from pathfinder.data.sources import fingerprints
from pathfinder.errors import PathfinderError, unknown
from pathfinder.experiment.folder import Run
from pathfinder.progress import Report
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.storage.keys import key_of


def score(
    what: str,
    files: list[Path],
    asked: Asked,
    out: Path,
    where: dict[str, Any],
    scoring: dict[str, Any],
    report: Report,
    fresh: bool,
) -> pd.DataFrame | None:
    """Score a `line`, `curve`, `plane`, `direction` or `surface` given by files, and write its tables and figures.

    Args:
        what: what to score.
        files: two minima; a curve; for a plane, a curve or a minimum, a bend and a minimum; else the minimum around
            which to score.
        asked: data and network, where the first file does not say them.
        out: the folder.
        where: further arguments of `target_of`.
        scoring: arguments of `Evaluator`.
        report: gives progress functions.
        fresh: whether nothing that an earlier call kept is used.

    Returns:
        The summary, for paths.
    """
    if what not in FILES:
        raise unknown("thing to score", what, FILES)
    counted(files, what, FILES[what])
    check(what, where["surface"], scoring, where["low"], where["high"], where["margin"])
    opened = Opened(files, asked, weights=what in LANDSCAPES)
    if what not in ("line", "curve"):
        not_interpolated(opened, scoring, f"a {what}")
    evaluator = Evaluator(opened.space, opened.data, statistics=opened.statistics, **scoring)
    run = Run(out, f"score-{what}-{key_of(opened.digests)[:8]}", report, fresh)
    target = target_of(what, opened, **where)
    config = {"files": [str(file) for file in files], "data": opened.network.data, **where, **scoring}
    run.describe(scoring["device"], opened.data, seed=scoring["seed"], config=config, scored=evaluator.counts())
    made_of = (opened.identity, opened.digests, fingerprints(opened.data), scoring)
    key = key_of(*made_of, target.asked, target.t.tolist())
    with run:
        with run.stage(what, key) as (stage, progress):
            scored = evaluator.score(target.geometry, target.t, progress=progress, stage=stage)
        target.add(run.results, scored)
    return run.results.table("summary") if what in ("line", "curve") else None


def export(file: Path, t: float, out: Path, asked: Asked, batch_size: int, device: str, force: bool) -> None:
    """Write the network at one point of a curve, its BatchNorm re-estimated on the training data."""
    if not 0 <= t <= 1:
        raise PathfinderError(f"t must be 0 to 1, got {t}.")
    out, own = weights_file(out, [file]), {"curve": file.name, "t": t}
    may_replace(out, own, force)
    opened = Opened([file], asked)
    evaluator = Evaluator(opened.space, opened.data, batch_size=batch_size, device=device)
    theta = opened.curve(torch.tensor([t], dtype=torch.float64))[0].detach()
    statistics = evaluator.reestimate(theta).cpu() if opened.space.has_statistics else None
    opened.network.save(out, opened.space.state_dict(theta, statistics), **own)
