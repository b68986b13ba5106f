"""How long the pieces of a plan take, and how much memory: from a timed step and a timed point of each network."""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pathfinder.compute import peak_gpu_memory
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderWarning
from pathfinder.experiment.kept import is_done
from pathfinder.experiment.pieces import Piece, Target
from pathfinder.experiment.place import Place
from pathfinder.experiment.workplace import Workplace
from pathfinder.memory import peak_memory
from pathfinder.scoring.adaptive import TYPICAL
from pathfinder.scoring.adaptive_plane import MOST as PLANE_POINTS
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.settings import ALL, REESTIMATED, Examples
from pathfinder.symmetry.matching import align
from pathfinder.threads import threads
from pathfinder.training.fit import fit_curve, fit_minimum
from pathfinder.training.settings import CurveSettings
from pathfinder.weights.space import WeightSpace

_SOON = 60.0  # seconds; what takes less stays in one process
_STEPS = 3  # batches of a timed epoch; the first epoch warms up
_EXAMPLES = 256  # of each split that a timed point is scored on
_PRODUCTS = 60  # Hessian-vector products until both eigenvalues converge, typically
_PRODUCT = 5.0  # passes forward that a product takes
_CHOICE = 6  # points on all examples that choosing how many are needed costs, at most
_PEAKS = 5  # points of a path that are scored once more, typically
_ALIGNS = ("align_minima", "measure_barrier")  # work that may permute units
_SWEEPS = 2  # times as many as between networks as drawn, typically
_APART = 1e-3  # of the ends of a timed curve, in each weight


@dataclass(frozen=True)
class Estimate:
    """What is left of a plan.

    Attributes:
        seconds: that each piece takes which is not done, by its name.
        memory: bytes of a process at its peak; None where it is not known.
        gpu_memory: bytes of the GPU that a process holds at its peak; None where it uses none.
        longest: seconds of the longest chain of pieces of which each needs the one before.
    """

    seconds: Mapping[str, float]
    memory: int | None
    gpu_memory: int | None
    longest: float

    @property
    def total(self) -> float:
        """Seconds of all pieces, one after another."""
        return sum(self.seconds.values(), 0.0)

    @property
    def serving(self) -> int:
        """How many processes serve."""
        return serving_of(self.total, self.longest)

    def with_workers(self, workers: int) -> float:
        """Seconds with so many workers, without their start."""
        return max(self.total / workers, self.longest)


@dataclass(frozen=True)
class _Costs:
    """Seconds of a network: of a step of a minimum and of a curve by its batch size, of scoring and of re-estimating an
    example.
    """

    step: float
    curve_step: Mapping[int, float]
    forward: float
    again: float


def estimate(pieces: Iterable[Piece], place: Workplace, fresh: bool = False) -> Estimate:
    """Time one step and one point of each network, and add up what is not done.

    Args:
        pieces: the plan.
        place: where they are done.
        fresh: whether nothing is used that its folder keeps.
    """
    left = [piece for piece in pieces if fresh or not is_done(place.folder, piece)]
    costs, aligned = dict[str, _Costs](), dict[str, float]()
    seconds: dict[str, float] = {}
    ends: dict[str, float] = {}
    for piece in left:
        owner = _owner(piece, place)
        if (alike := str((place.network(owner).identity, place.minima[owner].batch_size, piece.threads))) not in costs:
            with threads(piece.threads), warnings.catch_warnings():
                warnings.simplefilter("ignore", PathfinderWarning)  # of trainings that are too short
                costs[alike] = _time(place, owner)
        if piece.work in _ALIGNS and piece.arguments[-1] != "none" and alike not in aligned:
            with threads(piece.threads):
                aligned[alike] = _time_alignment(place, owner)
        seconds[piece.name] = _Seconds(place, costs[alike], aligned.get(alike, 0.0)).of(piece)
        ends[piece.name] = seconds[piece.name] + max((ends.get(need, 0.0) for need in piece.needs), default=0.0)
    return Estimate(seconds, peak_memory(), peak_gpu_memory(place.device), max(ends.values(), default=0.0))


def serving_of(total: float, longest: float) -> int:
    """How many processes serve; one if all is done soon.

    Args:
        total: seconds of all work.
        longest: seconds of the longest chain of pieces.
    """
    return 1 if total < _SOON else math.ceil(total / longest)


