"""Geometry: maps from coordinates t to coefficients C(t), so that theta = C(t) @ W.

t: (points, coordinates), C: (points, anchors), W: (anchors, weights), theta: (points, weights). A new geometry is a
subclass with a table of coefficients; nothing else in the package changes. No modules and no data here: pure tensors.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from inspect import isabstract
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pathfinder.compute import all_finite
from pathfinder.errors import PathfinderError, reason, unknown
from pathfinder.geometry.inner import gram
from pathfinder.storage import Checkpoint, load_tensors, save_tensors


def vector_of(given: Any, size: int, what: str) -> Float[Tensor, " weights"]:
    """Weights, or a direction, of a space of this size, as a tensor.

    Raises:
        PathfinderError: if it is no vector of so many finite real numbers.
    """
    vector = weights_of(given, what)
    if len(vector) != size:
        raise PathfinderError(f"{what} must have shape ({size},), got ({len(vector)},); it is of another network.")
    return vector


_KINDS: dict[str, type["Geometry"]] = {}  # every class by its kind: the name in lower case


class Geometry(nn.Module, ABC):
    """Weight vectors (anchors) combined by coefficients that depend on coordinates.

    Attributes:
        axes: the names of the coordinates.
    """

    axes: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.kind()] = cls

    @classmethod
    def kind(cls) -> str:
        """The name of this geometry in configs, tables and files."""
        return cls.__name__.lower()

    @abstractmethod
    def coefficients(self, t: Float[Tensor, "points *coordinates"]) -> Float[Tensor, "points anchors"]:
        """C(t), computed elementwise so that no point depends on its neighbours."""

    @abstractmethod
    def rows(self) -> list[Float[Tensor, " weights"]]:
        """The anchors one by one."""

    @property
    def anchors(self) -> Float[Tensor, "anchors weights"]:
        """W, the anchors as one matrix (a copy)."""
        return torch.stack(self.rows())

    def forward(self, t: Float[Tensor, "points *coordinates"]) -> Float[Tensor, "points weights"]:
        """theta(t): a sum in fixed order, not a matrix product, so that a row is the same in any company."""
        rows = self.rows()
        C = self.coefficients(t).to(rows[0])
        theta = C[:, :1] * rows[0]
        for i, row in enumerate(rows[1:], start=1):
            theta = theta.add_(C[:, i : i + 1] * row)  # in place: no third copy
        return theta

    def gram(self) -> Float[Tensor, "anchors anchors"]:
        """Inner products of the anchors in float64: norms follow from it, without any theta."""
        return gram(self.rows())

    def norm(self, t: Float[Tensor, "points *coordinates"]) -> Float[Tensor, " points"]:
        """The Euclidean norm of theta(t), from the Gram matrix in float64."""
        return quadratic_form(self.coefficients(t.double()), self.gram()).clamp_min(0).sqrt()

    @abstractmethod
    def grid(self, points: int) -> Float[Tensor, "points *coordinates"]:
        """Evenly spaced coordinates, both ends included, float64."""

    def save(self, path: str | Path, beside: Mapping[str, Tensor] | None = None, **metadata: object) -> None:
        """Write the anchors as safetensors, with the kind, other tensors and any metadata (JSON values) beside them."""
        tensors = {name: tensor.detach() for name, tensor in self.state_dict().items()}
        save_tensors(path, {**tensors, **(beside or {})}, {"kind": self.kind(), **metadata})

    @classmethod
    @abstractmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Geometry":
        """The geometry whose `state_dict` these tensors are."""

    @staticmethod
    def load(file: str | Path | Checkpoint) -> "Geometry":
        """Read what `save` wrote, from a path or a checkpoint read before. A kind of your own must be imported before.

        Raises:
            PathfinderError: if the file is missing or damaged, or of no known kind, or its anchors are no weights.
        """
        if isinstance(file, Checkpoint):
            path, tensors, metadata = file.path, file.state, file.metadata
        else:
            path, (tensors, metadata) = file, load_tensors(file, "curve")
        if "kind" not in metadata:
            raise PathfinderError(f"curve {path} holds weights but no geometry; give a file from the `curves` folder.")
        kind = kind_named(str(metadata["kind"]), Geometry)
        try:
            geometry = kind.from_tensors(dict(tensors))
            rows = geometry.rows()
        except Exception as error:  # whatever tensors that are missing, or of other shapes, make it raise
            raise PathfinderError(
                f"curve {path} holds no whole {kind.kind()} ({reason(error).rstrip('.')}); make it anew."
            ) from error
        if not all(row.ndim == 1 and row.is_floating_point() and row.isfinite().all() for row in rows) or (
            len({(row.shape, row.dtype) for row in rows}) > 1
        ):
            raise PathfinderError(
                f"curve {path} must hold anchors of one length, real and finite numbers, got "
                f"{', '.join(f'{row.dtype} {tuple(row.shape)}' for row in rows[:3])}; make it anew."
            )
        return geometry


def kinds(base: type[Geometry]) -> dict[str, type[Geometry]]:
    """All geometries of a family by their kind, those of the user's own that have been imported included."""
    return {kind: cls for kind, cls in _KINDS.items() if issubclass(cls, base) and not isabstract(cls)}


def kind_named(kind: str, base: type[Geometry]) -> type[Geometry]:
    """The geometry called `kind`.

    Raises:
        PathfinderError: if there is none.
    """
    known = kinds(base)
    if kind in known:
        return known[kind]
    raise unknown("curve", kind, known)


def quadratic_form(C: Tensor, gram: Tensor) -> Tensor:
    """c' G c for each row c of C, term by term in fixed order."""
    total = torch.zeros_like(C[:, 0])
    for i in range(len(gram)):
        for j in range(len(gram)):
            total = total + C[:, i] * C[:, j] * gram[i, j]
    return total


def weights_of(given: Any, what: str) -> Float[Tensor, " weights"]:
    """A vector of finite real weights, as a tensor: NumPy arrays and lists are taken as well.

    Raises:
        PathfinderError: if it is none.
    """
    tensor = real_tensor(given, what)
    if tensor.ndim != 1 or not len(tensor):
        raise PathfinderError(f"{what} must be a vector (weights,), got {tuple(tensor.shape)}; see WeightSpace.vector.")
    if tensor.device.type != "meta" and not all_finite([tensor]):
        raise PathfinderError(f"{what} holds NaN or infinity; take weights from before they diverged.")
    return tensor


def real_tensor(given: Any, what: str) -> Tensor:
    try:
        tensor = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PathfinderError(f"{what} must be a tensor of weights, got {type(given).__name__}.") from error
    if not tensor.is_floating_point():
        raise PathfinderError(
            f"{what} must hold real floating-point weights, got {tensor.dtype}; convert it with .float()."
        )
    return tensor


def at_least(points: int, least: int) -> int:
    """The number of points, if it is enough."""
    if points < least:
        raise PathfinderError(f"points must be {least} or more, got {points}.")
    return points
