"""The work of `score` and `curvature`: points of a target, scored or measured into the tables of a run."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import typer
from torch import Tensor

from pathfinder.cli.inputs import CurveInput, Minima, open_minima
from pathfinder.cli.options import CurvatureJob, PointJob, ScoreJob
from pathfinder.cli.progress import Reporter
from pathfinder.cli.summary import show_point, show_summary
from pathfinder.cli.targets import MINIMUM, LandscapeTarget, PathTarget, PointTarget, Target
from pathfinder.data.sources import digests
from pathfinder.errors import PathfinderError, PathfinderWarning
from pathfinder.experiment.checks import Checks
from pathfinder.experiment.evaluators import Examples
from pathfinder.experiment.folder import Run
from pathfinder.geometry.curves import Curve
from pathfinder.landscape.curvature import curvature_table
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.scoring.batch_norm import BatchNormName, Policy, Reestimate, Stored, check_between
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.settings import Scoring
from pathfinder.storage.keys import key_of

Opened = Minima | CurveInput
Options = ScoreJob | CurvatureJob | PointJob


def score(word: str, job: ScoreJob, settings: Scoring, out: Path, opened: Opened, target: Target) -> None:
    """Score a target and write its tables and figures; show the summary of a path.

    Args:
        word: of `pathfinder score`.
        job: the options.
        settings: how to score.
        out: the folder.
        opened: the files.
        target: what to score.
    """
    is_path = isinstance(target, PathTarget)
    if not is_path:
        _refuse_mixing(settings, target, f"a {word}")
    elif opened.space.has_statistics and settings.batch_norm in ("stored", "interpolate"):
        check_between(*settings.range)
        if opened.statistics is None:
            raise PathfinderError(
                f"{opened.files[0]} holds no BatchNorm statistics of its ends for --batch-norm {settings.batch_norm}; "
                "drop it to re-estimate them, or write the curve again with `pathfinder connect`."
            )

    def make(precision: str = job.precision.value, few: bool = False) -> Evaluator:
        counts = Examples(settings.examples, settings.batch_norm_examples)
        statistics = opened.statistics if is_path else None
        return _evaluator(opened, job, settings.batch_norm, counts.few() if few else counts, precision, statistics)

    evaluator = make()
    with Reporter() as report:
        run = _run(f"score-{word}", out, opened, report, job.fresh)
        run.describe(
            job.device,
            opened.data,
            seed=job.seed,
            config=_describe(job, opened, settings.model_dump()),
            scored=evaluator.counts(),
        )
        how = (settings.model_dump(exclude={"points", "range"}), job.seed, job.device, job.precision.value)
        key = key_of(opened.identity, digests(opened.data), how, target.settings, target.t.tolist())
        name = job.name or opened.name
        checks = Checks(run, job.precision.value, job.precision_check)
        with run:
            few = partial(make, few=True)
            checks.before(name, key, few, target.geometry)
            if isinstance(target.geometry, Curve) and evaluator.reestimates and opened.statistics is not None:
                checks.ends(name, key, evaluator, target.geometry, opened.statistics)
            with run.stage(word, key) as (stage, progress):
                scores = evaluator.score(target.geometry, target.t, progress=progress, stage=stage)
            if isinstance(target.geometry, Curve):
                checks.worst(name, key, few, target.geometry, scores)
            target.tabulate(run.results, name, scores)
    if is_path:
        show_summary(run.results.table("summary"))
    typer.echo(f"tables in {out}, figures in {out / 'figures'}")
    checks.raise_failures()


def score_landscape(word: str, job: ScoreJob, surface: Surface, out: Path, file: Path, trajectory: Path | None) -> None:
    """Score the profile or surface around a minimum.

    Args:
        word, job, out: as for `score`.
        surface: which one.
        file: the weights of the minimum.
        trajectory: a folder of checkpoints of its training.
    """
    settings = job.settings(around=True)
    opened = open_minima([file], job)
    score(word, job, settings, out, opened, LandscapeTarget.of(opened, surface, trajectory))


def score_point(job: PointJob, out: Path, file: Path) -> None:
    """Score a minimum with each choice of BatchNorm's statistics; write the table and show it.

    Args:
        job, out: as for `score`.
        file: the weights of the minimum.
    """
    settings = Scoring.parse(
        {key: getattr(job, key) for key in ("batch_size", "examples", "batch_norm_examples")}
    ).model_dump(include={"batch_size", "examples", "batch_norm_examples"})
    opened = open_minima([file], job)
    target, how = PointTarget.of(opened.thetas[0]), (settings, job.seed, job.device, job.precision.value)
    name = job.name or opened.name

    def make(policy: Policy, precision: str = job.precision.value, few: bool = False) -> Evaluator:
        counts = Examples(job.examples, None)  # the policy knows its own
        return _evaluator(opened, job, policy, counts.few() if few else counts, precision)

    with Reporter() as report:
        run = _run("score-point", out, opened, report, job.fresh)
        config = _describe(job, opened, settings)
        scored = {name: len(split.subset(job.examples, job.seed)) for name, split in opened.data.items()}
        run.describe(job.device, opened.data, seed=job.seed, config=config, scored=scored)
        with run:
            for how_found, policy in _policies(opened, job.batch_norm_examples).items():
                with warnings.catch_warnings():  # clean images are scored besides those of training, on purpose
                    warnings.filterwarnings("ignore", "BatchNorm is re-estimated from clean", PathfinderWarning)
                    evaluator = make(policy)
                key = key_of(opened.identity, digests(opened.data), how, repr(policy))
                if isinstance(policy, Stored):
                    few = partial(make, policy, few=True)
                    Checks(run, job.precision.value, job.precision_check).before(name, key, few, target.geometry)
                with run.stage(f"point {how_found}", key) as (stage, progress):
                    scores = evaluator.score(target.geometry, target.t, progress=progress, stage=stage)
                rows = scores.table.drop(columns=list(target.geometry.axes))
                run.results.add("point", rows, name=name)
    show_point(run.results.table("point"), opened.data["train"])
    typer.echo(f"tables in {out}")


def _policies(opened: Minima, examples: int | None) -> dict[str, Policy]:
    """Each choice of BatchNorm's statistics that a minimum is scored with, by its name in the table."""
    if not opened.space.has_statistics:
        return {"none": Stored()}
    train, clean = opened.data["train"], Reestimate(examples=examples)
    found = {"stored": Stored(), "training": Reestimate(examples=examples, augmented=True)}
    return {**found, "reestimate": clean} if train.crop or train.flip else found


