"""What the ATen operations that only rearrange entries do to the units of their inputs."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.symmetry.labels import FIXED, Axes, Labels, fixed_axes

Rule = Callable[..., None]  # (labels, result, *arguments of the operation)


def _pad(labels: Labels, out: Tensor, x: Tensor, pads: Sequence[int], *_: Any) -> None:
    """Add fixed entries before and after each axis, the last axis first, or remove some where a number is negative."""
    axes = list(labels.axes(x))
    for i in range(len(pads) // 2):
        before, after = pads[2 * i : 2 * i + 2]
        kept = axes[-1 - i][max(-before, 0) : len(axes[-1 - i]) - max(-after, 0)]
        axes[-1 - i] = np.concatenate([np.full(max(before, 0), FIXED), kept, np.full(max(after, 0), FIXED)])
    labels.assign(out, axes)


def _reshape(labels: Labels, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    """Merge and split axes; the outermost that can move gives the units of a merged axis."""
    axes: Axes = []
    for before, after in _chunks(x.shape, out.shape):
        own = [labels.axes(x)[i] for i in before]
        lengths = [out.shape[i] for i in after]
        if len(own) == 1 and len(lengths) == 1:
            axes.append(own[0])
            continue
        moving = [i for i, axis in enumerate(own) if labels.units.roots(axis).any()]
        for i in moving[1:]:
            labels.fix([own[i]])
        flat = np.full(math.prod(lengths), FIXED)
        if moving:
            shape = [len(axis) if i == moving[0] else 1 for i, axis in enumerate(own)]
            flat = np.broadcast_to(own[moving[0]].reshape(shape), [len(axis) for axis in own]).reshape(-1)
        if not lengths:
            labels.fix(own)
        axes += _divide(labels, flat, lengths) if lengths else []
    labels.assign(out, axes)


def _divide(labels: Labels, flat: np.ndarray, lengths: Sequence[int]) -> Axes:
    """Split one axis into several: units lie along the one along which they differ, or in blocks along the first."""
    if len(lengths) == 1:
        return [flat]
    grid = labels.units.roots(flat).reshape(lengths)
    for i, length in enumerate(lengths):
        along = np.moveaxis(grid, i, 0).reshape(length, -1)
        if length > 1 and (along == along[:, :1]).all():
            return [along[:, 0] if j == i else np.full(n, FIXED) for j, n in enumerate(lengths)]
    outer = next((i for i, n in enumerate(lengths) if n > 1), 0)
    units = labels.join_blocks(flat, lengths[outer])
    return [units if j == outer else np.full(n, FIXED) for j, n in enumerate(lengths)]


def _chunks(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Pair the axes of two shapes in the smallest chunks that hold the same number of entries."""
    i = j = 0
    while i < len(before) or j < len(after):
        left, right = [], []
        sizes = [1, 1]
        if i < len(before):
            left.append(i)
            sizes[0] *= before[i]
            i += 1
        if j < len(after):
            right.append(j)
            sizes[1] *= after[j]
            j += 1
        while sizes[0] != sizes[1]:
            if sizes[0] < sizes[1]:
                left.append(i)
                sizes[0] *= before[i]
                i += 1
            else:
                right.append(j)
                sizes[1] *= after[j]
                j += 1
        yield left, right


def _expand(labels: Labels, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    own = [np.full(1, FIXED)] * (out.ndim - x.ndim) + labels.axes(x)
    labels.fix([axis for axis, n in zip(own, out.shape, strict=True) if len(axis) != n])
    labels.assign(out, [a if len(a) == n else np.full(n, FIXED) for a, n in zip(own, out.shape, strict=True)])


def _permute(labels: Labels, out: Tensor, x: Tensor, *dims: Any) -> None:
    if not dims:  # t
        order = list(range(x.ndim))[::-1]
    elif len(dims) == 2:  # transpose
        order = list(range(x.ndim))
        order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
    else:
        order = list(dims[0])
    labels.assign(out, [labels.axes(x)[i] for i in order])


def _concatenate(labels: Labels, out: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> None:
    """Concatenate along an axis, or along a new one (stack), which is fixed."""
    tensors = [tensor for tensor in tensors if tensor.numel()]
    parts, dim = [labels.axes(tensor) for tensor in tensors], dim % out.ndim
    if out.ndim > tensors[0].ndim:
        axes = [labels.join_all([part[i] for part in parts]) for i in range(tensors[0].ndim)]
        axes.insert(dim, np.full(len(tensors), FIXED))
    else:
        axes = [
            np.concatenate([p[i] for p in parts]) if i == dim else labels.join_all([p[i] for p in parts])
            for i in range(out.ndim)
        ]
    labels.assign(out, axes)


def _split(labels: Labels, out: Any, x: Tensor, sizes: Any, dim: int = 0) -> None:
    """Split an axis into consecutive parts."""
    start, dim = 0, dim % x.ndim
    for part in out:
        axes = list(labels.axes(x))
        axes[dim] = axes[dim][start : start + part.shape[dim]]
        start += part.shape[dim]
        labels.assign(part, axes)


def _unbind(labels: Labels, out: Any, x: Tensor, dim: int = 0) -> None:
    for part in out:
        _select(labels, part, x, dim)


def _slice(
    labels: Labels, out: Tensor, x: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> None:
    axes = list(labels.axes(x))
    axes[dim] = axes[dim][slice(start, end, step)]
    labels.assign(out, axes)


def _select(labels: Labels, out: Tensor, x: Tensor, dim: int, *_: Any) -> None:
    axes = list(labels.axes(x))
    labels.fix([axes.pop(dim)])
    labels.assign(out, axes)


def _index(labels: Labels, out: Tensor, x: Tensor, indices: Sequence[Tensor | None]) -> None:
    given = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    axes = list(labels.axes(x))
    if len(given) == 1 and given[0][1].ndim == 1 and given[0][1].dtype == torch.int64:
        axis, index = given[0]
        axes[axis] = axes[axis][index.numpy()]
        labels.assign(out, axes)
    else:
        labels.fix(axes)
        labels.assign(out, fixed_axes(out.shape))


def _repeat(labels: Labels, out: Tensor, x: Tensor, times: Sequence[int]) -> None:
    own = [np.full(1, FIXED)] * (out.ndim - x.ndim) + labels.axes(x)
    labels.assign(out, [np.tile(axis, n) for axis, n in zip(own, times, strict=True)])


SHAPES: dict[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze"), _reshape),
    "expand": _expand,
    **dict.fromkeys(("t", "transpose", "transpose_", "permute"), _permute),
    **dict.fromkeys(("cat", "stack"), _concatenate),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_chunk", "chunk"), _split),
    "unbind": _unbind,
    "slice": _slice,
    "select": _select,
    "index": _index,
    "repeat": _repeat,
    "constant_pad_nd": _pad,
}
