"""The work of an experiment: what each piece of its plan does.

Each function takes the place, the stage that keeps its result, and what shows its progress; then its own arguments. It
gives its result, which the stage then keeps, or nothing where it has kept it itself.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pathfinder.experiment.checks import compare_precisions, compare_statistics
from pathfinder.experiment.choice import choose
from pathfinder.experiment.curve_files import further_tensors
from pathfinder.experiment.gather import gather_scores
from pathfinder.experiment.kept import kept_file, kept_result
from pathfinder.experiment.pairs import ALIGNED
from pathfinder.experiment.pieces import Target, scores_of
from pathfinder.experiment.place import Measured, Place, Scored
from pathfinder.experiment.rescoring import rescore
from pathfinder.experiment.rounds import chosen_points, next_round
from pathfinder.experiment.starts import start_repaired
from pathfinder.experiment.workplace import Workplace
from pathfinder.geometry.curves import Line
from pathfinder.progress import Progress
from pathfinder.scoring.adaptive import explore, open_ended
from pathfinder.scoring.checks import compare
from pathfinder.scoring.scores import means
from pathfinder.storage import StageFile
from pathfinder.storage.resume import Unfinished
from pathfinder.symmetry.matching import align
from pathfinder.tables.score_names import score_column
from pathfinder.tables.summary import barriers
from pathfinder.training.fit import fit_curve, fit_minimum
from pathfinder.training.loop import last_good
from pathfinder.training.trajectory import remove_trajectory, trajectory_folder
from pathfinder.weights.histogram import weight_histogram
from pathfinder.weights.space import WeightSpace

State = Mapping[str, Any] | None


def train_minimum(place: Workplace, stage: StageFile, progress: Progress, name: str) -> State:
    """Train a minimum, and write its weights."""
    settings, network, kept = place.minima[name], place.network(name), place.trajectory_folder(name)
    module = network.build(settings.init_seed)
    if not settings.checkpoint_every:
        remove_trajectory(kept)
    elif not trajectory_folder(kept).is_dir():
        stage.path.unlink(missing_ok=True)  # a finished training would not write its checkpoints again
    space, held_out = WeightSpace(module), place.held_out
    monitor = None
    if held_out:
        evaluator = place.evaluator(space, data=held_out, batch_norm="stored")
        how = {**evaluator.counts(), "batch_norm_examples": 0, "batch_norm": evaluator.statistics_from}
        monitor = lambda: {**means(evaluator.at(space.vector(module), space.statistics(module))), **how}  # noqa: E731
    good = place.folder / f"{name}.last-good.safetensors"
    with last_good(good, lambda path: network.save(path, module.state_dict())):
        fit_minimum(
            module, place.data["train"], monitor=monitor, progress=progress, stage=stage,
            checkpoint=network.keep_trajectory(module, kept, settings.checkpoint_every, settings.epochs),
            device=place.config.device, precision=place.config.precision, **settings.arguments,
        )  # fmt: skip
    network.save(place.path_of(name), module.state_dict(), recipe=settings.arguments, key=stage.key)
    return None


def copy_minimum(place: Workplace, stage: StageFile, progress: Progress, name: str, first: str) -> State:
    """Take over the training of another minimum, which has the same recipe and seeds."""
    walked, kept = place.trajectory_folder(first), place.trajectory_folder(name)
    remove_trajectory(kept)
    kept_file(place.folder, f"minimum {name}").unlink(missing_ok=True)  # its training wrote other checkpoints
    if walked.is_dir():
        shutil.copytree(walked, kept, dirs_exist_ok=True)
    network, recipe = place.network(name), place.minima[name].arguments
    network.save(place.path_of(name), place.minimum(first).state_dict(), recipe=recipe, key=stage.key)
    return {"first": first}


def score_minimum(
    place: Workplace, stage: StageFile, progress: Progress, name: str, both: bool, first: str | None
) -> State:
    """Score a minimum on all examples, for its row of minima.csv.

    With `both`, it is scored with the statistics of BatchNorm that are stored with it and as along paths, and the two
    are compared. One that equals another, `first`, has its scores.
    """
    if (kept := stage.load()) is not None:
        return kept
    if first is not None:
        found = kept_result(place.folder, scores_of(first))
        return {**found, "compared": {name: found["compared"][first]} if found["compared"] else {}}
    module = place.minimum(name)
    space = WeightSpace(module)
    theta, statistics = space.vector(module), space.statistics(module)
    examples = replace(place.config.examples(), scored=None)
    evaluator = place.evaluator(space, batch_norm=None if both else "stored", examples=examples)
    stored = evaluator.values(theta, statistics)
    row: dict[str, Any] = {**means(evaluator.row(stored)), "norm": float(theta.double().norm())}
    row |= {**evaluator.counts(), "batch_norm": evaluator.statistics_from}
    result = {
        "row": row,
        "compared": {},
        "batch_norm": evaluator.statistics_from,
        "weights": weight_histogram(module).to_dict("list"),
    }
    if both:
        found = compare(stored, evaluator.values(theta))
        result["compared"] = {name: [vars(one) for one in found]}
        row |= {score_column(one.split, one.metric, "reestimated"): one.found for one in found}
    return result


def align_minima(place: Workplace, stage: StageFile, progress: Progress, pair: str) -> State:
    """Align b to a; the aligned b is one more minimum."""
    settings, ends = place.config.align, place.ends(pair, False)
    assert settings is not None
    result: dict[str, Any] | None = stage.load()
    if result is None:
        a, b = ends.thetas
        found = align(
            ends.space, a, b, place.data["train"], settings, ends.statistics, place.config.seed, progress,
            place.structure(f"{pair}-a"),
        )  # fmt: skip
        result = {"b": found.vector, "statistics": found.statistics, "row": found.row(a, b)}
    path, state = place.path_of(place.pairs[pair].aligned), ends.space.state_dict(result["b"], result["statistics"])
    place.network(f"{pair}-b").save(path, state, aligned={"to": f"{pair}-a", "method": settings.method})
    return result


def train_curve(place: Workplace, stage: StageFile, progress: Progress, pair: str, title: str) -> State:
    """Train a curve between the ends of a pair, and write it."""
    settings, ends = place.curve_settings(pair, title), place.ends(pair, title.startswith(ALIGNED))
    arguments = settings.arguments
    curve = settings.geometry(*ends.thetas, bends=settings.bends, fixed_ends=settings.fixed_ends)
    further, about = further_tensors(ends.space, ends.statistics), ends.network.metadata()
    result: State = {"finished": True}
    if settings.start == "repair" and not ends.space.has_statistics and stage.load() is None:
        start_repaired(curve, place.evaluator(ends.space, repair=place.repair(pair), precision="fp32"))
    if curve.free():
        good = place.folder / f"{pair}-{title}.last-good.safetensors"
        monitor = None
        if place.held_out:
            middle = torch.tensor([0.5], dtype=torch.float64)
            evaluator = place.evaluator(ends.space, data=place.held_out, batch_norm=place.config.at_points)
            how = {**evaluator.counts(), "batch_norm": evaluator.statistics_from}
            monitor = lambda: {**means(evaluator.at(curve(middle)[0])), **how}  # noqa: E731
        with last_good(good, lambda path: curve.save(path, further, **about)):
            fit_curve(
                curve, ends.space, place.data["train"], monitor=monitor, progress=progress, stage=stage,
                device=place.config.device, precision=place.config.precision, **arguments,
            )  # fmt: skip
        result = None
    curve.save(place.curve_file(pair, title), further, **about, recipe=arguments, key=stage.key)
    return result


def choose_examples(
    place: Place, stage: StageFile, progress: Progress, target: Target, wanted: Sequence[str], tolerance: float
) -> State:
    """Choose how many examples score a path, or re-estimate BatchNorm along it."""
    return stage.load() or choose(place, progress, target, wanted, tolerance)


def choose_points(
    place: Place,
    stage: StageFile,
    progress: Progress,
    target: Target,
    before: Sequence[str],
    tolerance: float,
    measured: bool,
) -> State:
    """Choose the points of a round over a plane, from those of the rounds before."""
    if (kept := stage.load()) is not None:
        return kept
    found = place.measured(target) if measured else place.scored(target)
    t, earlier = next_round(place.folder, found, before, tolerance)
    return {"points": [], "t": t, "earlier": earlier, "finished": True}


def score_points(
    place: Place, stage: StageFile, progress: Progress, target: Target, start: int, stop: int, choice: str | None = None
) -> State:
    """Score some points of a target: of its grid, or of those that a piece chose."""
    return _do_points(place, stage, progress, place.scored(target), start, stop, choice)


def measure_points(
    place: Place, stage: StageFile, progress: Progress, target: Target, start: int, stop: int, choice: str | None = None
) -> State:
    """Measure the curvature at some points of a target; the rest as for `score_points`."""
    return _do_points(place, stage, progress, place.measured(target), start, stop, choice)


def _do_points(
    place: Place,
    stage: StageFile,
    progress: Progress,
    found: Scored | Measured,
    start: int,
    stop: int,
    choice: str | None,
) -> State:
    t = found.t[start:stop] if choice is None else chosen_points(place.folder, choice, start, stop)
    if not len(t):
        return {"points": [], "finished": True}
    found.work(t, progress, stage)
    return None


def explore_path(place: Place, stage: StageFile, progress: Progress, target: Target, tolerance: float) -> State:
    """Score a path at the points that its losses ask for."""
    kept, found = stage.load(), place.scored(target)
    if kept is None or kept.get("finished") is False:
        show, unfinished = open_ended(progress), Unfinished(stage)
        score = partial(found.evaluator.score_points, found.geometry, progress=show, stage=unfinished)
        t, points, known = explore(score, tolerance)
        stage.save({"points": points, "t": t, "known": asdict(known)})
        progress(len(t), len(t))
    return None


def rescore_points(place: Place, stage: StageFile, progress: Progress, target: Target, parts: Sequence[str]) -> State:
    """Score the ends of a path, and where it is worst, once more, on all examples."""
    kept = stage.load()
    if kept is not None and kept.get("finished") is not False:
        return kept
    return rescore(place, stage, progress, target, parts)


def check_precision(
    place: Place, stage: StageFile, progress: Progress, name: str, target: Target, parts: Sequence[str] = ()
) -> State:
    """Compare the scores of bfloat16 and float32 before a target is scored, or after that where a path is worst."""
    if (kept := stage.load()) is not None:
        return kept
    scores = gather_scores(place, target, parts) if parts else None
    return {"compared": compare_precisions(place, name, target, scores), "scored": scores is not None}


def check_statistics(
    place: Place, stage: StageFile, progress: Progress, name: str, target: Target, statistics: Sequence[Tensor]
) -> State:
    """Compare the scores of both ends of a path with the statistics stored with them, and re-estimated."""
    if (kept := stage.load()) is not None:
        return kept
    found, compared = place.scored(target), compare_statistics(place, name, target, statistics)
    norms = found.geometry.norm(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    result = {"compared": compared, "norms": dict(zip(compared, norms, strict=True))}
    return {**result, "batch_norm": found.evaluator.statistics_from, "counts": found.evaluator.counts()}


def draw_figures(place: Place, stage: StageFile, progress: Progress, kind: str) -> State:
    """Draw the figures of a kind from the tables, unless that was done and they are there."""
    from pathfinder.figures.draw import draw  # other pieces do not wait for matplotlib

    result = stage.load()
    if result is None or not all((place.folder / "figures" / name).is_file() for name in result["drawn"]):
        result = {"drawn": [path.name for path in draw(place.folder, kinds=[kind])]}
    return result


def measure_barrier(
    place: Workplace, stage: StageFile, progress: Progress, first: str, second: str, method: str
) -> State:
    """Score the line between two minima of a group for its barrier; b as it is, or aligned."""
    kept = stage.load()
    if kept is not None and kept.get("finished") is not False:
        return kept
    modules, config = [place.minimum(name) for name in (first, second)], place.config
    space = WeightSpace(modules[0])
    a, b = (space.vector(module) for module in modules)
    statistics = [space.statistics(module) for module in modules]
    if method != "none":
        assert config.align is not None
        found = align(
            space, a, b, place.data["train"], config.align, statistics, config.seed, structure=place.structure(first)
        )
        assert found.statistics is not None  # as they were given
        b, statistics = found.vector, [statistics[0], found.statistics]
    line, evaluator = Line(a, b), place.evaluator(space, statistics)
    scores = evaluator.score(
        line, config.score.points, tolerance=config.score.tolerance, check=False, progress=progress,
        stage=Unfinished(stage),
    )  # fmt: skip
    result: dict[str, Any] = {"distance": line.chord(), **barriers(scores), **evaluator.counts()}
    return {**result, "batch_norm": evaluator.statistics_from}
