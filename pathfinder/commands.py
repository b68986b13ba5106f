"""What the commands do that need no whole experiment: train one minimum, score a file, export, compare, list."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pathfinder import __version__
from pathfinder.config import Data, Minimum, Model, Surface
from pathfinder.data import smallest
from pathfinder.datasets import DATASETS
from pathfinder.errors import PathfinderError
from pathfinder.evaluate import Evaluator, means
from pathfinder.fit import fit_minimum
from pathfinder.folder import Report, RunFolder, digest, fingerprints, key_of
from pathfinder.geometry import Curve, Geometry, Line, PolyChain, kinds
from pathfinder.landscape import landscape
from pathfinder.lookup import unknown
from pathfinder.models import MODELS
from pathfinder.networks import (
    data_of,
    last_good,
    load_curve_state,
    network_for,
    network_of,
    probe,
    trajectory,
    weights_file,
)
from pathfinder.plane import Plane
from pathfinder.recipe import Recipe
from pathfinder.results import Results
from pathfinder.scores import Scores
from pathfinder.storage import Stage, load_weights
from pathfinder.tables import read_table, write_table
from pathfinder.weights import WeightSpace, load_state


@dataclass(frozen=True)
class Asked:
    """Data and network as the user gave them to a command; what is not given, the files say themselves."""

    data: str | None = None
    data_arguments: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    model_arguments: Mapping[str, Any] = field(default_factory=dict)


_FILES = {"line": (2,), "curve": (1,), "plane": (1, 3), "direction": (1,), "surface": (1,)}
_LANDSCAPES = {"direction": 1, "surface": 2}  # axes


def train(
    asked: Asked,
    out: Path,
    recipe: dict[str, Any],
    checkpoint_every: int | None,
    device: str,
    precision: str,
    report: Report,
) -> dict[str, float]:
    """Train a minimum and write it to a file.

    The state of an unfinished fit is kept beside it, in `.NAME.partial`, and removed at the end; weights on the way, if
    asked for, in the folder NAME-trajectory.

    Returns:
        The losses and errors of the minimum.
    """
    settings, out = Recipe.parse(recipe), weights_file(out)
    if checkpoint_every is not None and checkpoint_every < 1:
        raise PathfinderError(f"--checkpoint-every must be 1 epoch or more, got {checkpoint_every}.")
    data = Data.parse({"name": asked.data, **asked.data_arguments})
    splits = data.load()
    network = network_for(Model.parse({"name": asked.model, **asked.model_arguments}), data, splits["train"])
    module = network.build(settings.seed)
    probe(module, splits, network.name, [smallest(splits["train"], settings.batch_size, settings.micro_batch_size)])
    space = WeightSpace(module)
    shared = {"batch_norm": "stored", "device": device, "precision": precision}
    evaluator = Evaluator(space, splits, **shared)
    tested = {name: split for name, split in splits.items() if name != "train"}
    watcher = Evaluator(space, tested, **shared) if tested else None
    key = key_of(
        __version__,
        network.metadata(),
        fingerprints(splits),
        settings.model_dump(),
        device,
        precision,
        checkpoint_every,
    )
    stage = Stage(out.parent / f".{out.name}.partial", key)

    def scores(by: Evaluator) -> dict[str, float]:
        return means(by.at(space.vector(module), space.statistics(module)))

    keep = checkpoint_every and trajectory(
        out.with_name(f"{out.stem}-trajectory"), network, module, checkpoint_every, settings.epochs
    )
    kept = out.with_name(f"{out.stem}.last-good.safetensors")
    with last_good(kept, lambda path: network.save(path, module.state_dict())):
        fit_minimum(
            module, splits["train"], monitor=watcher and (lambda: scores(watcher)), checkpoint=keep, device=device,
            precision=precision, progress=report(f"train {network.name}"), stage=stage, **settings.model_dump(),
        )  # fmt: skip
    network.save(out, module.state_dict(), recipe=settings.model_dump(), key=key)
    stage.path.unlink(missing_ok=True)
    return scores(evaluator)


def score(
    what: str,
    files: list[Path],
    asked: Asked,
    out: Path,
    where: dict[str, Any],
    scoring: dict[str, Any],
    report: Report,
) -> pd.DataFrame | None:
    """Score a `line`, `curve`, `plane`, `direction` or `surface` given by files, and write its tables and figures.

    Args:
        what: what to score.
        files: two minima; a curve; for a plane, a curve or a minimum, a bend and a minimum; else the minimum around
            which to score.
        asked: data and network, where the first file does not say them.
        out: the folder.
        where: low and high of a line; margin of a plane; surface, the settings of `config.Surface` (whose points are
            those of the others too); trajectory, a folder of checkpoints.
        scoring: arguments of `Evaluator`.
        report: gives progress functions.

    Returns:
        The summary, for paths.
    """
    from pathfinder.figures import draw

    if what not in _FILES:
        raise unknown("thing to score", what, _FILES)
    if len(files) not in _FILES[what]:
        raise PathfinderError(f"a {what} needs {' or '.join(map(str, _FILES[what]))} files, got {len(files)}.")
    opened = _Opened(files, asked, weights=what in _LANDSCAPES)
    evaluator = Evaluator(opened.space, opened.data, statistics=opened.statistics, **scoring)
    folder, results = RunFolder(out, f"score-{what}-{key_of(opened.digests)[:8]}", report), Results(out)
    target = _target(what, opened, where)
    config = {"files": [str(file) for file in files], "data": opened.network.data, **where, **scoring}
    record = {"seed": scoring["seed"], "config": config, "scored": evaluator.counts()}
    folder.write_record(scoring["device"], opened.data, **record)
    made_of = (__version__, opened.network.description, opened.digests, fingerprints(opened.data), scoring)
    key = key_of(*made_of, target.asked, target.t.tolist())
    with folder.stage(what, key) as (stage, progress):
        scored = evaluator.score(target.geometry, target.t, progress=progress, stage=stage)
    target.add(results, scored)
    results.write()
    results.remove_stale()
    draw(out)
    folder.write_record(scoring["device"], opened.data, **record)
    return results.table("summary") if what in ("line", "curve") else None


@dataclass(frozen=True)
class _Target:
    """What a command scores: a geometry at coordinates, what was asked for, and the tables the scores go into."""

    geometry: Geometry
    t: Tensor
    asked: Any
    add: Callable[[Results, Scores], None]


def _target(what: str, opened: "_Opened", where: dict[str, Any]) -> _Target:
    if what in _LANDSCAPES:
        settings = Surface.parse({**where["surface"], "axes": _LANDSCAPES[what]})
        checkpoints = sorted(Path(where["trajectory"]).glob("epoch-*.safetensors")) if where["trajectory"] else []
        found = landscape(opened.space, opened.theta, settings, checkpoints)
        add = partial(Results.add_surface, pair="pair", name="minimum", surface=settings.title)
        asked = [settings.model_dump(), [digest(file) for file in checkpoints]]
        return _Target(found.geometry, found.t, asked, lambda r, s: add(r, scored=s, trajectory=found.trajectory))
    curve, kind, points = opened.curve, opened.curve.kind(), where["surface"].get("points")
    if points is not None and not isinstance(points, int):
        raise PathfinderError(f"--points of a {what} must be one number, got {'x'.join(map(str, points))}.")
    if what == "plane":
        plane, curves = Plane.of(curve), {kind: curve, "line": Line(curve.start, curve.end)}
        add = partial(Results.add_plane, pair="pair", name=kind, plane=plane, curves=curves, t=curve.grid(61))
        grid = plane.grid(21 if points is None else points, where["margin"])
        return _Target(plane, grid, kind, lambda r, s: add(r, scored=s))
    reach = (where["low"], where["high"]) if what == "line" else ()
    t = curve.grid(61 if points is None else points, *reach)
    return _Target(curve, t, kind, lambda r, s: r.add_paths("pair", "pair", {kind: s}))


def export(file: Path, t: float, out: Path, asked: Asked, batch_size: int, device: str) -> None:
    """Write the network at one point of a curve, its BatchNorm re-estimated on the training data."""
    if not 0 <= t <= 1:
        raise PathfinderError(f"t must be 0 to 1, got {t}.")
    out = weights_file(out)
    opened = _Opened([file], asked)
    evaluator = Evaluator(opened.space, opened.data, batch_size=batch_size, device=device)
    theta = opened.curve(torch.tensor([t], dtype=torch.float64))[0].detach()
    statistics = evaluator.reestimate(theta).cpu() if opened.space.has_statistics else None
    opened.network.save(out, opened.space.state_dict(theta, statistics), curve=file.name, t=t)


def compare(folders: list[Path], out: Path | None) -> pd.DataFrame:
    """The summaries of several runs in one table, each run's folder as its first column."""
    tables = []
    for folder in dict.fromkeys(folders):
        table = read_table(folder / "summary.csv", ["pair", "path", "split", "metric", "barrier"])
        table.insert(0, "run", str(folder))
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    if out is not None:
        write_table(out, joined)
    return joined