def seconds_of_points(place: Place, target: Target, points: int, products: int = 0) -> float:
    """Seconds of the points of a target, from one that is timed on a few examples.

    Args:
        place: where they are scored.
        target: what is scored.
        points: how many.
        products: of the Hessian with vectors at each, if the curvature is measured instead.
    """
    few, all_examples = place.scored(target, Examples(_EXAMPLES, _EXAMPLES)), place.scored(target).evaluator
    theta = few.geometry(few.t[:1])[0].detach()
    share = sum(all_examples.counts().values()) / sum(few.evaluator.counts().values())
    passes = _PRODUCT * min(products, _PRODUCTS) if products else 1.0
    return points * share * passes * _point(few.evaluator, theta)


def _owner(piece: Piece, place: Workplace) -> str:
    """A minimum of the network that a piece works with."""
    first = piece.arguments[0]
    name = first[1] if isinstance(first, tuple) else first
    if piece.work == "check_precision":
        name = piece.arguments[1][1]
    return place.own(name) if place.own(name) in place.minima else f"{name}-a"


def _time(place: Workplace, name: str) -> _Costs:
    settings, train = place.minima[name], place.data["train"]
    network, size = place.network(name), settings.batch_size
    few = train.subset(_STEPS * size, 0)
    recipe: dict[str, Any] = {**settings.arguments, "epochs": 2}
    compute: dict[str, Any] = {"device": place.config.device, "precision": place.config.precision}
    module = network.build(0)
    space = WeightSpace(module)
    theta = space.vector(module)
    step = _median(lambda stamp: fit_minimum(module, few, progress=stamp, **recipe, **compute))
    curves = [curve for pair in place.pairs_of(network) for curve in pair.curves if curve.bends]
    curve_step = {
        size: _time_curve(curve, space, theta, train, compute)
        for size, curve in {c.batch_size: c for c in curves}.items()
    }
    most = max(_EXAMPLES, place.config.score.batch_size)  # a whole batch, for its memory
    counts = Examples(most, most)
    stored = place.evaluator(space, batch_norm="stored", examples=counts)
    forward, scored = _point(stored, theta), sum(min(len(split), most) for split in place.data.values())
    again = 0.0
    if space.has_statistics:
        estimated = place.evaluator(space, batch_norm=place.config.at_points, examples=counts)
        again = max(_point(estimated, theta) - forward, 0.0) / min(len(train), most)
    return _Costs(step, curve_step, forward / scored, again)


def _time_curve(
    curve: CurveSettings, space: WeightSpace, theta: torch.Tensor, train: Source, compute: dict[str, Any]
) -> float:
    """Seconds of a step of a curve."""
    bend = curve.geometry(theta, theta + _APART, bends=curve.bends)
    few = train.subset(_STEPS * curve.batch_size, 0)
    recipe: dict[str, Any] = {"epochs": 2, "lr": 1e-6, "batch_size": curve.batch_size, "schedule": "constant"}
    return _median(lambda stamp: fit_curve(bend, space, few, progress=stamp, **recipe, **compute))


def _time_alignment(place: Workplace, name: str) -> float:
    """Seconds of aligning two minima, from one order of weight matching between networks as drawn."""
    settings, network, structure = place.config.align, place.network(name), place.structure(name)
    assert settings is not None
    space = WeightSpace(network.build(0))
    a, b, statistics = *(space.vector(network.build(seed)) for seed in (0, 1)), [space.statistics(space.network)] * 2
    one = settings.model_copy(update={"orders": 1})
    began = time.monotonic()
    align(space, a, b, place.data["train"], one, statistics, structure=structure)
    return (time.monotonic() - began) * (_SWEEPS * settings.orders if settings.method == "weights" else 1)


def _median(fit: Callable[[Callable[[int, int], None]], Any]) -> float:
    """Seconds of a step of a fit, without those that warm up."""
    stamps: list[float] = []
    fit(lambda done, total: stamps.append(time.monotonic()))
    gaps = torch.tensor(stamps, dtype=torch.float64).diff()[_STEPS - 1 :]
    return float(gaps.median()) if len(gaps) else 0.0


