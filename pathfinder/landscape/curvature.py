"""The table of curvature.csv: extreme eigenvalues and trace of the Hessian at the points of a path or a surface."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from pathfinder.geometry.base import Geometry
from pathfinder.landscape.hessian import Hessian
from pathfinder.landscape.spectrum import (
    Extremes,
    NotFiniteError,
    Parameters,
    Trace,
    check_lanczos,
    check_parameters,
    check_samples,
)
from pathfinder.progress import Progress, silent
from pathfinder.scoring.losses import PerExample
from pathfinder.storage.resume import NoStage, Stage, map_points
from pathfinder.weights.space import WeightSpace

RATIO_TOLERANCE = 0.1  # of log(ratio + 0.01) between the points that ratios choose


class CurvatureArguments(TypedDict, total=False):
    """How to measure the curvature at each point.

    Attributes:
        tolerance: relative residual of both eigenvalues, 0.01 if not given.
        most: maximum Hessian-vector products for the eigenvalues of a point, 400 if not given.
        samples: random vectors for the trace; 0, if not given, leaves it out.
        loss, batch_size, device, parameters: as for `Hessian`.
    """

    tolerance: float
    most: int
    samples: int
    loss: PerExample | None
    batch_size: int
    device: str
    parameters: Parameters


def curvature_table(
    space: WeightSpace,
    geometry: Geometry,
    t: Float[Tensor, "points *coordinates"],
    data: Any,
    *,
    statistics: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
    progress: Progress = silent,
    stage: Stage | None = None,
    **settings: Unpack[CurvatureArguments],
) -> pd.DataFrame:
    """The smallest and largest eigenvalue of the Hessian, and its trace, at points of a path or a surface.

    Args:
        space, geometry, t, data, statistics, seed, progress, stage, **settings: as for `measure_points`.

    Returns:
        A row per point: its coordinates, lambda_min, lambda_max, ratio, residual_min, residual_max, products,
        converged, with samples trace and trace_se, and parameters.

    Raises:
        PathfinderError: if a setting is wrong, or the Hessian of the only point holds NaN or infinity.
    """
    rows = measure_points(
        space, geometry, t, data, statistics=statistics, seed=seed, alone=len(t) == 1, progress=progress, stage=stage,
        **settings,
    )  # fmt: skip
    return gather_curvature(geometry, t, rows)


def gather_curvature(
    geometry: Geometry, t: Float[Tensor, "points *coordinates"], measured: Sequence[dict[str, Any]]
) -> pd.DataFrame:
    """The table of what `measure_points` gave, in the order of the points.

    Args:
        geometry: the path, ray or plane.
        t: the coordinates of all points.
        measured: at each.
    """
    coordinates = pd.DataFrame(t.view(len(t), -1).numpy(), columns=list(geometry.axes))
    return pd.concat([coordinates, pd.DataFrame(list(measured))], axis=1)


def ratios_of(measured: Sequence[dict[str, Any]]) -> Float[np.ndarray, " points"]:
    """The ratio of both eigenvalues at each point; NaN where they did not converge."""
    return np.array([row["ratio"] if row["converged"] else np.nan for row in measured], dtype=float)


def measure_points(
    space: WeightSpace,
    geometry: Geometry,
    t: Float[Tensor, "points *coordinates"],
    data: Any,
    *,
    statistics: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
    alone: bool = False,
    progress: Progress = silent,
    stage: Stage | None = None,
    **settings: Unpack[CurvatureArguments],
) -> list[dict[str, Any]]:
    """Measure the curvature at some points: points measured apart give the same as all at once.

    Args:
        space: the weight space.
        geometry: the path, ray or plane.
        t: the coordinates.
        data: as for `Hessian`.
        statistics: computes the running statistics of BatchNorm at a point; the module's own if not given.
        seed: draws all random vectors.
        alone: whether this is the only point, at which a Hessian that is not finite is an error.
        progress: called as progress(done, total).
        stage: keeps the points done so far.
        **settings: see `CurvatureArguments`.

    Raises:
        PathfinderError: if a setting is wrong, or the Hessian of the only point holds NaN or infinity.
    """
    tolerance, most = settings.get("tolerance", 1e-2), settings.get("most", 400)
    samples, parameters = settings.get("samples", 0), settings.get("parameters", "all")
    check_lanczos(tolerance, most)
    check_parameters(parameters)
    if samples:
        check_samples(samples)

    def row(points: Tensor) -> list[dict[str, Any]]:
        theta = geometry(points)[0].detach()
        own = None if statistics is None else statistics(theta)
        hessian = Hessian(
            space,
            theta,
            data,
            loss=settings.get("loss"),
            statistics=own,
            batch_size=settings.get("batch_size", 256),
            device=settings.get("device", "cpu"),
            parameters=parameters,
        )
        try:
            found = hessian.extremes(tolerance, most, seed)
            trace = hessian.trace(samples, seed) if samples else None
        except NotFiniteError:
            if alone:
                raise
            found = Extremes.unknown(hessian.products)
            trace = Trace(math.nan, math.nan, samples) if samples else None
        values = {"lambda_min": found.lowest, "lambda_max": found.highest, "ratio": found.ratio}
        values |= {"residual_min": found.residual_lowest, "residual_max": found.residual_highest}
        values |= {"products": found.products, "converged": found.converged}
        traced = {} if trace is None else {"trace": trace.value, "trace_se": trace.standard_error}
        return [{**values, **traced, "parameters": parameters}]

    return map_points(row, t, progress=progress, stage=stage or NoStage())
