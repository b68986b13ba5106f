"""What is found of a Hessian's spectrum: its extreme eigenvalues and its trace."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pathfinder.errors import PathfinderError, unknown
from pathfinder.settings import number, whole

Parameters = Literal["all", "matrices"]  # that a Hessian differentiates; `matrices` have two axes or more

LEAST_PRODUCTS = 5  # needed to start a Lanczos run for two eigenvalues


def check_lanczos(tolerance: float, most: int) -> None:
    """Raise a PathfinderError if a Lanczos run could not start, or its convergence could not be judged."""
    if not 0 < number(tolerance, "tolerance") < math.inf:
        raise PathfinderError(f"tolerance must be above 0 and finite, got {tolerance}.")
    if whole(most, "most") < LEAST_PRODUCTS:
        raise PathfinderError(f"the extremes need {LEAST_PRODUCTS} products or more, got {most}.")


def check_parameters(parameters: str) -> None:
    """Raise a PathfinderError if this names no choice of parameters."""
    if parameters not in get_args(Parameters):
        raise unknown("parameters", parameters, get_args(Parameters))


def check_samples(samples: int) -> None:
    """Raise a PathfinderError if a trace would have no standard error."""
    if whole(samples, "samples") < 2:
        raise PathfinderError(f"the trace needs 2 samples or more, got {samples}.")


class NotFiniteError(PathfinderError):
    """A Hessian has NaN or infinite entries."""


@dataclass(frozen=True)
class Extremes:
    """The smallest and the largest eigenvalue of a Hessian.

    Attributes:
        lowest, highest: the eigenvalues; NaN if they were not found.
        residual_lowest, residual_highest: |H v - lambda v| for the unit eigenvectors v found.
        products: Hessian-vector products used, including those for the residuals.
        converged: whether both residuals are within the tolerance times their own eigenvalue.
    """

    lowest: float
    highest: float
    residual_lowest: float
    residual_highest: float
    products: int
    converged: bool

    @classmethod
    def unknown(cls, products: int) -> "Extremes":
        """The result where no eigenvalue was found."""
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
    """An estimate of the trace of a Hessian.

    Attributes:
        value: the mean over the samples.
        standard_error: of that mean.
        samples: random vectors used, one product each.
    """

    value: float
    standard_error: float
    samples: int
