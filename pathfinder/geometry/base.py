"""Geometry: weights as a combination of a few weight vectors, theta = C(t) @ W.

t: (points, coordinates), C: (points, anchors), W: (anchors, weights), theta: (points, weights). A new geometry is a
subclass with its coefficients C(t); nothing else in the package changes. No networks and no data here: pure tensors.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from inspect import isabstract
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pathfinder.compute import all_finite
from pathfinder.errors import PathfinderError, reason, unknown
from pathfinder.geometry.inner import gram
from pathfinder.settings import describe, whole
from pathfinder.storage import Checkpoint, load_tensors, save_tensors


def vector_of(given: Any, size: int, what: str) -> Float[Tensor, " weights"]:
    """Weights, or a direction, as a tensor of shape (size,).

    Raises:
        PathfinderError: if it is not a vector of that many finite real numbers.
    """
    vector = weights_of(given, what)
    if len(vector) != size:
        raise PathfinderError(f"{what} must have shape ({size},), got ({len(vector)},); it is of another network.")
    return vector


Kind = TypeVar("Kind", bound="Geometry")
_KINDS: dict[str, type["Geometry"]] = {}  # every class by its kind: the name in lower case


class Geometry(nn.Module, ABC):
    """Weight vectors (anchors W) combined by coefficients that depend on coordinates: theta(t) = C(t) @ W.

    Base class of all curves, rays and planes. A subclass defines `axes`, `coefficients`, `rows`, `grid` and
    `from_tensors`.

    Attributes:
        axes: the names of the coordinates.

    >>> from pathfinder import Line
    >>> line = Line(torch.zeros(2), torch.ones(2))
    >>> isinstance(line, Geometry), line.axes, line.kind()
    (True, ('t',), 'line')
    >>> line.coefficients(torch.tensor([0.25]))
    tensor([[0.7500, 0.2500]])
    """

    axes: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        taken = _KINDS.get(cls.kind())
        if taken is not None and _path(taken) != _path(cls):  # a notebook defines the same class again and again
            raise PathfinderError(f"the kind `{cls.kind()}` is taken by {_path(taken)}; rename {_path(cls)}.")
        _KINDS[cls.kind()] = cls

    @classmethod
    def kind(cls) -> str:
        """The name of this geometry in configs, tables and files: its class in lower case."""
        return cls.__name__.lower()

    @abstractmethod
    def coefficients(self, t: Float[Tensor, "points *coordinates"]) -> Float[Tensor, "points anchors"]:
        """C(t), computed for each point by itself."""

    @abstractmethod
    def rows(self) -> list[Float[Tensor, " weights"]]:
        """The anchors one by one."""

    @property
    def anchors(self) -> Float[Tensor, "anchors weights"]:
        """W, the anchors as one matrix (a copy)."""
        return torch.stack(self.rows())

    def forward(self, t: Float[Tensor, "points *coordinates"]) -> Float[Tensor, "points weights"]:
        """theta(t): a sum in fixed order, not a matrix product, so that a row does not depend on the other rows."""
        rows = self.rows()
        C = self.coefficients(t).to(rows[0])
        theta = C[:, :1] * rows[0]
        for i, row in enumerate(rows[1:], start=1):
            theta = theta.add_(C[:, i : i + 1] * row)  # in place, which saves a copy
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
        """Write the anchors and the kind to a safetensors file.

        Args:
            path: the file.
            beside: further tensors to write.
            **metadata: further metadata, JSON values.
        """
        tensors = {name: tensor.detach() for name, tensor in self.state_dict().items()}
        save_tensors(path, {**tensors, **(beside or {})}, {"kind": self.kind(), **metadata})

    @classmethod
    @abstractmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Geometry":
        """The geometry whose `state_dict` these tensors are."""

    @staticmethod
    def load(path: str | Path | Checkpoint) -> "Geometry":
        """Read a file of `save`. A kind of your own must be imported first.

        Args:
            path: the file, or a checkpoint that was read from it.

        Raises:
            PathfinderError: if the file is missing or damaged, its kind is unknown, or its anchors are not weights.
        """
        if isinstance(path, Checkpoint):
            path, tensors, metadata = path.path, path.state, path.metadata
        else:
            tensors, metadata = load_tensors(path, "curve")
        if "kind" not in metadata:
            raise PathfinderError(f"curve {path} holds weights but no geometry; give a file from the `curves` folder.")
        kind = find_kind(str(metadata["kind"]), Geometry)
        try:
            geometry = kind.from_tensors(dict(tensors))
            rows = geometry.rows()
        except Exception as error:  # any error that missing or misshapen tensors lead to
            raise PathfinderError(
                f"curve {path} holds no whole {kind.kind()} ({reason(error).rstrip('.')}); make the file again."
            ) from error
        if not all(row.ndim == 1 and row.is_floating_point() and row.isfinite().all() for row in rows) or (
            len({(row.shape, row.dtype) for row in rows}) > 1
        ):
            raise PathfinderError(
                f"curve {path} must hold anchors of one length, real and finite numbers, got "
                f"{', '.join(f'{row.dtype} {tuple(row.shape)}' for row in rows[:3])}; make the file again."
            )
        return geometry


def kinds(base: type[Kind]) -> dict[str, type[Kind]]:
    """All geometries of a family by their kind, those included that the user has defined or imported."""
    return {kind: cls for kind, cls in _KINDS.items() if issubclass(cls, base) and not isabstract(cls)}


def find_kind(kind: str, base: type[Kind]) -> type[Kind]:
    """The geometry called `kind`.

    Raises:
        PathfinderError: if no geometry of the family is called so.
    """
    known = kinds(base)
    if kind in known:
        return known[kind]
    raise unknown("curve", kind, known)


def quadratic_form(C: Tensor, gram: Tensor) -> Tensor:
    """c' G c for each row c of C, summed term by term in a fixed order."""
    total = torch.zeros_like(C[:, 0])
    for i in range(len(gram)):
        for j in range(len(gram)):
            total = total + C[:, i] * C[:, j] * gram[i, j]
    return total