def measure(word: str, job: CurvatureJob, settings: Curvature, out: Path, opened: Opened, target: Target) -> None:
    """Measure the curvature at the points of a target; write its table and figure, and show the table.

    Args:
        word: of `pathfinder curvature`.
        job: the options.
        settings: how to measure.
        out: the folder.
        opened: the files.
        target: where to measure.
    """
    scoring = job.settings(around=not isinstance(target, PathTarget))
    _refuse_mixing(scoring, target, "curvature")
    evaluator = _evaluator(opened, job, scoring.batch_norm, Examples(None, scoring.batch_norm_examples))
    data = opened.data["train"].subset(settings.examples, job.seed)
    counts: dict[str, Any] = {"examples": len(data), "batch_norm": evaluator.statistics_from}
    counts["batch_norm_examples"] = evaluator.counts()["batch_norm_examples"]
    along = target.geometry.kind() if word == "path" else word
    with Reporter() as report:
        run = _run(f"curvature-{word}", out, opened, report, job.fresh)
        config = _describe(job, opened, settings.model_dump())
        run.describe(job.device, opened.data, seed=job.seed, config=config, scored=counts)
        how = (scoring.model_dump(), settings.model_dump(exclude={"points"}), job.seed, job.device)
        key = key_of(opened.identity, digests(opened.data), how, len(data), target.settings, target.t.tolist())
        with run:
            with run.stage(f"curvature {word}", key) as (stage, progress):
                table = curvature_table(
                    opened.space,
                    target.geometry,
                    target.t,
                    data,
                    statistics=evaluator.reestimate if evaluator.reestimates else None,
                    tolerance=settings.tolerance,
                    most=settings.most,
                    samples=settings.samples,
                    seed=job.seed,
                    progress=progress,
                    stage=stage,
                    batch_size=settings.batch_size,
                    device=job.device,
                    parameters=settings.parameters,
                )
            name = "" if word == "path" else MINIMUM
            run.results.add_curvature(job.name or opened.name, name, along, table.assign(**counts))
    typer.echo(table.to_string(index=False))
    typer.echo(f"tables in {out}" + (f", figures in {out / 'figures'}" if word != "point" else ""))


def _evaluator(
    opened: Opened,
    job: Options,
    batch_norm: Policy | BatchNormName,
    counts: Examples,
    precision: str = "fp32",
    statistics: list[Tensor] | None = None,
) -> Evaluator:
    """The evaluator that the options of a command describe.

    Args:
        opened: the files.
        job: the options.
        batch_norm, statistics: as for `Evaluator`.
        counts: how many examples are used.
        precision: of the scores.
    """
    return Evaluator(
        opened.space,
        opened.data,
        batch_norm=batch_norm,
        statistics=statistics,
        examples=counts.scored,
        batch_norm_examples=counts.batch_norm,
        batch_size=job.batch_size,
        seed=job.seed,
        device=job.device,
        precision=precision,
    )


def _run(command: str, out: Path, opened: Opened, report: Reporter, fresh: bool) -> Run:
    """The run of a command; with other files it is another run."""
    return Run(out, f"{command}-{key_of(opened.digests)[:8]}", report, fresh)


def _describe(job: Options, opened: Opened, settings: Mapping[str, object]) -> dict[str, object]:
    """What the record says of a command: its files, its data and its options."""
    files = {"files": [str(file) for file in opened.files], "data": opened.network.data}
    return {**files, **settings, "options": asdict(job)}


def _refuse_mixing(settings: Scoring, target: Target, what: str) -> None:
    """Refuse to mix the statistics of BatchNorm of two ends where a point is no point of a path between them.

    Raises:
        PathfinderError: if that is wanted.
    """
    around = isinstance(target, LandscapeTarget | PointTarget)
    if settings.batch_norm == "interpolate" or (settings.batch_norm == "stored" and not around):
        raise PathfinderError(
            f"--batch-norm {settings.batch_norm} has no meaning for {what}: its points have no statistics of their "
            "own; drop it to re-estimate them."
        )
