"""Evaluator: the one scorer. Loss and metrics of a module at any point theta, on any splits of data.

A point stands alone: its score is the same bit for bit in any order, chunk or company.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from numbers import Integral
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.compute import autocast, device_named, placed
from pathfinder.data.sources import Source, as_source, understood
from pathfinder.data.trees import count
from pathfinder.errors import PathfinderError, PathfinderWarning, unknown
from pathfinder.geometry.base import Geometry, vector_of
from pathfinder.geometry.curves import Curve
from pathfinder.progress import Progress, silent
from pathfinder.scoring.losses import PerExample, cross_entropy, default_metrics, per_example, users
from pathfinder.scoring.scores import Scores
from pathfinder.settings import came, of_kind, whole
from pathfinder.symmetry.repair import Correction, Moments, Repair, interpolate
from pathfinder.weights.space import Fixed, WeightSpace, several_statistics, statistics_of

BATCH_NORM = ("reestimate", "augmented", "stored", "interpolate")

Values = dict[tuple[str, str], np.ndarray]  # (metric, split) -> (examples,)


class Evaluator:
    """Scores points of a weight space.

    Args:
        space: the weight space of the module.
        data: splits by name; each a Split, a pair (x, y), or an iterable of batches whose order repeats.
        loss: (output, target) -> a value per example, or per token of each example; cross-entropy if not given. It
            gets the module's output as it is, be it a tensor, tuple or dict.
        metrics: further callables of the same form by name; the percentage of errors (`error`) if not given and the
            task has classes.
        batch_norm: `reestimate` running statistics at every point from clean training inputs, weighted by examples,
            Dropout off; likewise from `augmented` inputs, cropped and flipped once as the split is in training, which
            is what the weights of a network trained so expect (as Garipov et al. 2018 do); keep those `stored` in the
            module; or `interpolate` those of the ends.
        statistics: for `interpolate`: the running statistics of the ends, or of every anchor, mixed with C(t).
        batch_norm_data: inputs for re-estimation; the split `train` if not given.
        repair: for networks without BatchNorm: sets the moments of hidden units between the ends of a path, measured on
            the same inputs (Jordan et al. 2023); see `repair.Repair`.
        batch_size: examples per forward pass; the re-estimated statistics depend on it, see `reestimate`.
        examples: how many examples of each split are scored, a fixed subset by seed; all if not given.
        batch_norm_examples: likewise for re-estimation.
        seed: draws the subsets.
        device: where to compute: `cpu`, `cuda`, `mps`.
        precision: `fp32`, or `bf16` for autocast; losses are computed in float32 either way.
        chunk: points scored in one pass over the data. More save reading a stream again; the scores are the same.
    """

    def __init__(
        self,
        space: WeightSpace,
        data: Mapping[str, Any],
        *,
        loss: PerExample | None = None,
        metrics: Mapping[str, PerExample] | None = None,
        batch_norm: Literal["reestimate", "augmented", "stored", "interpolate"] = "reestimate",
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
        if batch_norm not in BATCH_NORM:
            raise unknown("batch_norm", batch_norm, BATCH_NORM)
        of_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
        batch_size, chunk = whole(batch_size, "batch_size", 1), whole(chunk, "chunk", 1)
        seed = whole(seed, "seed", 0)
        for what, most in (("examples", examples), ("batch_norm_examples", batch_norm_examples)):
            if most is not None:
                whole(most, what, 1)
        _check_splits(data)
        self.space, self.batch_norm, self.batch_size, self.chunk = space, batch_norm, batch_size, chunk
        self.seed = seed
        self.device, self.precision = device_named(device), precision
        sources = {name: as_source(split, name) for name, split in data.items()}
        autocast(self.device, precision)  # a wrong name shows now
        space.on(self.device)  # and weights that the device cannot hold
        self.data: dict[str, Source] = {n: s.subset(examples, seed).to(self.device) for n, s in sources.items()}
        classes = next(iter(sources.values())).classes
        self._functions = {
            "loss": cross_entropy if loss is None else users(loss, "loss"),
            **(default_metrics(loss, classes) if metrics is None else _own_metrics(metrics)),
        }
        given = several_statistics([] if statistics is None else statistics, space.statistics_size)
        self._statistics = [s.to(self.device) for s in given]
        if repair is not None:
            of_kind(repair, Repair, "repair", "make one with Repair(module, structure)")
        self._repair = repair
        self._norm_source: Source | None = None
        if repair is not None and space.has_statistics:
            raise PathfinderError("a network with BatchNorm is repaired by re-estimating it; drop repair.")
        if repair is not None or (space.has_statistics and batch_norm in ("reestimate", "augmented")):
            source = sources.get("train") if batch_norm_data is None else as_source(batch_norm_data)
            if source is None:
                raise PathfinderError(
                    f"re-estimating BatchNorm needs the split `train`, got {', '.join(sources)}; pass batch_norm_data=."
                )
            self._norm_source = source.subset(batch_norm_examples, seed + 1)
            if batch_norm == "reestimate" and repair is None and (source.crop or source.flip):
                warnings.warn(
                    "BatchNorm is re-estimated from clean images, but training crops or flips them; scores may be "
                    "worse than the networks' own. batch_norm = augmented re-estimates from images as in training.",
                    PathfinderWarning,
                    stacklevel=2,
                )
            if batch_norm == "augmented":
                self._norm_source.subset(1, 0).moved(0)  # a split that cannot be augmented shows now
        if space.has_statistics and batch_norm == "interpolate" and len(self._statistics) < 2:
            raise PathfinderError(
                "batch_norm='interpolate' needs statistics=[space.statistics(a), space.statistics(b)]."
            )

    def score(
        self,
        geometry: Geometry,
        points: int | Float[Tensor, "points *coordinates"],
        *,
        progress: Progress = silent,
        stage: Any = None,
    ) -> Scores:
        """Score a geometry at a number of evenly spaced points, or at coordinates (points,) or (points, 2).

        Args:
            geometry: the line, curve or plane.
            points: how many, or where: a tensor, array or list.
            progress: called as progress(done, total).
            stage: a `storage.Stage` that keeps the points scored so far, for a call that may be interrupted.

        Raises:
            PathfinderError: if the geometry is another space's, or points are neither a whole number nor finite
                coordinates.
        """
        of_kind(geometry, Geometry, "geometry", "give a Line, curve, Ray or Plane")
        weights = len(geometry.rows()[0])
        if weights != self.space.size:
            raise PathfinderError(
                f"the {geometry.kind()} must have {self.space.size} weights, got {weights}; it is of another network."
            )
        t = _located(geometry, points)
        keep = isinstance(geometry, Curve)
        here = placed(geometry, self.device)
        ends = self._end_moments(here)
        kept = stage.load() if stage else None
        rows: list[dict[str, float]] = list(kept["rows"]) if kept else []
        losses: list[dict[tuple[str, str], Tensor]] = list(kept["losses"]) if kept else []
        progress(len(rows), len(t))
        while len(rows) < len(t):
            for values in self._values(here, t[len(rows) : len(rows) + self.chunk], ends):
                rows.append(self._row(values))
                if keep:
                    losses.append({key: torch.from_numpy(value) for key, value in values.items()})
            progress(len(rows), len(t))
            if stage and (stage.due() or len(rows) == len(t)):
                stage.save({"rows": rows, "losses": losses})
        table = pd.concat([self._coordinates(geometry, t), pd.DataFrame(rows)], axis=1)
        table = table.assign(**self.counts())
        if not keep:
            return Scores(table)
        stacked = {key: np.stack([point[key].numpy() for point in losses]) for key in losses[0]}
        return Scores(table, stacked, geometry.length(), geometry.chord())

    def at(self, theta: Float[Tensor, " weights"], statistics: Tensor | None = None) -> dict[str, float]:
        """The mean of each metric on each split at one point, and their standard errors.

        Args:
            theta: the weights.
            statistics: running statistics to use instead of those `batch_norm` would give.
        """
        theta = vector_of(theta, self.space.size, "theta").detach().to(self.device)
        if statistics is not None:
            statistics_of(statistics, self.space.statistics_size)
        fixed = self._fixed_at([theta], None)[0] if statistics is None else self.space.fixed(statistics, self.device)
        with torch.no_grad():
            return self._row(self._pass([{**self.space.split(theta), **fixed}])[0])

    def reestimate(self, theta: Float[Tensor, " weights"]) -> Float[Tensor, " statistics"]:
        """BatchNorm's running statistics at theta (Garipov et al. 2018, section 3.2).

        mean = sum_k b_k / N mean_k and variance = sum_k b_k / N s_k^2 over batches k of b_k examples with unbiased
        variance s_k^2: the mean of the batches' variances, which leaves out the spread between batches. They depend
        on the batch size for that reason. Dropout is off.
        """
        if not self.reestimates:
            raise PathfinderError(
                "only a module with BatchNorm, scored with batch_norm='reestimate' or 'augmented', is re-estimated."
            )
        theta = vector_of(theta, self.space.size, "theta").detach().to(self.device)
        return self.space.running(self._fixed_at([theta], None)[0])

    @property
    def reestimates(self) -> bool:
        """Whether running statistics of BatchNorm are re-estimated at every point."""
        return self.space.has_statistics and self._norm_source is not None

    def counts(self) -> dict[str, int]:
        """How many examples are scored and how many re-estimate BatchNorm, as every table says."""
        counts = {f"{name}_examples": len(split) for name, split in self.data.items()}
        return {**counts, "batch_norm_examples": 0 if self._norm_source is None else len(self._norm_source)}

    @cached_property
    def _norm_data(self) -> Source | None:
        """What re-estimates BatchNorm; cropped once, and only if an estimate is asked for."""
        source = self._norm_source
        if source is not None and self.batch_norm == "augmented":
            source = source.moved(self.seed + 1)
        return None if source is None else source.to(self.device)

    def _end_moments(self, geometry: Geometry) -> tuple[Moments, Moments] | None:
        """The moments of hidden units at the ends of a path, if they are to be repaired between."""
        if self._repair is None:
            return None
        if not isinstance(geometry, Curve):
            raise PathfinderError(f"repair needs a path between two ends, not a {geometry.kind()}; drop repair.")
        with torch.no_grad(), self.space.evaluating():
            first, last = (self._repair.moments(*self._hearing(end)) for end in (geometry.start, geometry.end))
        return first, last

    def _hearing(self, theta: Tensor) -> tuple[Any, Any]:
        """The network at theta as a function of its inputs, and the inputs on which its units are measured."""
        tensors = {**self.space.split(theta), **self.space.fixed(None, self.device)}
        return partial(self._output, tensors), (x for x, _ in self._norm_data.batches(self.batch_size))

    def _values(self, geometry: Geometry, t: Tensor, ends: tuple[Moments, Moments] | None) -> list[Values]:
        """The values of each example at a few points, in one pass over the data."""
        with torch.no_grad():
            points = [t[i : i + 1] for i in range(len(t))]  # coefficients are float64, which not every device has
            thetas = [geometry(point)[0] for point in points]
            fixed = self._fixed_at(thetas, [geometry.coefficients(point)[0] for point in points], points)
            corrected: list[Correction | None] = [None] * len(t)
            if self._repair is not None and ends is not None:
                with self.space.evaluating():
                    goals = [interpolate(ends, float(at)) for at in t]
                    corrected = [
                        self._repair.correct(goal, *self._hearing(theta))
                        for goal, theta in zip(goals, thetas, strict=True)
                    ]
            return self._pass([{**self.space.split(a), **b} for a, b in zip(thetas, fixed, strict=True)], corrected)

    def _pass(self, points: list[Fixed], corrected: Sequence[Correction | None] = (None,)) -> list[Values]:
        parts: list[dict] = [{(m, s): [] for m in self._functions for s in self.data} for _ in points]
        with self.space.evaluating():
            for split, source in self.data.items():
                with understood(source, self.space.dtype):
                    for x, y in source.batches(self.batch_size):
                        for tensors, part, correction in zip(points, parts, corrected, strict=True):
                            with nullcontext() if correction is None else correction.apply():
                                output = self._output(tensors, x)
                            for metric, function in self._functions.items():
                                values = function(output, y)
                                part[metric, split].append(per_example(values, count(x)))
        return [{key: torch.cat(value).cpu().numpy() for key, value in part.items()} for part in parts]

    def _fixed_at(self, thetas: list[Tensor], C: list[Tensor] | None, t: list[Tensor] | None = None) -> list[Fixed]:
        """The tensors that do not move, with the running statistics that belong to each point."""
        if self.space.has_statistics and self.batch_norm == "interpolate":
            if C is None or t is None:
                raise PathfinderError("batch_norm='interpolate' needs a geometry; pass statistics= for a single point.")
            return [self.space.fixed(self._mixed(c, point), self.device) for c, point in zip(C, t, strict=True)]
        fixed = [self.space.fixed(None, self.device) for _ in thetas]
        if not self.reestimates:
            return fixed
        for own in fixed:
            self.space.forget(own)
        points = [{**self.space.split(theta), **own} for theta, own in zip(thetas, fixed, strict=True)]
        seen = 0
        inputs = understood(self._norm_data, self.space.dtype)
        with torch.no_grad(), inputs, self.space.estimating() as layers:
            for x, _ in self._norm_data.batches(self.batch_size):
                seen += count(x)
                for layer in layers:
                    layer.momentum = count(x) / seen  # the first batch has share 1: what was stored is forgotten
                for tensors in points:
                    self._output(tensors, x)
        return fixed

    def _mixed(self, c: Tensor, t: Tensor) -> Tensor:
        if len(self._statistics) != len(c):
            if len(self._statistics) != 2 or t.ndim != 1:
                raise PathfinderError(
                    f"batch_norm='interpolate' needs statistics of the 2 ends or of all {len(c)} anchors, got "
                    f"{len(self._statistics)}."
                )
            c = torch.cat([1 - t, t])  # bends taken to lie on the straight line between the ends
        total = c[0].float() * self._statistics[0]
        for share, statistics in zip(c[1:], self._statistics[1:], strict=True):
            total = total + share.float() * statistics
        return total

    def _output(self, tensors: Fixed, x: Any) -> Any:
        with autocast(self.device, self.precision):
            return self.space.apply(tensors, x)

    def _row(self, values: Values) -> dict[str, float]:
        row = {f"{split}_{metric}": float(v.mean(dtype=np.float64)) for (metric, split), v in values.items()}
        for (metric, split), v in values.items():
            spread = float(v.std(ddof=1, dtype=np.float64)) if len(v) > 1 else 0.0
            row[f"{split}_{metric}_se"] = spread / len(v) ** 0.5
        return row

    def _coordinates(self, geometry: Geometry, t: Tensor) -> pd.DataFrame:
        columns = dict(zip(geometry.axes, t.view(len(t), -1).T.numpy(), strict=True))
        if isinstance(geometry, Curve):
            columns["arc_length"] = geometry.arc_length(t).numpy()
        return pd.DataFrame({**columns, "norm": geometry.norm(t).numpy()})


def _check_splits(data: Any) -> None:
    """Raise a PathfinderError where data is anything but splits by name."""
    if not isinstance(data, Mapping):
        raise PathfinderError(f'data must be splits by name, got {came(data)}; pass {{"train": (x, y)}}.')
    if not data:
        raise PathfinderError('the evaluator needs at least one split of data, such as {"train": (x, y)}.')
    for name in data:
        if not isinstance(name, str) or not name:
            raise PathfinderError(f'a split must have a name, such as "train", got {came(name)}.')


def _own_metrics(metrics: Any) -> dict[str, PerExample]:
    """The user's metrics, none of which may be in the place of the loss."""
    if not isinstance(metrics, Mapping):
        raise PathfinderError(f"metrics must be functions by name, got {came(metrics)}; pass {{name: function}}.")
    for name, function in metrics.items():
        if not isinstance(name, str) or name == "loss":
            raise PathfinderError(f"a metric must have a name other than `loss`, got {came(name)}; rename it.")
        if function is None:
            raise PathfinderError(f"metric `{name}` must be a function, got None.")
    return {name: users(function, f"metric `{name}`") for name, function in metrics.items()}


