"""Curvature at the points of a path or a surface, as a table."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from pathfinder.geometry.base import Geometry
from pathfinder.landscape.hessian import Extremes, Hessian, NotFiniteError, Trace, check_lanczos, check_samples
from pathfinder.progress import Progress, silent
from pathfinder.storage.stage import NoStage, Stage, map_points
from pathfinder.weights.space import WeightSpace


def curvature_table(
    space: WeightSpace,
    geometry: Geometry,
    t: Float[Tensor, "points *coordinates"],
    data: Any,
    *,
    statistics: Callable[[Tensor], Tensor] | None = None,
    tolerance: float = 1e-2,
    most: int = 400,
    samples: int = 0,
    seed: int = 0,
    progress: Progress = silent,
    stage: Stage | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Both ends of the spectrum, and the trace, at points of a path or a surface.

    Args:
        space: the weight space.
        geometry: the path, ray or plane.
        t: the coordinates.
        data: as for `Hessian`.
        statistics: gives the running statistics of BatchNorm at a point.
        tolerance: of the eigenvalues, as for `Hessian.extremes`.
        most: products for the eigenvalues of a point.
        samples: random vectors for the trace; none if 0.
        seed: draws all vectors.
        progress: called as progress(done, total).
        stage: a `storage.Stage` that keeps the points done so far.
        **settings: of `Hessian`.

    Returns:
        A row per point: its coordinates, lambda_min, lambda_max, ratio, residual_min, residual_max, products,
        converged, and trace and trace_se where samples are asked for.

    Raises:
        PathfinderError: if a setting is wrong, or the Hessian of the only point holds NaN or infinity.
    """
    check_lanczos(tolerance, most)
    if samples:
        check_samples(samples)

    def row(points: Tensor) -> list[dict[str, Any]]:
        theta = geometry(points)[0].detach()
        own = None if statistics is None else statistics(theta)
        hessian = Hessian(space, theta, data, statistics=own, **settings)
        try:
            found = hessian.extremes(tolerance, most, seed)
            trace = hessian.trace(samples, seed) if samples else None
        except NotFiniteError:
            if len(t) == 1:
                raise
            found = Extremes.unknown(hessian.products)
            trace = Trace(math.nan, math.nan, samples) if samples else None
        values = {"lambda_min": found.lowest, "lambda_max": found.highest, "ratio": found.ratio}
        values |= {"residual_min": found.residual_lowest, "residual_max": found.residual_highest}
        values |= {"products": found.products, "converged": found.converged}
        return [values if trace is None else {**values, "trace": trace.value, "trace_se": trace.standard_error}]

    rows = map_points(row, t, progress=progress, stage=stage or NoStage())
    coordinates = pd.DataFrame(t.view(len(t), -1).numpy(), columns=list(geometry.axes))
    return pd.concat([coordinates, pd.DataFrame(rows)], axis=1)
