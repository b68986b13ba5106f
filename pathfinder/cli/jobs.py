"""The work of `score` and `curvature`: points of a target, scored or measured into the tables of a run."""

import warnings
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import typer

from pathfinder.cli.options import CurvatureJob, PointJob, RunOptions, ScoreJob
from pathfinder.cli.place import FilePlace, Opening, Options
from pathfinder.cli.progress import Reporter
from pathfinder.cli.summary import show_point, show_summary
from pathfinder.cli.targets import (
    MINIMUM,
    LandscapeTarget,
    PathTarget,
    PointTarget,
    Target,
    open_landscape,
    open_point,
)
from pathfinder.errors import PathfinderError, PathfinderWarning
from pathfinder.experiment.checks import Findings
from pathfinder.experiment.engines import Done, count_workers, make_engine, raise_failed
from pathfinder.experiment.estimate import seconds_of_points, serving_of
from pathfinder.experiment.folder import Run
from pathfinder.experiment.gather import gather_ends, gather_measured, gather_scores
from pathfinder.experiment.pieces import Piece, path_pieces, split_points, split_rounds
from pathfinder.experiment.progress import SharedProgress
from pathfinder.experiment.rescoring import gather_rescored
from pathfinder.geometry.curves import Curve
from pathfinder.landscape.settings import Curvature, Surface, chosen_to
from pathfinder.scoring.batch_norm import BatchNormName, Policy, Reestimate, Stored, check_between
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.scores import Scores
from pathfinder.scoring.settings import REESTIMATED, Scoring
from pathfinder.storage.keys import key_of

_HOW = [field.name for field in fields(RunOptions)]  # options on which no number depends


def score(
    word: str, job: ScoreJob, settings: Scoring, out: Path, opening: Opening, tolerance: float | None = None
) -> None:
    """Score a target and write its tables and figures; show the summary of a path.

    Args:
        word: of `pathfinder score`.
        job: the options.
        settings: how to score.
        out: the folder.
        opening: reads the files.
        tolerance: of a plane whose points its losses choose.
    """
    place = FilePlace(opening, job, settings, {word: settings.batch_norm}, out)
    opened, target = place.opened, place.target
    is_path = isinstance(target, PathTarget)
    if not is_path:
        _refuse(settings, target, f"a {word}")
    elif opened.space.has_statistics and settings.batch_norm not in REESTIMATED:
        check_between(*settings.range)
        if opened.statistics is None:
            raise PathfinderError(
                f"{opened.files[0]} holds no BatchNorm statistics of its ends for --batch-norm {settings.batch_norm}; "
                "drop it to re-estimate them, or write the curve again with `pathfinder connect`."
            )
    evaluator, name = place.scored((word,), place.given((word,))).evaluator, job.name or opened.name
    counts = evaluator.counts() | dict.fromkeys(settings.chosen_examples, "auto")
    run = _run(f"score-{word}", place, job, settings.model_dump(), counts)
    shown = settings.model_dump(exclude={"points", "range", "examples_tolerance"})
    how = (shown, job.seed, job.device, job.precision)
    key = key_of(place.inputs, how, target.settings, target.t.tolist())
    pieces, whole, compared = _check_ends(name, job, (word,), key), word, ""
    if is_path:
        whole, chosen = f"score {word}", bool(settings.chosen_examples)
        found = path_pieces(
            word, (word,), settings, len(target.t), _load(evaluator), partial(key_of, key),
            compared=name if _checked(job) else None, rescored=chosen,
        )  # fmt: skip
        pieces += found[:chosen]  # the choice of examples
        needs = tuple(piece.name for piece in found[:chosen])
        if isinstance(target.geometry, Curve) and evaluator.reestimates and opened.statistics is not None:
            compared, arguments = f"check batch_norm {name}", (name, (word,), opened.statistics)
            pieces.append(Piece(compared, "check_statistics", arguments, key, needs))
        pieces += found[chosen:]
    elif tolerance is not None:
        pieces += split_rounds(word, "score_points", (word,), _load(evaluator), key, tolerance)
    else:
        pieces += _points(word, "score_points", place, evaluator, key)
    parts = tuple(piece.name for piece in pieces if piece.title == whole)
    with _working(run, place, pieces, job) as findings:
        scores = gather_scores(place, (word,), parts, tolerance)
        follow: dict[str, Scores] = {}
        if settings.chosen_examples and (rescored := gather_rescored(place, (word,), scores, f"rescore {word}")):
            kind = target.geometry.kind()
            run.results.add_rescored(name, kind, rescored)
            follow |= {kind: rescored} if settings.examples == "auto" else {}
        target.tabulate(run.results, name, scores, follow)
        if compared:
            ends = gather_ends(place, compared).assign(checkpoint=[str(opened.files[0]), str(opened.files[-1])])
            run.results.add("minima", ends, pair=name, model=opened.network.name)
    if is_path:
        show_summary(run.results.table("summary"))
    typer.echo(f"tables in {out}, figures in {out / 'figures'}")
    if findings.wrong:
        raise PathfinderError(findings.wrong[0])


