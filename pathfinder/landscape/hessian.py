"""Curvature: the Hessian of the mean loss at a point, seen through its products with vectors.

The loss is that of scoring: evaluation mode, inputs not augmented, mean over all examples, no penalty. Running
statistics of BatchNorm are constants, those handed in.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from pathfinder.compute import accumulator, device_named, plain_kernels, to_float64
from pathfinder.data.sources import as_source, understood
from pathfinder.data.trees import count
from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import vector_of
from pathfinder.scoring.losses import PerExample, cross_entropy, guard, per_example
from pathfinder.settings import number, of_kind, whole
from pathfinder.weights.modes import evaluation_mode
from pathfinder.weights.space import Fixed, WeightSpace, statistics_of

LEAST_PRODUCTS = 5  # that a Lanczos run for two eigenvalues begins with


_BASIS = 20  # vectors that Lanczos keeps, scipy's own choice for two eigenvalues


_NOISE = 100.0  # rounding of a product, in units of the largest eigenvalue's last bit


_DENSE = 24  # weights up to which every column of the Hessian costs less than a Lanczos run


def check_lanczos(tolerance: float, most: int) -> None:
    """Raise a PathfinderError where a Lanczos run could not begin, or could not be said to have converged."""
    if not 0 < number(tolerance, "tolerance") < math.inf:
        raise PathfinderError(f"tolerance must be above 0 and finite, got {tolerance}.")
    if whole(most, "most") < LEAST_PRODUCTS:
        raise PathfinderError(f"the extremes need {LEAST_PRODUCTS} products or more, got {most}.")


def check_samples(samples: int) -> None:
    """Raise a PathfinderError where a trace would have no standard error."""
    if whole(samples, "samples") < 2:
        raise PathfinderError(f"the trace needs 2 samples or more, got {samples}.")


class NotFiniteError(PathfinderError):
    """A Hessian holds NaN or infinity."""


@dataclass(frozen=True)
class Extremes:
    """Both ends of a spectrum.

    Attributes:
        lowest, highest: the eigenvalues; NaN where none was found.
        residual_lowest, residual_highest: |H v - lambda v| for the unit vectors found.
        products: Hessian-vector products it took, those of the residuals included.
        converged: whether both residuals are within the tolerance of their own eigenvalue.
    """

    lowest: float
    highest: float
    residual_lowest: float
    residual_highest: float
    products: int
    converged: bool

    @classmethod
    def unknown(cls, products: int) -> "Extremes":
        """What is known where none was found."""
        return cls(*[math.nan] * 4, products, False)

    @property
    def residual(self) -> float:
        """The larger of the two residuals."""
        return max(self.residual_lowest, self.residual_highest)

    @property
    def ratio(self) -> float:
        """|lambda_min / lambda_max|: how far from convex (Li et al. 2018, section 6)."""
        return abs(self.lowest / self.highest) if self.highest else float("nan")


@dataclass(frozen=True)
class Trace:
    """The trace, estimated.

    Attributes:
        value: the mean over the samples.
        standard_error: of that mean.
        samples: random vectors, each of which took a product.
    """

    value: float
    standard_error: float
    samples: int


class Hessian:
    """The Hessian of the mean loss over a data set at theta.

    Args:
        space: the weight space of the module.
        theta: the point.
        data: a Split, a pair (x, y), or an iterable of batches whose order repeats.
        loss: as for the Evaluator.
        statistics: running statistics of BatchNorm at theta, such as `Evaluator.reestimate` gives; the module's own if
            not given.
        batch_size: examples per pass.
        device: where to compute.

    Attributes:
        products: how many products were made so far.
    """

    def __init__(
        self,
        space: WeightSpace,
        theta: Float[Tensor, " weights"],
        data: Any,
        *,
        loss: PerExample | None = None,
        statistics: Tensor | None = None,
        batch_size: int = 256,
        device: str = "cpu",
    ) -> None:
        of_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
        self.space, self.batch_size = space, whole(batch_size, "batch_size", 1)
        self.loss = cross_entropy if loss is None else guard(loss, "loss")
        self.device = device_named(device)
        space.on(self.device)  # weights that the device cannot hold show now
        self.theta = vector_of(theta, space.size, "theta").detach().to(self.device)
        if statistics is not None:
            statistics_of(statistics, space.statistics_size)
        self.data = as_source(data).to(self.device)
        self.products = 0
        self._fixed = space.fixed(None if statistics is None else statistics.to(self.device), self.device)

    def __len__(self) -> int:
        return self.space.size

    def product(self, vector: Float[Tensor, " weights"]) -> Float[Tensor, " weights"]:
        """H v, in one pass over the data: the gradient of the gradient along v."""
        if not isinstance(vector, Tensor) or vector.shape != self.theta.shape:
            shape = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
            raise PathfinderError(f"a vector must be a tensor of shape ({len(self)},), got {shape}.")
        vector = vector.to(self.theta)

        def slope(theta: Tensor, fixed: Fixed, x: Any, y: Any) -> Tensor:
            return torch.dot(torch.func.grad(self._summed)(theta, fixed, x, y), vector)

        total, examples = torch.zeros_like(self.theta, dtype=accumulator(self.device)), 0
        precise = understood(self.data, self.space.dtype)
        with evaluation_mode(self.space.network), plain_kernels(self.space.network), precise:
            for x, y in self.data.batches(self.batch_size):
                total += torch.func.grad(slope)(self.theta, self._fixed, x, y)
                examples += count(x)
        self.products += 1
        return to_float64(total).div_(examples)

    def extremes(self, tolerance: float = 1e-3, most: int = 400, seed: int = 0) -> Extremes:
        """The lowest and the highest eigenvalue in one Lanczos run (`scipy.sparse.linalg.eigsh`, both ends).

        The run keeps 20 vectors in float64 and works with some more: 58 copies of float32 weights were measured, which
        makes 23 GB for 100 million of them. They stay in float64 so that eigenvalues do not depend on their rounding.

        Args:
            tolerance: of each residual, relative to its own eigenvalue, so that it holds for the smaller end too.
            most: products after which no further restart, of some twenty, is made; 5 or more.
            seed: draws the vector it starts from.

        Raises:
            PathfinderError: if the Hessian holds NaN or infinity, there are too few products to begin, or the tolerance
                is not above zero.
        """
        check_lanczos(tolerance, most)
        whole(seed, "seed", 0)
        before, size = self.products, len(self)
        values, vectors = self._dense() if size <= _DENSE else self._lanczos(tolerance, most, seed)
        pairs = []
        for value, vector in zip(values, vectors, strict=True):
            residual = self._applied(vector) - value * vector
            pairs.append((float(value), float(np.linalg.norm(residual))))
        used = self.products - before
        if len(pairs) < 2:
            return Extremes.unknown(used)
        (low, low_residual), (high, high_residual) = pairs
        largest = max(abs(low), abs(high))
        noise = _NOISE * largest * torch.finfo(self.theta.dtype).eps
        converged = all(residual <= max(tolerance * abs(value), noise) for value, residual in pairs)
        return Extremes(low, high, low_residual, high_residual, used, converged)

    def trace(self, samples: int = 32, seed: int = 0) -> Trace:
        """Hutchinson's estimate from Rademacher vectors: the mean of v' H v (Hutchinson 1990).

        Raises:
            PathfinderError: if there are fewer than two samples, which have no standard error.
        """
        check_samples(samples)
        whole(seed, "seed", 0)
        rng = np.random.default_rng(seed)
        values = []
        for _ in range(samples):
            vector = rng.integers(0, 2, len(self)) * 2.0 - 1.0
            values.append(float(vector @ self._applied(vector)))
        return Trace(float(np.mean(values)), float(np.std(values, ddof=1) / samples**0.5), samples)

    def _summed(self, theta: Tensor, fixed: Fixed, x: Any, y: Any) -> Tensor:
        return per_example(self.loss(self.space.call(theta, x, fixed), y), count(x)).sum()

    def _applied(self, vector: np.ndarray) -> np.ndarray:
        found = self.product(torch.from_numpy(np.array(vector).reshape(-1))).cpu().numpy()
        if not np.isfinite(found).all():
            raise NotFiniteError("the Hessian holds NaN or infinity here; the loss has no second derivative.")
        return found

    def _dense(self) -> tuple[np.ndarray, np.ndarray]:
        columns = np.stack([self._applied(unit) for unit in np.eye(len(self))])
        values, vectors = np.linalg.eigh((columns + columns.T) / 2)
        return values[[0, -1]], vectors.T[[0, -1]]

    def _lanczos(self, tolerance: float, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        operator = LinearOperator((len(self), len(self)), matvec=self._applied, dtype=np.float64)
        basis = min(_BASIS, len(self), most)
        restarts = max((most - 2) // basis, 1)
        start = np.random.default_rng(seed).standard_normal(len(self))
        try:
            values, vectors = eigsh(operator, k=2, which="BE", tol=tolerance, ncv=basis, maxiter=restarts, v0=start)
        except ArpackNoConvergence:
            return np.zeros(0), np.zeros((0, len(self)))
        except ArpackError:
            if self._applied(start).any():
                raise
            return np.zeros(2), np.eye(2, len(self))  # a Hessian of zeros
        return values, vectors.T


def hessian_extremes(space: WeightSpace, theta: Float[Tensor, " weights"], data: Any, **settings: Any) -> Extremes:
    """Both ends of the Hessian's spectrum: see `Hessian` and `Hessian.extremes` for the settings."""
    own = {key: settings.pop(key) for key in ("tolerance", "most", "seed") if key in settings}
    return Hessian(space, theta, data, **settings).extremes(**own)