def _located(geometry: Geometry, points: Any) -> Float[Tensor, "points *coordinates"]:
    """So many coordinates of a geometry, or those given, in float64 on the CPU."""
    if isinstance(points, Integral | np.bool_ | float | str) or points is None:
        return geometry.grid(whole(points, "points")).detach().cpu().double()
    if not isinstance(points, Tensor):
        points = _array(points)
    if points.is_complex() or points.dtype == torch.bool:
        raise PathfinderError(f"coordinates must be real numbers, got {points.dtype}.")
    t = points.detach().cpu().double()
    if t.numel() == 0 or t.ndim == 0 or t.shape[1:] != (() if len(geometry.axes) == 1 else (len(geometry.axes),)):
        raise PathfinderError(f"coordinates must be {', '.join(geometry.axes)} for each point, got {tuple(t.shape)}.")
    if not t.isfinite().all():
        raise PathfinderError("coordinates must be finite, got NaN or infinity; leave these points out.")
    return t


def _array(points: Any) -> Tensor:
    """Coordinates that are no tensor, in float64: through float32 a list would lose digits."""
    try:
        array = np.asarray(points)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PathfinderError(f"points must be a whole number, or coordinates, got {came(points)}.") from error
    if array.dtype.kind not in "iuf":
        raise PathfinderError(f"points must be a whole number, or real coordinates, got {came(points)}.")
    return torch.from_numpy(array.astype(np.float64))


def means(scores: Mapping[str, float]) -> dict[str, float]:
    """What `Evaluator.at` gives, without the standard errors."""
    return {name: value for name, value in scores.items() if not name.endswith("_se")}
