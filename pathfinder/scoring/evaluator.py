"""Evaluator: the loss and metrics of a module at any points theta, on any splits of data.

The score of a point is the same, bit for bit, whatever other points are scored with it and in whichever order.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.compute import autocast, check_precision, evaluation_mode, find_device, on_device
from pathfinder.data.batching import count
from pathfinder.data.sources import Source, splits_by_name
from pathfinder.data.split import explain_dtype_errors
from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import Geometry, coordinates_of, vector_of
from pathfinder.geometry.curves import Curve
from pathfinder.progress import Progress, silent
from pathfinder.scoring.adaptive import open_ended
from pathfinder.scoring.adaptive_plane import explore_any
from pathfinder.scoring.batch_norm import BatchNormName, Interpolate, Policy, Reestimate, check_ends, policy_of
from pathfinder.scoring.checks import warn_of_statistics
from pathfinder.scoring.losses import PerExample, check_targets, functions_by_name, may_leave_out
from pathfinder.scoring.means import Values, join, row_of
from pathfinder.scoring.reestimate import NormInputs, interpolate, reestimate
from pathfinder.scoring.scores import Closeness, Point, Scores, gather
from pathfinder.scoring.weighted import per_example
from pathfinder.settings import check_kind, whole
from pathfinder.storage.resume import NoStage, Stage, StageMemory, map_points
from pathfinder.symmetry.repair import Correction, PathRepair, Repair, check_repair
from pathfinder.weights.space import Fixed, WeightSpace, check_statistics


class Evaluator:
    """Computes loss and metrics at points of a weight space.

    Args:
        space: the weight space of the module.
        data: splits by name; each a Split, a pair (x, y), or an iterable of batches whose order repeats.
        loss: (output, target) -> a value per example, or per token of each example; or `Weighted` values. Cross-entropy
            if not given, without targets of -100. It gets the module's output as it is, a tensor, tuple or dict.
        metrics: further callables of the same form by name; the percentage of errors (`error`) if not given and the
            task has classes.
        batch_norm: how BatchNorm's running statistics are found at a point: `Reestimate(...)`, `Stored()` or
            `Interpolate(a, b)` of `pathfinder.scoring`, or a short name. `training` measures them at every point from
            training inputs as training prepared them, cropped and flipped once (Garipov et al. 2018); `reestimate`
            from clean ones; `stored` keeps those of the module, as Li et al. (2018) do around a minimum;
            `interpolate` mixes those in `statistics`.
        statistics: for `interpolate`, and for `stored` along a path: the running statistics of the ends, or of every
            anchor, mixed with C(t).
        batch_norm_data: inputs for `training` and `reestimate`; the split `train` if not given.
        repair: for networks without BatchNorm: sets the moments of hidden units between the ends of a path, measured on
            the same inputs (Jordan et al. 2023); see `pathfinder.symmetry.repair.Repair`.
        batch_size: examples per forward pass; the re-estimated statistics depend on it, see `reestimate`.
        examples: how many examples of each split are scored, a fixed subset by seed; all if not given.
        batch_norm_examples: how many of them `training` and `reestimate` use; all if not given.
        seed: draws the subsets.
        device: where to compute: `cpu`, `cuda`, `mps`.
        precision: `fp32`, or `bf16` for autocast; losses are computed in float32 either way.
        chunk: points scored in one pass over the data; more points save passes over a stream.

    Raises:
        PathfinderError: if an argument is wrong, or a policy lacks its inputs or statistics.

    >>> import torch
    >>> from pathfinder import Line, WeightSpace, build_model, load_data
    >>> data = load_data("digits")
    >>> a, b = (build_model("mlp", input_shape=(1, 8, 8), seed=seed) for seed in (0, 1))
    >>> space = WeightSpace(a)
    >>> evaluator = Evaluator(space, data, examples=100)
    >>> evaluator.score(Line(space.vector(a), space.vector(b)), 3)
    Scores(line: 3 points of train_loss, test_loss, train_error, test_error)
    """

    def __init__(
        self,
        space: WeightSpace,
        data: Mapping[str, Any],
        *,
        loss: PerExample | None = None,
        metrics: Mapping[str, PerExample] | None = None,
        batch_norm: Policy | BatchNormName = "training",
        statistics: Sequence[Tensor] | None = None,
        batch_norm_data: Any = None,
        repair: Repair | None = None,
        batch_size: int = 256,
        examples: int | None = None,
        batch_norm_examples: int | None = None,
        seed: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        chunk: int = 1,
    ) -> None:
        check_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
        self.batch_norm, inputs = policy_of(batch_norm, space, statistics, batch_norm_data, batch_norm_examples)
        self.space, self.seed = space, whole(seed, "seed", 0)
        self.batch_size, self.chunk = whole(batch_size, "batch_size", 1), whole(chunk, "chunk", 1)
        self.device, self.precision = find_device(device), check_precision(precision)
        space.on(self.device)  # fail early on weights that the device cannot hold
        mixed = self.batch_norm.statistics if isinstance(self.batch_norm, Interpolate) else ()
        self._statistics = [one.to(self.device) for one in mixed]
        sources = splits_by_name(data)
        check_targets(loss, sources)
        most = None if examples is None else whole(examples, "examples", 1)
        self.data: dict[str, Source] = {n: s.subset(most, seed).to(self.device) for n, s in sources.items()}
        self._functions = functions_by_name(
            loss, metrics, next(iter(sources.values())).classes, may_leave_out(sources.values())
        )
        self._warned: set[tuple[str, str]] = set()  # metrics that are NaN for some examples
        check_repair(repair, space)
        measured = self.reestimates or repair is not None
        self._repair, self._inputs = repair, NormInputs(inputs, sources, seed, self.device) if measured else None
        if self._inputs is not None and repair is None:
            self._inputs.warn_if_clean()

    def score(
        self,
        geometry: Geometry,
        points: int | Literal["auto"] | Float[Tensor, "points *coordinates"] | np.ndarray | Sequence[Any],
        *,
        tolerance: float | None = None,
        check: bool = True,
        progress: Progress = silent,
        stage: Stage | None = None,
    ) -> Scores:
        """Score a geometry at a number of evenly spaced points, or at coordinates (points,) or (points, 2).

        Args:
            geometry: the line, curve or plane.
            points: how many, or where: a tensor, array or list; `auto` for those that the losses ask for.
            tolerance: with `auto`, by default 0.01 of a path, see `adaptive.explore`; 0.03 of a plane, see `judge`.
            check: whether an end of a path is compared with its stored statistics of BatchNorm, where they are known.
            progress: called as progress(done, total).
            stage: saves the points scored so far, so that an interrupted call resumes; see `pathfinder.storage.Stage`.

        Raises:
            PathfinderError: if the geometry is of another network, or points are neither a number nor coordinates.
        """
        if check and self._inputs is not None and self.reestimates and isinstance(geometry, Curve):
            warn_of_statistics(geometry, self.space, self.values, self.statistics_from, self._inputs.given)
        if isinstance(points, str) and points == "auto":
            score = partial(self.score_points, geometry, progress=open_ended(progress), stage=stage or StageMemory())
            return self.gather(geometry, *explore_any(score, geometry, tolerance))
        t = self._coordinates_of(geometry, points)
        return self.gather(geometry, t, self.score_points(geometry, t, progress=progress, stage=stage))

    def score_points(
        self, geometry: Geometry, t: Tensor, *, progress: Progress = silent, stage: Stage | None = None
    ) -> list[Point]:
        """Score some points of a geometry, for `gather`: points scored apart give the same as all at once.

        Args:
            geometry, progress, stage: as for `score`.
            t: the coordinates of the points.
        """
        t, keep, here = self._coordinates_of(geometry, t), isinstance(geometry, Curve), on_device(geometry, self.device)
        repaired = self.repaired(here)

        def work(few: Tensor) -> Iterator[Point]:
            for values in self._values(here, few, repaired):
                yield self.row(values), values.tensors() if keep else {}

        return map_points(work, t, chunk=self.chunk, progress=progress, stage=stage or NoStage())

    def gather(self, geometry: Geometry, t: Tensor, scored: Sequence[Point], known: Closeness | None = None) -> Scores:
        """Put together what `score_points` gave, in the order of the points."""
        t, columns = self._coordinates_of(geometry, t), {**self.counts(), "batch_norm": self.statistics_from}
        return gather(geometry, t, scored, self.data, columns, known)

    def at(self, theta: Float[Tensor, " weights"], statistics: Tensor | None = None) -> dict[str, float]:
        """The mean of each metric on each split at one point, and their standard errors.

        Args:
            theta: the weights.
            statistics: running statistics of BatchNorm; found as `batch_norm` says if not given.
        """
        return self.row(self.values(theta, statistics))

    def values(self, theta: Float[Tensor, " weights"], statistics: Tensor | None = None) -> Values:
        """The value of each example, (examples,) by metric and split, at one point.

        Args:
            theta, statistics: as for `at`.
        """
        theta = vector_of(theta, self.space.size, "theta").detach().to(self.device)
        if statistics is not None:
            check_statistics(statistics, self.space.statistics_size)
        fixed = self._fixed_at([theta], None)[0] if statistics is None else self.space.fixed(statistics, self.device)
        with torch.no_grad():
            return self._pass([{**self.space.split(theta), **fixed}])[0]

    def reestimate(self, theta: Float[Tensor, " weights"]) -> Float[Tensor, " statistics"]:
        """BatchNorm's running statistics at theta (Garipov et al. 2018, section 3.2); see `reestimate.reestimate`.

        Args:
            theta: the weights.

        Raises:
            PathfinderError: if the module has no BatchNorm, or its statistics are not re-estimated.
        """
        if not self.reestimates:
            raise PathfinderError(
                "only a module with BatchNorm, scored with batch_norm='training' or 'reestimate', is re-estimated."
            )
        theta = vector_of(theta, self.space.size, "theta").detach().to(self.device)
        return self.space.statistics_in(self._fixed_at([theta], None)[0])

    @property
    def reestimates(self) -> bool:
        """Whether running statistics of BatchNorm are re-estimated at every point."""
        return self.space.has_statistics and isinstance(self.batch_norm, Reestimate)

    @property
    def statistics_from(self) -> str:
        """How running statistics are found, a column of every table: a short name, or `none` without BatchNorm."""
        return self.batch_norm.name if self.space.has_statistics else "none"

    def counts(self) -> dict[str, int]:
        """How many examples of each split are scored, and how many re-estimate BatchNorm: columns of every table."""
        counts = {f"{name}_examples": len(split) for name, split in self.data.items()}
        return counts | {"batch_norm_examples": len(self._inputs or ())}

    def __repr__(self) -> str:
        return f"Evaluator({self.space!r}, {' and '.join(self.data)}, {self.batch_norm!r})"

    def _coordinates_of(self, geometry: Geometry, points: Any) -> Tensor:
        """The coordinates of the points of a geometry, checked."""
        check_kind(geometry, Geometry, "geometry", "give a Line, curve, Ray or Plane")
        if (weights := len(geometry.rows()[0])) != self.space.size:
            raise PathfinderError(
                f"the {geometry.kind()} must have {self.space.size} weights, got {weights}; it is of another network."
            )
        t = coordinates_of(geometry, points)
        check_ends(self.batch_norm, self.space, geometry, t)
        return t

    def repaired(self, geometry: Geometry) -> PathRepair | None:
        """What repairs the hidden units between the ends of a path, if that is asked for."""
        if self._repair is None:
            return None
        if not isinstance(geometry, Curve):
            raise PathfinderError(f"repair needs a path between two ends, not a {geometry.kind()}; drop repair.")
        with torch.no_grad(), evaluation_mode(self.space.network):
            return PathRepair(self._repair, (geometry.start, geometry.end), self._measured)

    def _measured(self, theta: Tensor) -> tuple[Any, Any]:
        """The network at theta as a function of its inputs, and the inputs on which its units are measured."""
        assert self._inputs is not None
        tensors = {**self.space.split(theta), **self.space.fixed(None, self.device)}
        return partial(self._output, tensors), (x for x, _ in self._inputs.batches(self.batch_size))

    def _values(self, geometry: Geometry, t: Tensor, repaired: PathRepair | None) -> list[Values]:
        """The values of each example at a few points, in one pass over the data."""
        with torch.no_grad():
            points = [t[i : i + 1] for i in range(len(t))]  # coefficients are float64, which not every device has
            thetas = [geometry(point)[0] for point in points]
            fixed = self._fixed_at(thetas, [geometry.coefficients(point)[0] for point in points], points)
            corrected: list[Correction | None] = [None] * len(t)
            if repaired is not None:
                with evaluation_mode(self.space.network):
                    corrected = [repaired.at(float(at), theta) for at, theta in zip(t, thetas, strict=True)]
            return self._pass([{**self.space.split(a), **b} for a, b in zip(thetas, fixed, strict=True)], corrected)

    def _pass(self, points: list[Fixed], corrected: Sequence[Correction | None] = (None,)) -> list[Values]:
        parts: list[dict] = [{(m, s): [] for m in self._functions for s in self.data} for _ in points]
        with evaluation_mode(self.space.network):
            for split, source in self.data.items():
                with explain_dtype_errors(source, self.space.dtype):
                    for x, y in source.batches(self.batch_size):
                        for tensors, part, correction in zip(points, parts, corrected, strict=True):
                            with nullcontext() if correction is None else correction.apply():
                                output = self._output(tensors, x)
                            for metric, function in self._functions.items():
                                values = function(output, y)
                                part[metric, split].append(per_example(values, count(x)))
        return [join(part) for part in parts]

    def _fixed_at(self, thetas: list[Tensor], C: list[Tensor] | None, t: list[Tensor] | None = None) -> list[Fixed]:
        """The tensors that are not part of theta, with the running statistics of each point."""
        if self.space.has_statistics and isinstance(self.batch_norm, Interpolate):
            if C is None or t is None:
                raise PathfinderError("batch_norm='interpolate' needs a geometry; pass statistics= for a single point.")
            mixed = [interpolate(self._statistics, c, point) for c, point in zip(C, t, strict=True)]
            return [self.space.fixed(statistics, self.device) for statistics in mixed]
        if self._inputs is None or not self.reestimates:
            return [self.space.fixed(None, self.device) for _ in thetas]
        return reestimate(self.space, thetas, self._inputs, self.batch_size, self._output)

    def _output(self, tensors: Fixed, x: Any) -> Any:
        with autocast(self.device, self.precision):
            return self.space.apply(tensors, x)

    def row(self, values: Values) -> dict[str, float]:
        """The mean of each metric on each split and its standard error, by the names of their columns."""
        return row_of(values, self._warned)