def _point(evaluator: Evaluator, theta: torch.Tensor) -> float:
    """Seconds of a point, the second time."""
    evaluator.values(theta)
    began = time.monotonic()
    evaluator.values(theta)
    return time.monotonic() - began


class _Seconds:
    """Seconds of pieces that work with one network; a method for each function of `work` that takes long.

    Args:
        place: where they are done.
        costs: of the network.
        alignment: seconds of aligning two minima of it.
    """

    def __init__(self, place: Workplace, costs: _Costs, alignment: float) -> None:
        self._place, self._config, self._costs, self._alignment = place, place.config, costs, alignment
        self._data, self._train, self._along = place.data, place.data["train"], place.config.examples()

    def of(self, piece: Piece) -> float:
        """Seconds of a piece."""
        find: Callable[..., float] = getattr(self, piece.work, lambda *given: 0.0)
        return find(*piece.arguments)

    def train_minimum(self, name: str) -> float:
        """Steps, and scores of the other splits after each epoch."""
        settings, others = self._place.minima[name], self._place.held_out
        monitor = self._point(others, self._along, "stored") if others else 0.0
        return settings.epochs * (self._train.steps(settings.batch_size) * self._costs.step + monitor)

    def train_curve(self, pair: str, title: str) -> float:
        """The same."""
        curve, others = self._place.curve_settings(pair, title), self._place.held_out
        monitor = self._point(others, self._along, self._config.at_points) if others else 0.0
        step = self._costs.curve_step.get(curve.batch_size, 0.0) * curve.passes
        return curve.epochs * (self._train.steps(curve.batch_size) * step + monitor)

    def score_minimum(self, name: str, both: bool, first: str | None) -> float:
        """All examples, once or twice; nothing for one that equals another."""
        if first is not None:
            return 0.0
        everything = Examples(None, self._along.batch_norm)
        how = [self._config.score.batch_norm] * both
        return sum(self._point(self._data, everything, one) for one in ("stored", *how))

    def align_minima(self, pair: str) -> float:
        """All orders."""
        return self._alignment

    def measure_barrier(self, first: str, second: str, method: str) -> float:
        """The points of a line, and the alignment before."""
        score = self._config.score
        count = score.points if isinstance(score.points, int) else TYPICAL
        points = count * self._point(self._data, self._along, score.batch_norm)
        return points + self._alignment * (method != "none")

    def score_points(self, target: Target, start: int, stop: int, choice: str | None = None) -> float:
        """Some points."""
        how, data = self._config.score.batch_norm, self._data
        if target[0] == "surface":
            surface = self._place.surface(target[-1])
            how, data = surface.batch_norm, {name: data[name] for name in surface.splits or data}
        return _needed(start, stop, choice) * self._point(data, self._place.examples(target), how)

    def explore_path(self, target: Target, tolerance: float) -> float:
        """The points of a path."""
        return self.score_points(target, 0, TYPICAL)

    def measure_points(self, target: Target, start: int, stop: int, choice: str | None = None) -> float:
        """Hessian-vector products at some points."""
        asked = next(one for one in self._config.curvature if one.along == target[-1])
        count = _few(self._config.examples(asked).scored, len(self._train))
        products = min(_PRODUCTS, asked.most) + asked.samples
        return _needed(start, stop, choice) * self._costs.forward * count * _PRODUCT * products

    def rescore_points(self, target: Target, parts: Sequence[str]) -> float:
        """A few points on all examples."""
        return _PEAKS * self._point(self._data, ALL, self._config.score.batch_norm)

    def choose_examples(self, target: Target, wanted: Sequence[str], tolerance: float) -> float:
        """A few points on all examples."""
        return _CHOICE * self._point(self._data, ALL, self._config.score.batch_norm)

    def _point(self, data: Mapping[str, Source], examples: Examples, how: str) -> float:
        """Scores of one point."""
        scored = sum(_few(examples.scored, len(split)) for split in data.values())
        again = _few(examples.batch_norm, len(self._train)) if how in REESTIMATED else 0
        return self._costs.forward * scored + self._costs.again * again


def _needed(start: int, stop: int, choice: str | None) -> int:
    """How many of some points are done: of those that a piece chooses, the first half."""
    return 0 if choice is not None and start >= PLANE_POINTS / 2 else stop - start


def _few(asked: int | None, there: int) -> int:
    return there if asked is None else min(asked, there)