def score_landscape(word: str, job: ScoreJob, surface: Surface, out: Path, file: Path, trajectory: Path | None) -> None:
    """Score the profile or surface around a minimum.

    Args:
        word, job, out: as for `score`.
        surface: which one.
        file: the weights of the minimum.
        trajectory: a folder of checkpoints of its training.
    """
    opening = partial(open_landscape, file, job, surface, trajectory)
    score(word, job, job.settings(around=True), out, opening, chosen_to(surface))


def score_point(job: PointJob, out: Path, file: Path) -> None:
    """Score a minimum with each choice of BatchNorm's statistics; write the table and show it.

    Args:
        job, out: as for `score`.
        file: the weights of the minimum.
    """
    keys = ("batch_size", "examples", "batch_norm_examples")
    scoring = Scoring.parse({key: getattr(job, key) for key in keys})
    settings = scoring.model_dump(include=set(keys))
    place = FilePlace(partial(open_point, file, job), job, scoring, _policies(job.batch_norm_examples), out)
    opened, name, train = place.opened, job.name or place.opened.name, place.opened.data["train"]
    scored = {name: len(split.subset(job.examples, job.seed)) for name, split in opened.data.items()}
    run = _run("score-point", place, job, settings, scored)
    how, pieces = (settings, job.seed, job.device, job.precision), []
    found = ["stored", "training", *["reestimate"] * bool(train.crop or train.flip)]
    found = found if opened.space.has_statistics else ["none"]
    for policy in found:
        key = key_of(place.inputs, how, repr(place.policies[policy]))
        pieces += _check_ends(name, job, (policy,), key) if isinstance(place.policies[policy], Stored) else []
        pieces.append(Piece(f"point {policy}", "score_points", ((policy,), 0, 1), key, points=1))
    with _quiet_of_clean_images(), _working(run, place, pieces, job):
        for policy in found:
            rows = gather_scores(place, (policy,), [f"point {policy}"]).table
            run.results.add("point", rows.drop(columns=list(place.target.geometry.axes)), name=name)
    show_point(run.results.table("point"), train)
    typer.echo(f"tables in {out}")


@contextmanager
def _quiet_of_clean_images() -> Generator[None, None, None]:
    """Do not warn of clean images: they are scored besides those of training, on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "BatchNorm is re-estimated from clean", PathfinderWarning)
        yield


def _policies(examples: int | None) -> dict[str, Policy | BatchNormName]:
    """Each choice of BatchNorm's statistics that a minimum is scored with, by its name in the table."""
    training, clean = Reestimate(examples=examples, augmented=True), Reestimate(examples=examples)
    return {"none": Stored(), "stored": Stored(), "training": training, "reestimate": clean}


def measure(word: str, job: CurvatureJob, settings: Curvature, out: Path, opening: Opening) -> None:
    """Measure the curvature at the points of a target; write its table and figure, and show the table.

    Args:
        word: of `pathfinder curvature`.
        job: the options.
        settings: how to measure.
        out: the folder.
        opening: reads the files.
    """
    around = word in ("point", "surface")
    scoring = job.settings(around=around)
    place = FilePlace(opening, job, scoring, {word: scoring.batch_norm}, out, settings)
    opened, target = place.opened, place.target
    _refuse(scoring, target, "curvature")
    found = place.measured((word,))
    counts: dict[str, Any] = {"examples": len(found.data), "batch_norm": found.evaluator.statistics_from}
    counts["batch_norm_examples"] = found.evaluator.counts()["batch_norm_examples"]
    run = _run(f"curvature-{word}", place, job, settings.model_dump(), counts)
    how = (scoring.model_dump(), settings.model_dump(exclude={"points"}), job.seed, job.device)
    key = key_of(place.inputs, how, len(found.data), target.settings, target.t.tolist())
    whole = f"curvature {word}"
    if settings.points == "auto":
        how_close = settings.points_tolerance
        pieces = split_rounds(whole, "measure_points", (word,), float("inf"), key, how_close)
    else:
        pieces = _points(whole, "measure_points", place, found.evaluator, key, (word,))
    with _working(run, place, pieces, job):
        table = gather_measured(place, (word,), [piece.name for piece in pieces if piece.title == whole])
        name = "" if word == "path" else MINIMUM
        along = target.geometry.kind() if word == "path" else word
        run.results.add_curvature(job.name or opened.name, name, along, table)
    typer.echo(table.drop(columns=list(counts)).to_string(index=False))
    typer.echo(f"tables in {out}" + (f", figures in {out / 'figures'}" if word != "point" else ""))