def weights_of(given: Any, what: str) -> Float[Tensor, " weights"]:
    """A vector of finite real weights, given as a tensor, NumPy array or list, as a tensor.

    Raises:
        PathfinderError: if it is anything else.
    """
    tensor = real_tensor(given, what)
    if tensor.ndim != 1 or not len(tensor):
        raise PathfinderError(f"{what} must be a vector (weights,), got {tuple(tensor.shape)}; see WeightSpace.vector.")
    if tensor.device.type != "meta" and not all_finite([tensor]):
        raise PathfinderError(f"{what} holds NaN or infinity; take weights from before they diverged.")
    return tensor


def bends_of(given: Any, weights: int) -> Float[Tensor, "bends weights"]:
    """The bends as one matrix, if they have as many weights as the ends.

    Raises:
        PathfinderError: if they are anything else.
    """
    bends = real_tensor(given, "the bends")
    if bends.ndim != 2 or bends.shape[1] != weights:
        hint = "; write bends[None] for one bend" if bends.shape == (weights,) else ""
        raise PathfinderError(
            f"bends must be (bends, {weights}) as the ends are ({weights},), got {tuple(bends.shape)}{hint}."
        )
    if bends.device.type != "meta" and not all_finite([bends]):
        raise PathfinderError("the bends hold NaN or infinity; take weights from before they diverged.")
    return bends


def real_tensor(given: Any, what: str) -> Tensor:
    """Real floating-point numbers as a tensor.

    Raises:
        PathfinderError: if they are anything else.
    """
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
    """The number of points, checked.

    Raises:
        PathfinderError: if it is less than `least`.
    """
    if points < least:
        one = "; give the coordinates of a single point instead" if points == 1 else ""
        raise PathfinderError(f"points must be {least} or more, got {points}{one}.")
    return points


def _path(kind: type[Geometry]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def coordinates_of(geometry: Geometry, points: Any) -> Float[Tensor, "points *coordinates"]:
    """Coordinates of a geometry in float64 on the CPU.

    Args:
        geometry: whose coordinates.
        points: how many, evenly spaced; or the coordinates themselves, a tensor, array or list.

    Raises:
        PathfinderError: if they are neither a whole number nor finite real coordinates.
    """
    if isinstance(points, Integral | np.bool_ | float | str) or points is None:
        return geometry.grid(whole(points, "points")).detach().cpu().double()
    if not isinstance(points, Tensor):
        points = _tensor_of(points)
    if points.is_complex() or points.dtype == torch.bool:
        raise PathfinderError(f"coordinates must be real numbers, got {points.dtype}.")
    t = points.detach().cpu().double()
    if t.numel() == 0 or t.ndim == 0 or t.shape[1:] != (() if len(geometry.axes) == 1 else (len(geometry.axes),)):
        raise PathfinderError(f"coordinates must be {', '.join(geometry.axes)} for each point, got {tuple(t.shape)}.")
    if not t.isfinite().all():
        raise PathfinderError("coordinates must be finite, got NaN or infinity; leave these points out.")
    return t


def _tensor_of(points: Any) -> Tensor:
    """Coordinates that are not a tensor, in float64: a list would lose digits in float32."""
    try:
        array = np.asarray(points)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PathfinderError(f"points must be a whole number, or coordinates, got {describe(points)}.") from error
    if array.dtype.kind not in "iuf":
        raise PathfinderError(f"points must be a whole number, or real coordinates, got {describe(points)}.")
    return torch.from_numpy(array.astype(np.float64))
