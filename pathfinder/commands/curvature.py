"""Measure the curvature of the loss at a point, along a curve or over a surface."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pathfinder import __version__
from pathfinder.commands.opened import Asked, Opened
from pathfinder.commands.target import Target, target_of
from pathfinder.curvature import curvature_table
from pathfinder.evaluate import Evaluator
from pathfinder.folder import Report, RunFolder, fingerprints, key_of
from pathfinder.lookup import unknown
from pathfinder.plane import Ray
from pathfinder.results import Results

_PLACES = {"point": "direction", "path": "curve", "surface": "surface"}  # as `score` calls them


def curvature(
    where: str,
    file: Path,
    asked: Asked,
    out: Path,
    what: dict[str, Any],
    examples: int | None,
    scoring: dict[str, Any],
    settings: dict[str, Any],
    report: Report,
) -> pd.DataFrame:
    """Both ends of the Hessian's spectrum, and its trace, on training examples; writes curvature.csv and its figure.

    Args:
        where: `point`, `path` or `surface`.
        file: a minimum, or a curve for a path.
        asked: data and network, where the file does not say them.
        out: the folder.
        what: as `where` of `score`.
        examples: training examples whose mean loss it is; all if not given.
        scoring: arguments of `Evaluator`, which re-estimates BatchNorm.
        settings: tolerance, most, samples, seed of `curvature_table`.
        report: gives progress functions.
    """
    from pathfinder.figures import draw

    if where not in _PLACES:
        raise unknown("place to measure curvature at", where, _PLACES)
    opened = Opened([file], asked, weights=where != "path")
    evaluator = Evaluator(opened.space, opened.data, **scoring)
    data = opened.data["train"].subset(examples, scoring["seed"])
    folder, results = RunFolder(out, f"curvature-{where}-{key_of(opened.digests)[:8]}", report), Results(out)
    target = _point(opened) if where == "point" else target_of(_PLACES[where], opened, what)
    config = {"file": str(file), "where": where, "data": opened.network.data, **what, **scoring, **settings}
    record = {"seed": scoring["seed"], "config": config, "scored": {"train_examples": len(data)}}
    folder.write_record(scoring["device"], opened.data, **record)
    made_of = (__version__, opened.network.description, opened.digests, fingerprints(opened.data), scoring, settings)
    key = key_of(*made_of, len(data), target.asked, target.t.tolist())
    with folder.stage(f"curvature {where}", key) as (stage, progress):
        table = curvature_table(
            opened.space, target.geometry, target.t, data, progress=progress, stage=stage, device=scoring["device"],
            statistics=evaluator.reestimate if evaluator.reestimates else None, batch_size=scoring["batch_size"],
            **settings,
        )  # fmt: skip
    counted = {"examples": len(data), "batch_norm_examples": evaluator.counts()["batch_norm_examples"]}
    results.add_curvature("pair", "" if where == "path" else "minimum", where, table.assign(**counted))
    results.write()
    results.remove_stale()
    draw(out)
    folder.write_record(scoring["device"], opened.data, **record)
    return table


def _point(opened: Opened) -> Target:
    ray = Ray(opened.theta, opened.theta)
    return Target(ray, torch.zeros(1, dtype=torch.float64), "point", lambda results, scored: None)
