"""The Hessian of the mean loss at a point, computed through its products with vectors.

The loss is that of scoring: evaluation mode, no augmentation, mean over all examples, no weight decay. Running
statistics of BatchNorm are constants.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.compute import accumulator, evaluation_mode, find_device, plain_kernels
from pathfinder.data.batching import count
from pathfinder.data.sources import as_source
from pathfinder.data.split import explain_dtype_errors
from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import vector_of
from pathfinder.landscape.gradients import Gradient, Total
from pathfinder.landscape.lanczos import extreme_pairs
from pathfinder.landscape.spectrum import (
    Extremes,
    NotFiniteError,
    Parameters,
    Trace,
    check_lanczos,
    check_parameters,
    check_samples,
)
from pathfinder.scoring.losses import PerExample, check_targets, functions_by_name, may_leave_out
from pathfinder.scoring.weighted import per_example
from pathfinder.settings import check_kind, whole
from pathfinder.weights.space import WeightSpace, check_statistics

_NOISE = 100.0  # rounding error of a product, in units of the largest eigenvalue's last bit


class Hessian:
    """The Hessian of the mean loss over a data set at theta: H = d^2 L / d theta^2.

    Args:
        space: the weight space of the module.
        theta: the weights.
        data: a Split, a pair (x, y), or an iterable of batches whose order repeats.
        loss: loss(output, target) -> (examples,), as for `Evaluator`; cross-entropy if not given.
        statistics: running statistics of BatchNorm at theta, such as `Evaluator.reestimate` gives; the module's own if
            not given.
        batch_size: examples per pass. Where one batch holds all, its gradient is kept, and each product costs less.
        device: where to compute, such as "cuda".
        parameters: `all`, or `matrices` for tensors of two axes or more alone, as Li et al. (2018) do: biases and norm
            parameters are constants. Vectors, products and eigenvectors then have those weights only, in their order.

    Attributes:
        products: the number of products computed so far.

    Raises:
        PathfinderError: if an argument does not fit the space or the data.

    Example:
        >>> import torch
        >>> from pathfinder import Hessian, WeightSpace
        >>> space = WeightSpace(torch.nn.Linear(2, 3))
        >>> x, y = torch.randn(20, 2), torch.randint(3, (20,))
        >>> hessian = Hessian(space, torch.zeros(space.size), (x, y))
        >>> hessian.product(torch.ones(space.size)).shape
        torch.Size([9])
        >>> hessian.extremes().converged
        True
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
        parameters: Parameters = "all",
    ) -> None:
        check_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
        self.space, self.batch_size = space, whole(batch_size, "batch_size", 1)
        self.device = find_device(device)
        space.on(self.device)  # fail early if the device cannot hold the weights
        self.theta = vector_of(theta, space.size, "theta").detach().to(self.device)
        if statistics is not None:
            check_statistics(statistics, space.statistics_size)
        self.data = as_source(data).to(self.device)
        check_targets(loss, {"data": self.data})
        self.loss = functions_by_name(loss, {}, None, may_leave_out([self.data]))["loss"]
        self.products = 0
        check_parameters(parameters)
        parts = {} if parameters == "all" else space.split(self.theta)
        constants = {name: part for name, part in parts.items() if part.ndim < 2}
        self._chosen = self._all_but(constants) if parts else None
        self._length = space.size if self._chosen is None else int(self._chosen.sum())
        self._only: Gradient | None = None  # of the only batch, if there is one batch
        self._fixed = space.fixed(None if statistics is None else statistics.to(self.device), self.device) | constants

    def __len__(self) -> int:
        return self._length

    def product(self, vector: Float[Tensor, " weights"]) -> Float[Tensor, " weights"]:
        """H v, by one pass over the data: the gradient of the gradient's component along v (Pearlmutter 1994).

        Args:
            vector: v.

        Returns:
            The product in float64.

        Raises:
            PathfinderError: if v has another length than the Hessian.
        """
        if not isinstance(vector, Tensor) or vector.shape != (len(self),):
            shape = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
            raise PathfinderError(f"a vector must be a tensor of shape ({len(self)},), got {shape}.")
        vector = self._embed(vector.to(self.theta))

        total = Total(torch.zeros_like(self.theta, dtype=accumulator(self.device)))
        precise = explain_dtype_errors(self.data, self.space.dtype)
        with evaluation_mode(self.space.network), plain_kernels(self.space.network), precise, torch.enable_grad():
            for gradient in self._gradients():
                total.add(gradient.derivative(vector), gradient.sums, gradient.examples, gradient.size)
                del gradient
        self.products += 1
        mean = total.mean()
        return mean if self._chosen is None else mean[self._chosen]

    def extremes(self, tolerance: float = 1e-3, most: int = 400, seed: int = 0) -> Extremes:
        """The smallest and the largest eigenvalue, from one implicitly restarted Lanczos run.

        `scipy.sparse.linalg.eigsh` (Lehoucq, Sorensen and Yang 1998) finds both. It keeps 20 vectors in float64, so
        that eigenvalues do not depend on their rounding, and works with more: in all 58 copies of float32 weights were
        measured, 23 GB for 100 million weights.

        Args:
            tolerance: largest residual relative to its own eigenvalue, so that it binds the smaller one too.
            most: maximum number of products; no restart, of about twenty products, starts beyond it. 5 or more.
            seed: draws the starting vector.

        Raises:
            PathfinderError: if the Hessian holds NaN or infinity, `most` is below 5, or the tolerance is not above 0.
        """
        check_lanczos(tolerance, most)
        whole(seed, "seed", 0)
        before, size = self.products, len(self)
        values, vectors = extreme_pairs(self._apply, size, tolerance, most, seed)
        pairs = []
        for value, vector in zip(values, vectors, strict=True):
            residual = self._apply(vector) - value * vector
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
        """Hutchinson's estimate of the trace: the mean of v' H v over Rademacher vectors v (Hutchinson 1990).

        Args:
            samples: the number of vectors.
            seed: draws them.

        Raises:
            PathfinderError: if there are fewer than two samples, which give no standard error.
        """
        check_samples(samples)
        whole(seed, "seed", 0)
        rng = np.random.default_rng(seed)
        values = []
        for _ in range(samples):
            vector = rng.integers(0, 2, len(self)) * 2.0 - 1.0
            values.append(float(vector @ self._apply(vector)))
        return Trace(float(np.mean(values)), float(np.std(values, ddof=1) / samples**0.5), samples)

    def _all_but(self, constants: Mapping[str, Tensor]) -> Tensor:
        """Which weights are not those of these tensors: (weights,), true or false."""
        parts = self.space.parts(self.theta).items()
        chosen = torch.cat([torch.full((part.numel(),), name not in constants) for name, part in parts])
        chosen = chosen.to(self.device)
        if not chosen.any():
            name = type(self.space.network).__name__
            raise PathfinderError(f"{name} has no weights of two axes or more; use parameters='all'.")
        return chosen

    def _embed(self, vector: Tensor) -> Tensor:
        """The vector over all weights, zero where the Hessian does not reach."""
        if self._chosen is None:
            return vector
        whole_vector = torch.zeros_like(self.theta)
        whole_vector[self._chosen] = vector
        return whole_vector

    def _gradients(self) -> Iterator[Gradient]:
        """The gradient of each batch. That of the only batch is kept, as it needs no more memory than one product."""
        if self._only is not None:
            yield self._only
            return
        gradient, batches = None, 0
        for x, y in self.data.batches(self.batch_size):
            gradient = None  # before the next one is made
            gradient = self._gradient(x, y)
            batches += 1
            yield gradient
        if batches == 1:
            self._only = gradient

    def _gradient(self, x: Any, y: Any) -> Gradient:
        theta = self.theta.detach().requires_grad_()
        losses = per_example(self.loss(self.space.call(theta, x, self._fixed), y), count(x))
        return Gradient(theta, losses.values.sum(), losses.sums(accumulator(self.device)), count(x), losses.size)

    def _apply(self, vector: np.ndarray) -> np.ndarray:
        found = self.product(torch.from_numpy(np.array(vector).reshape(-1))).cpu().numpy()
        if not np.isfinite(found).all():
            raise NotFiniteError("the Hessian holds NaN or infinity here; the loss has no second derivative.")
        return found