def _points(
    whole: str, work: str, place: FilePlace, evaluator: Evaluator, key: str, target: tuple[str, ...] | None = None
) -> list[Piece]:
    """The pieces for all points of a command."""
    load = _load(evaluator) if work == "score_points" else float("inf")
    return split_points(whole, work, target or (whole,), len(place.target.t), load, key)


def _load(evaluator: Evaluator) -> float:
    """How much work a point is: weights times examples."""
    return float(evaluator.space.size) * sum(evaluator.counts().values())


def _checked(job: ScoreJob | PointJob) -> bool:
    """Whether bfloat16 is compared with float32."""
    return job.precision_check and job.precision != "fp32"


def _check_ends(name: str, job: ScoreJob | PointJob, target: tuple[str, ...], key: str) -> list[Piece]:
    """The comparison of both precisions before anything is scored, where that is asked for."""
    title = f"check {job.precision} {name}"
    return [Piece(title, "check_precision", (name, target), key)] if _checked(job) else []


@contextmanager
def _working(run: Run, place: FilePlace, pieces: Sequence[Piece], job: Options) -> Generator[Findings, None, None]:
    """Enter the run of a command, and do its pieces.

    Raises:
        PathfinderError: if the folder holds other work of this command, a piece fails, or a check does.
    """
    precision = "fp32" if isinstance(job, CurvatureJob) else job.precision
    findings = Findings(run, precision, place.opened.data["train"])

    done: set[str] = set()

    def finish(one: Done) -> None:
        run.note(one)
        findings.look(one.piece)
        done.add(one.piece.name)

    pieces = [replace(piece, threads=torch.get_num_threads()) for piece in pieces]  # set when the files were opened
    run.check_changes(pieces, job.force)
    threads, serving = torch.get_num_threads(), partial(_serving, place, pieces)
    count = count_workers(job.processes, job.scheduler, job.device, threads, serving)
    with make_engine(place, count, job.scheduler, job.dashboard) as engine, run:
        with Reporter() as report:
            failed = engine.run(pieces, SharedProgress(report, pieces), finish)
        raise_failed(failed, len(pieces) - len(done))
        yield findings


def _serving(place: FilePlace, pieces: Sequence[Piece]) -> int:
    """How many processes serve for the pieces of a command."""
    points: Counter[str] = Counter()
    for piece in pieces:
        if piece.points:
            points[piece.arguments[0][0]] += piece.points
    products = place.job.samples + place.job.most if isinstance(place.job, CurvatureJob) else 0
    seconds = sum((seconds_of_points(place, (how,), count, products) for how, count in points.items()), 0.0)
    return serving_of(seconds, seconds / len(pieces))


def _run(
    command: str, place: FilePlace, job: Options, settings: Mapping[str, object], scored: Mapping[str, object]
) -> Run:
    """The run of a command, described; with other files it is another run."""
    opened = place.opened
    run = Run(place.folder, f"{command}-{key_of(opened.digests)[:8]}", job.fresh)
    options = {key: value for key, value in asdict(job).items() if key not in _HOW}
    config = {"files": [str(file) for file in opened.files], "data": opened.network.data, **settings}
    run.describe(job.device, opened.data, seed=job.seed, config={**config, "options": options}, scored=scored)
    return run


def _refuse(settings: Scoring, target: Target, what: str) -> None:
    """Refuse what has a meaning along a path alone.

    Raises:
        PathfinderError: if statistics of BatchNorm of two ends are to be mixed, or examples to be chosen, for anything
            else.
    """
    around = isinstance(target, LandscapeTarget | PointTarget)
    if settings.batch_norm == "interpolate" or (settings.batch_norm == "stored" and not around):
        raise PathfinderError(
            f"--batch-norm {settings.batch_norm} has no meaning for {what}: its points have no statistics of their "
            "own; drop it to re-estimate them."
        )
    if settings.chosen_examples:
        option = settings.chosen_examples[0].replace("_", "-")
        raise PathfinderError(
            f"--{option} auto has no meaning for {what}: only a path says how many it needs; give a "
            "number, or drop it for all."
        )