def names(what: str) -> dict[str, str]:
    """The models, data sets or curves there are, each with a line that explains it."""
    curves = {kind: (cls.__doc__ or "").splitlines()[0] for kind, cls in kinds(Curve).items()}
    lists = {"models": MODELS, "data": DATASETS, "curves": curves}
    if what not in lists:
        raise unknown("list", what, lists)
    return lists[what]


class _Opened:
    """Files of weights, or the file of a curve, with the network and the data they are for."""

    def __init__(self, files: list[Path], asked: Asked, weights: bool = False) -> None:
        data = data_of(asked.data, asked.data_arguments, files[0])
        self.data = data.load()
        named = Model.parse({"name": asked.model, **asked.model_arguments}) if asked.model else None
        self.network = network_of(Minimum(checkpoint=str(files[0]), model=named), data, self.data["train"])
        module = self.network.build(seed=0)
        probe(module, self.data, self.network.name)
        self.digests = [digest(file) for file in files]
        self.statistics: list[Tensor] | None = None
        if len(files) == 1 and not weights:
            self.curve: Curve = _curve_in(files[0])
            load_curve_state(module, self.curve, files[0])
            self.space = WeightSpace(module)
            return
        states = [load_weights(file) for file in files]
        load_state(module, states[0])
        self.space = WeightSpace(module)
        self.statistics = [self.space.statistics(states[0]), self.space.statistics(states[-1])]
        self.theta, *others = [self.space.vector(state) for state in states]
        if others:
            *between, last = others
            self.curve = PolyChain(self.theta, last, bends=torch.stack(between)) if between else Line(self.theta, last)


def _curve_in(file: Path) -> Curve:
    curve = Geometry.load(file)
    if not isinstance(curve, Curve):
        raise PathfinderError(f"{file} holds a {curve.kind()}, not a curve; give a file from the `curves` folder.")
    return curve