def hessian_extremes(
    space: WeightSpace,
    theta: Float[Tensor, " weights"],
    data: Any,
    *,
    tolerance: float = 1e-3,
    most: int = 400,
    seed: int = 0,
    loss: PerExample | None = None,
    statistics: Tensor | None = None,
    batch_size: int = 256,
    device: str = "cpu",
    parameters: Parameters = "all",
) -> Extremes:
    """The smallest and the largest eigenvalue of the Hessian of the mean loss at theta.

    Args:
        space: the weight space of the module.
        theta: the weights.
        data: a Split, a pair (x, y), or an iterable of batches whose order repeats.
        loss: loss(output, target) -> (examples,), as for `Evaluator`; cross-entropy if not given.
        statistics: running statistics of BatchNorm at theta; the module's own if not given.
        batch_size: examples per pass. Where one batch holds all, its gradient is kept, and each product costs less.
        device: where to compute, such as "cuda".
        tolerance: largest residual relative to its own eigenvalue.
        most: maximum number of Hessian-vector products, as for `Hessian.extremes`.
        seed: draws the starting vector.
        parameters: `all`, or `matrices`, as for `Hessian`.

    Returns:
        Both eigenvalues with their residuals, and |lambda_min / lambda_max| as `ratio` (Li et al. 2018, section 6).

    Raises:
        PathfinderError: as for `Hessian` and `Hessian.extremes`.

    Example:
        >>> import torch
        >>> from pathfinder import WeightSpace, hessian_extremes
        >>> space = WeightSpace(torch.nn.Linear(2, 3))
        >>> x, y = torch.randn(20, 2), torch.randint(3, (20,))
        >>> found = hessian_extremes(space, torch.zeros(space.size), (x, y))
        >>> found.lowest < found.highest
        True
    """
    hessian = Hessian(
        space, theta, data, loss=loss, statistics=statistics, batch_size=batch_size, device=device,
        parameters=parameters,
    )  # fmt: skip
    return hessian.extremes(tolerance, most, seed)
