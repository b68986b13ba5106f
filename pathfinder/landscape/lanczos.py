"""Both ends of the spectrum of a symmetric matrix of which only products are known."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

_DENSE = 24  # size up to which every column of the matrix costs less than a Lanczos run
_BASIS = 20  # vectors that Lanczos keeps, scipy's default for two eigenvalues
_COARSE = 0.05  # tolerance from which fewer are enough: around ResNet-56 most points then take 15 products, not 23
_FEW = 12

Product = Callable[[np.ndarray], np.ndarray]


def extreme_pairs(
    product: Product, size: int, tolerance: float, most: int, seed: int
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, "pairs size"]]:
    """The smallest and the largest eigenvalue with their unit eigenvectors; none where Lanczos did not converge.

    Args:
        product: the matrix times a vector.
        size: of the matrix.
        tolerance: relative, of the eigenvalues.
        most: products at most; no restart begins beyond it.
        seed: draws the starting vector.
    """
    return _dense(product, size) if size <= _DENSE else _lanczos(product, size, tolerance, most, seed)


def _dense(product: Product, size: int) -> tuple[np.ndarray, np.ndarray]:
    columns = np.stack([product(unit) for unit in np.eye(size)])
    values, vectors = np.linalg.eigh((columns + columns.T) / 2)
    return values[[0, -1]], vectors.T[[0, -1]]


def _lanczos(product: Product, size: int, tolerance: float, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    # scipy's LinearOperator.__new__ picks a subclass with these arguments; the checker reads its own __init__
    operator = LinearOperator((size,) * 2, matvec=product, dtype=np.float64)  # ty: ignore[missing-argument, unknown-argument, parameter-already-assigned]
    basis = min(_BASIS if tolerance < _COARSE else _FEW, size, most)
    restarts = max((most - 2) // basis, 1)
    start = np.random.default_rng(seed).standard_normal(size)
    try:
        values, vectors = eigsh(operator, k=2, which="BE", tol=tolerance, ncv=basis, maxiter=restarts, v0=start)
    except ArpackNoConvergence:
        return np.zeros(0), np.zeros((0, size))
    except ArpackError:
        if product(start).any():
            raise
        return np.zeros(2), np.eye(2, size)  # a matrix of zeros
    return values, vectors.T
