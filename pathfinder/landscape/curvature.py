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
    stage: Any = None,
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
    kept = stage.load() if stage else None
    rows: list[dict[str, Any]] = list(kept["rows"]) if kept else []
    progress(len(rows), len(t))
    for point in t[len(rows) :]:
        theta = geometry(point[None])[0].detach()
        own = None if statistics is None else statistics(theta)
        hessian = Hessian(space, theta, data, statistics=own, **settings)
        try:
            found = hessian.extremes(tolerance, most, seed)
            trace = hessian.trace(samples, seed) if samples else None
        except NotFiniteError:
            if len(t) == 1:
                raise
            found, trace = Extremes.unknown(hessian.products), Trace(math.nan, math.nan, samples)
        row = {"lambda_min": found.lowest, "lambda_max": found.highest, "ratio": found.ratio}
        row |= {"residual_min": found.residual_lowest, "residual_max": found.residual_highest}
        row |= {"products": found.products, "converged": found.converged}
        if samples:
            row |= {"trace": trace.value, "trace_se": trace.standard_error}
        rows.append(row)
        progress(len(rows), len(t))
        if stage and (stage.due() or len(rows) == len(t)):
            stage.save({"rows": rows})
    coordinates = pd.DataFrame(t.view(len(t), -1).numpy(), columns=list(geometry.axes))
    return pd.concat([coordinates, pd.DataFrame(rows)], axis=1)
