"""What the commands do that need no whole experiment: train one minimum, score a file, export, compare, list."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pathfinder.config import Minimum, Model
from pathfinder.datasets import DATASETS, load_data
from pathfinder.errors import PathfinderError
from pathfinder.evaluate import Evaluator, means
from pathfinder.fit import DivergedError, fit_minimum
from pathfinder.folder import Report, RunFolder, digest, fingerprints, key_of
from pathfinder.geometry import Curve, Geometry, Line, Plane, PolyChain, kinds
from pathfinder.lookup import unknown
from pathfinder.models import MODELS
from pathfinder.networks import data_of, load_curve_state, network_of
from pathfinder.recipe import Recipe
from pathfinder.results import Results
from pathfinder.storage import Stage, load_weights
from pathfinder.tables import read_table, write_table
from pathfinder.weights import WeightSpace, load_state


def train(
    model: str,
    arguments: dict[str, Any],
    data: str,
    out: Path,
    recipe: dict[str, Any],
    device: str,
    precision: str,
    report: Report,
) -> dict[str, float]:
    """Train a minimum and write it to a file.

    The state of an unfinished fit is kept beside it, in `.NAME.partial`, and removed at the end.

    Returns:
        The losses and errors of the minimum.
    """
    splits = load_data(data)
    settings = Recipe.parse(recipe)
    if out.is_dir():
        raise PathfinderError(f"--out must be a file, but {out} is a folder; name a file in it, such as a.safetensors.")
    end = Minimum(model=Model(name=model, **arguments))
    network = network_of(end, data, splits["train"])
    module = network.build(settings.seed)
    space = WeightSpace(module)
    shared = {"batch_norm": "stored", "device": device, "precision": precision}
    evaluator = Evaluator(space, splits, **shared)
    tested = {name: split for name, split in splits.items() if name != "train"}
    watcher = Evaluator(space, tested, **shared) if tested else None
    key = key_of(network.description, fingerprints(splits), settings.model_dump(), device, precision)
    stage = Stage(out.parent / f".{out.name}.partial", key)

    def scores(by: Evaluator) -> dict[str, float]:
        return means(by.at(space.vector(module), space.statistics(module)))

    try:
        fit_minimum(
            module, splits["train"], monitor=watcher and (lambda: scores(watcher)), device=device, precision=precision,
            progress=report(f"train {model}"), stage=stage, **settings.model_dump(),
        )  # fmt: skip
    except DivergedError as error:
        kept = out.with_name(f"{out.stem}.last-good.safetensors")
        network.save(kept, module.state_dict())
        raise PathfinderError(f"{error} The last good weights are in {kept}.") from error
    network.save(out, module.state_dict(), recipe=settings.model_dump(), key=key)
    stage.path.unlink(missing_ok=True)
    return scores(evaluator)


def score(
    kind: str,
    files: list[Path],
    data: str | None,
    out: Path,
    options: dict[str, Any],
    report: Report,
    points: int,
    where: Any = None,
) -> pd.DataFrame | None:
    """Score a `line`, `curve` or `plane` given by files, and write its tables and figures.

    Args:
        kind: what to score.
        files: two minima; a curve; or, for a plane, a curve or a minimum, a bend and a minimum.
        data: the data set; as the first file says if None.
        out: the folder.
        options: model, model_arguments, and arguments of `Evaluator`.
        report: gives progress functions.
        points: along the path, or along each axis of the plane.
        where: for a line the first and last t, for a plane its margin.

    Returns:
        The summary, for paths.
    """
    from pathfinder.figures import draw

    allowed = {"line": (2,), "curve": (1,), "plane": (1, 3)}[kind]
    if len(files) not in allowed:
        raise PathfinderError(f"a {kind} needs {' or '.join(map(str, allowed))} files, got {len(files)}.")
    options = dict(options)
    opened = _Opened(files, data, options.pop("model"), options.pop("model_arguments"))
    folder = RunFolder(out, f"score-{kind}", report)
    evaluator = Evaluator(opened.space, opened.data, statistics=opened.statistics, **options)
    curve, name = opened.curve, opened.curve.kind()
    key = key_of(kind, name, opened.digests, fingerprints(opened.data), options, points, where)
    results = Results(out)
    summary = None
    if kind == "plane":
        plane = _plane_of(curve)
        grid = plane.grid(points, where)
        with folder.stage("plane", key) as (stage, progress):
            scored = evaluator.score(plane, grid, progress=progress, stage=stage)
        paths = {name: curve, "line": Line(curve.start, curve.end)}
        results.add_plane("pair", name, plane, scored, paths, curve.grid(61))
    else:
        t = curve.grid(points, *(where or ()))
        with folder.stage(kind, key) as (stage, progress):
            scored = evaluator.score(curve, t, progress=progress, stage=stage)
        results.add_paths("pair", "pair", {name: scored})
        summary = results.table("summary")
    results.write()
    draw(out)
    asked = {"files": [str(file) for file in files], **options}
    folder.write_record(options["device"], opened.data, seed=options["seed"], config=asked, scored=evaluator.counts())
    return summary


def export(
    file: Path,
    t: float,
    out: Path,
    data: str | None,
    model: str | None,
    arguments: dict[str, Any],
    batch_size: int,
    device: str,
) -> None:
    """Write the network at one point of a curve, its BatchNorm re-estimated on the training data."""
    if not 0 <= t <= 1:
        raise PathfinderError(f"t must be 0 to 1, got {t}.")
    opened = _Opened([file], data, model, arguments)
    evaluator = Evaluator(opened.space, opened.data, batch_size=batch_size, device=device)
    theta = opened.curve(torch.tensor([t], dtype=torch.float64))[0].detach()
    statistics = evaluator.reestimate(theta).cpu() if opened.space.has_statistics else None
    opened.network.save(out, opened.space.state_dict(theta, statistics), curve=file.name, t=t)


def compare(folders: list[Path], out: Path | None) -> pd.DataFrame:
    """The summaries of several runs in one table, each run's folder as its first column."""
    tables = []
    for folder in dict.fromkeys(folders):
        table = read_table(folder / "summary.csv")
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

    def __init__(self, files: list[Path], data: str | None, model: str | None, arguments: dict[str, Any]) -> None:
        self.data = load_data(data_of(data, files[0]))
        if "train" not in self.data:
            raise PathfinderError(f"the data needs a split called train, got {', '.join(self.data)}.")
        named = Model(name=model, **arguments) if model else None
        self.network = network_of(Minimum(checkpoint=str(files[0]), model=named), data or "", self.data["train"])
        module = self.network.build(seed=0)
        self.digests = [digest(file) for file in files]
        self.statistics: list[Tensor] | None = None
        if len(files) == 1:
            self.curve: Curve = _curve_in(files[0])
            load_curve_state(module, self.curve, files[0])
            self.space = WeightSpace(module)
            return
        weights = [load_weights(file) for file in files]
        load_state(module, weights[0])
        self.space = WeightSpace(module)
        first, *between, last = [self.space.vector(state) for state in weights]
        self.curve = PolyChain(first, last, bends=torch.stack(between)) if between else Line(first, last)
        self.statistics = [self.space.statistics(weights[0]), self.space.statistics(weights[-1])]


def _curve_in(file: Path) -> Curve:
    curve = Geometry.load(file)
    if not isinstance(curve, Curve):
        raise PathfinderError(f"{file} holds a {curve.kind()}, not a curve; give a file from the `curves` folder.")
    return curve


def _plane_of(curve: Curve) -> Plane:
    if len(curve.bends) == 0:
        raise PathfinderError("a plane needs a bend, but the curve has bends = 0; train one with bends first.")
    return Plane.through(curve.start, curve.bends[len(curve.bends) // 2], curve.end)
