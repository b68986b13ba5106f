"""Measure the curvature of the loss at a point, along a curve or over a surface."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pathfinder.cli.commands.opened import Asked, Opened
from pathfinder.cli.commands.target import Target, check, counted, not_interpolated, target_of
from pathfinder.data.sources import fingerprints
from pathfinder.errors import unknown
from pathfinder.experiment.folder import Run
from pathfinder.geometry.planes import Ray
from pathfinder.landscape.curvature import curvature_table
from pathfinder.landscape.settings import Curvature as Settings
from pathfinder.progress import Report
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.storage.keys import key_of

_PLACES = {"point": (1,), "path": (1, 2), "surface": (1,)}  # how many files


def curvature(
    where: str,
    files: list[Path],
    asked: Asked,
    out: Path,
    surface: dict[str, Any],
    examples: int | None,
    scoring: dict[str, Any],
    settings: dict[str, Any],
    report: Report,
    fresh: bool,
) -> pd.DataFrame:
    """Both ends of the Hessian's spectrum, and its trace, on training examples; writes curvature.csv and its figure.

    Args:
        where: `point`, `path` or `surface`.
        files: a minimum; for a path a curve, or the two minima of a line.
        asked: data and network, where the file does not say them.
        out: the folder.
        surface: points of a path; or settings of `scoring.Surface`.
        examples: training examples whose mean loss it is; all if not given.
        scoring: arguments of `Evaluator`, which re-estimates BatchNorm.
        settings: tolerance, most, samples, seed of `curvature_table`.
        report: gives progress functions.
        fresh: whether nothing that an earlier call kept is used.
    """
    if where not in _PLACES:
        raise unknown("place to measure curvature at", where, _PLACES)
    counted(files, where, _PLACES[where])
    check(where, surface, {**scoring, "examples": examples})
    Settings.parse({key: value for key, value in settings.items() if key != "seed"})
    opened = Opened(files, asked, weights=where != "path")
    not_interpolated(opened, scoring, "curvature")
    evaluator = Evaluator(opened.space, opened.data, **scoring)
    data = opened.data["train"].subset(examples, scoring["seed"])
    run = Run(out, f"curvature-{where}-{key_of(opened.digests)[:8]}", report, fresh)
    place = "surface" if where == "surface" else "line" if len(files) == 2 else "curve"
    target = _point(opened) if where == "point" else target_of(place, opened, surface)
    counts = {"examples": len(data), "batch_norm_examples": evaluator.counts()["batch_norm_examples"]}
    config: dict[str, Any] = {"files": [str(file) for file in files], "where": where, "data": opened.network.data}
    config |= {**surface, **scoring, **settings}
    run.describe(scoring["device"], opened.data, seed=scoring["seed"], config=config, scored=counts)
    made_of = (opened.identity, opened.digests, fingerprints(opened.data), scoring, settings)
    key = key_of(*made_of, len(data), target.asked, target.t.tolist())
    name = "" if where == "path" else "minimum"
    with run:
        with run.stage(f"curvature {where}", key) as (stage, progress):
            table = curvature_table(
                opened.space, target.geometry, target.t, data, progress=progress, stage=stage, device=scoring["device"],
                statistics=evaluator.reestimate if evaluator.reestimates else None, batch_size=scoring["batch_size"],
                **settings,
            )  # fmt: skip
        run.results.add_curvature("pair", name, _along(where, opened), table.assign(**counts))
    return table


def _along(where: str, opened: Opened) -> str:
    """What the table calls the place: a path by its kind."""
    return opened.curve.kind() if where == "path" else where


def _point(opened: Opened) -> Target:
    ray = Ray(opened.theta, opened.theta)
    return Target(ray, torch.zeros(1, dtype=torch.float64), "point", lambda results, scored: None)
