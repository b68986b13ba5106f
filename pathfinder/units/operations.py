"""Operations: what each ATen operation does to units, however a module came to call it."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.units.labels import FIXED, Axes, Labels, fixed

Rule = Callable[..., None]  # (labels, result, *arguments of the operation)


def tensors_in(tree: Any) -> list[Tensor]:
    """All tensors among nested arguments or results."""
    return [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _pointwise(labels: Labels, out: Any, *args: Any, **kwargs: Any) -> None:
    """Every entry depends on those at its own place, after broadcasting; or on all along an axis, in any order."""
    result = out[0] if isinstance(out, tuple | list) else out
    inputs = [tensor for tensor in tensors_in((args, kwargs)) if tensor.ndim]
    axes = []
    for back in range(result.ndim, 0, -1):
        length = result.shape[-back]
        own = [labels.axes(t)[-back] for t in inputs if t.ndim >= back]
        there = [axis for axis in own if len(axis) == length]
        labels.fix([axis for axis in own if len(axis) != length])  # one unit that meets all others
        axes.append(_all_joined(labels, there) if there else np.full(length, FIXED))
    labels.tell(result, axes)


def _convolution(labels: Labels, out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> None:
    transposed, groups = rest[3], rest[5]
    channels, (first, second, *kernel) = labels.axes(x)[1], labels.axes(weight)
    outputs, inputs = (second, first) if transposed else (first, second)
    labels.fix([*kernel, *labels.axes(x)[2:]])
    labels.hear(x, 1)
    if groups == 1:
        labels.join(channels, inputs)
    else:  # a group's inputs and outputs move as one unit
        if transposed:
            labels.join(channels, inputs)
            labels.fix([outputs])
            outputs = labels.units.fresh(out.shape[1])
        else:
            labels.fix([inputs])
        labels.join(labels.blocks(channels, groups), labels.blocks(outputs, groups))
    if bias is not None:
        labels.join(outputs, labels.axes(bias)[0])
    labels.tell(out, [labels.axes(x)[0], outputs, *fixed(out.shape[2:])])


def _product(labels: Labels, out: Tensor, a: Tensor, b: Tensor) -> None:
    """(..., n, k) times (..., k, m), or (..., m, k) for the weight of a linear layer."""
    (*batch, rows, inner), right = labels.axes(a), labels.axes(b)
    labels.join(inner, right[-2])
    labels.hear(a, -1)
    labels.hear(b, -2)
    for i, axis in enumerate(right[:-2]):
        labels.join(batch[i], axis)
    labels.tell(out, [*batch, rows, right[-1]])


def _with_bias(labels: Labels, out: Tensor, bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> None:
    _product(labels, out, a, b)
    for own, given in zip(reversed(labels.axes(out)), reversed(labels.axes(bias)), strict=False):
        if len(own) == len(given):
            labels.join(own, given)
        else:
            labels.fix([given])


def _linear(labels: Labels, out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    *batch, inner = labels.axes(x)
    labels.join(inner, labels.axes(weight)[1])
    labels.hear(x, -1)
    labels.tell(out, [*batch, labels.axes(weight)[0]])
    if bias is not None:
        labels.join(labels.axes(weight)[0], labels.axes(bias)[0])


def _channel_norm(labels: Labels, out: Any, x: Tensor, *tensors: Any) -> None:
    """Scales, shifts and statistics of each channel."""
    channels = labels.axes(x)[1]
    for tensor in tensors:
        if isinstance(tensor, Tensor) and tensor.ndim == 1:
            labels.join(channels, labels.axes(tensor)[0])
    labels.tell(out[0], labels.axes(x))


def _group_norm(
    labels: Labels, out: Any, x: Tensor, weight: Any, bias: Any, n: int, c: int, pixels: int, groups: int, eps: float
) -> None:
    if 1 < groups < c:  # channels that are normalised together stay together
        labels.blocks(labels.axes(x)[1], groups)
    _channel_norm(labels, out, x, weight, bias)


def _layer_norm(labels: Labels, out: Any, x: Tensor, shape: Sequence[int], *tensors: Any) -> None:
    for tensor in tensors[:2]:
        if isinstance(tensor, Tensor):
            for own, given in zip(labels.axes(x)[-len(shape) :], labels.axes(tensor), strict=True):
                labels.join(own, given)
    labels.tell(out[0], labels.axes(x))


def _pooled(labels: Labels, out: Any, x: Tensor, size: Sequence[int], *_: Any, **__: Any) -> None:
    """Channels stay, the axes of the window are fixed."""
    result, window = out[0] if isinstance(out, tuple | list) else out, len(size)
    labels.fix(labels.axes(x)[-window:])
    labels.tell(result, [*labels.axes(x)[:-window], *fixed(result.shape[-window:])])


def _padded(labels: Labels, out: Tensor, x: Tensor, pads: Sequence[int], *_: Any) -> None:
    """Fixed entries before and after each axis, the last axis first; where a number is negative, fewer of its own."""
    axes = list(labels.axes(x))
    for i in range(len(pads) // 2):
        before, after = pads[2 * i : 2 * i + 2]
        kept = axes[-1 - i][max(-before, 0) : len(axes[-1 - i]) - max(-after, 0)]
        axes[-1 - i] = np.concatenate([np.full(max(before, 0), FIXED), kept, np.full(max(after, 0), FIXED)])
    labels.tell(out, axes)


def _reduced(labels: Labels, out: Any, x: Tensor, dim: Any = None, *rest: Any, **kwargs: Any) -> None:
    result = out[0] if isinstance(out, tuple | list) else out
    dims = range(x.ndim) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    gone = {d % x.ndim for d in dims}
    kept = [axis for i, axis in enumerate(labels.axes(x)) if i not in gone]
    if result.ndim == x.ndim:
        kept = [np.full(1, FIXED) if i in gone else axis for i, axis in enumerate(labels.axes(x))]
    labels.tell(result, kept)
    if isinstance(out, tuple | list):  # the indices of the largest know the order
        labels.fix([labels.axes(x)[i] for i in gone])
        labels.tell(out[1], kept)


def _reshaped(labels: Labels, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    """Axes are merged and split; the outermost that moves says which unit an index of a merged axis is of."""
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
        axes += _split(labels, flat, lengths) if lengths else []
    labels.tell(out, axes)


def _split(labels: Labels, flat: np.ndarray, lengths: Sequence[int]) -> Axes:
    """One axis as several: the one along which units change, or else blocks along the first."""
    if len(lengths) == 1:
        return [flat]
    grid = labels.units.roots(flat).reshape(lengths)
    for i, length in enumerate(lengths):
        along = np.moveaxis(grid, i, 0).reshape(length, -1)
        if length > 1 and (along == along[:, :1]).all():
            return [along[:, 0] if j == i else np.full(n, FIXED) for j, n in enumerate(lengths)]
    outer = next((i for i, n in enumerate(lengths) if n > 1), 0)
    units = labels.blocks(flat, lengths[outer])
    return [units if j == outer else np.full(n, FIXED) for j, n in enumerate(lengths)]


def _chunks(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The axes of two shapes in the smallest parts that hold equally many entries."""
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


def _expanded(labels: Labels, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    own = [np.full(1, FIXED)] * (out.ndim - x.ndim) + labels.axes(x)
    labels.fix([axis for axis, n in zip(own, out.shape, strict=True) if len(axis) != n])
    labels.tell(out, [a if len(a) == n else np.full(n, FIXED) for a, n in zip(own, out.shape, strict=True)])


def _permuted(labels: Labels, out: Tensor, x: Tensor, *dims: Any) -> None:
    if not dims:  # t
        order = list(range(x.ndim))[::-1]
    elif len(dims) == 2:  # transpose
        order = list(range(x.ndim))
        order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
    else:
        order = list(dims[0])
    labels.tell(out, [labels.axes(x)[i] for i in order])


def _joined(labels: Labels, out: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> None:
    """Concatenation; along a new axis (stack) the parts are fixed."""
    tensors = [tensor for tensor in tensors if tensor.numel()]
    parts, dim = [labels.axes(tensor) for tensor in tensors], dim % out.ndim
    if out.ndim > tensors[0].ndim:
        axes = [_all_joined(labels, [part[i] for part in parts]) for i in range(tensors[0].ndim)]
        axes.insert(dim, np.full(len(tensors), FIXED))
    else:
        axes = [
            np.concatenate([p[i] for p in parts]) if i == dim else _all_joined(labels, [p[i] for p in parts])
            for i in range(out.ndim)
        ]
    labels.tell(out, axes)


def _all_joined(labels: Labels, axes: Axes) -> np.ndarray:
    for other in axes[1:]:
        labels.join(axes[0], other)
    return axes[0]


def _parts(labels: Labels, out: Any, x: Tensor, sizes: Any, dim: int = 0) -> None:
    """Split and chunk: the parts of an axis one after the other."""
    start, dim = 0, dim % x.ndim
    for part in out:
        axes = list(labels.axes(x))
        axes[dim] = axes[dim][start : start + part.shape[dim]]
        start += part.shape[dim]
        labels.tell(part, axes)


def _unbound(labels: Labels, out: Any, x: Tensor, dim: int = 0) -> None:
    for part in out:
        _selected(labels, part, x, dim)


def _sliced(
    labels: Labels, out: Tensor, x: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> None:
    axes = list(labels.axes(x))
    axes[dim] = axes[dim][slice(start, end, step)]
    labels.tell(out, axes)


def _selected(labels: Labels, out: Tensor, x: Tensor, dim: int, *_: Any) -> None:
    axes = list(labels.axes(x))
    labels.fix([axes.pop(dim)])
    labels.tell(out, axes)


def _ranked(labels: Labels, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    """The index of the largest knows the order."""
    labels.fix(labels.axes(x))
    labels.tell(out, fixed(out.shape))


def _embedded(labels: Labels, out: Tensor, weight: Tensor, index: Tensor, *_: Any, **__: Any) -> None:
    rows, columns = labels.axes(weight)
    labels.fix([rows])
    labels.tell(out, [*fixed(index.shape), columns])


def _indexed(labels: Labels, out: Tensor, x: Tensor, indices: Sequence[Tensor | None]) -> None:
    given = [i for i, index in enumerate(indices) if index is not None]
    axes = list(labels.axes(x))
    if len(given) == 1 and indices[given[0]].ndim == 1 and indices[given[0]].dtype == torch.int64:
        axes[given[0]] = axes[given[0]][indices[given[0]].numpy()]
        labels.tell(out, axes)
    else:
        labels.fix(axes)
        labels.tell(out, fixed(out.shape))


def _repeated(labels: Labels, out: Tensor, x: Tensor, times: Sequence[int]) -> None:
    own = [np.full(1, FIXED)] * (out.ndim - x.ndim) + labels.axes(x)
    labels.tell(out, [np.tile(axis, n) for axis, n in zip(own, times, strict=True)])


CONSTANT = ("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
_POINTWISE = (
    "relu", "relu_", "gelu", "silu", "silu_", "sigmoid", "sigmoid_", "tanh", "tanh_", "hardtanh", "hardtanh_",
    "hardswish", "hardswish_", "hardsigmoid", "leaky_relu", "leaky_relu_", "elu", "elu_", "celu", "softplus", "mish",
    "erf", "exp", "log", "sqrt", "rsqrt", "abs", "neg", "pow", "square", "reciprocal", "clone", "detach", "alias",
    "_to_copy", "contiguous", "clamp", "clamp_min", "threshold", "native_dropout", "add", "add_", "sub", "rsub", "mul",
    "mul_", "div", "div_", "maximum", "minimum", "where", "masked_fill", "eq", "ne", "gt", "lt", "ge", "le", "_softmax",
    "_log_softmax", "_safe_softmax", "copy_", "lift_fresh", "_prelu_kernel", "log_sigmoid_forward",
)  # fmt: skip
_NORMS = (
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
)  # fmt: skip
_POOLS = (
    "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d", "max_pool3d", "avg_pool2d", "avg_pool3d",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "upsample_nearest2d", "upsample_bilinear2d",
)  # fmt: skip
RULES: dict[str, Rule] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    **dict.fromkeys(("convolution", "_convolution"), _convolution),
    **dict.fromkeys(("mm", "bmm", "matmul"), _product),
    **dict.fromkeys(("addmm", "baddbmm"), _with_bias),
    "linear": _linear,
    **dict.fromkeys(_NORMS, _channel_norm),
    "native_group_norm": _group_norm,
    "native_layer_norm": _layer_norm,
    **dict.fromkeys(_POOLS, _pooled),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "max", "min", "logsumexp"), _reduced),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze"), _reshaped),
    "expand": _expanded,
    **dict.fromkeys(("t", "transpose", "permute"), _permuted),
    **dict.fromkeys(("cat", "stack"), _joined),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_chunk", "chunk"), _parts),
    "unbind": _unbound,
    "slice": _sliced,
    "select": _selected,
    **dict.fromkeys(("argmax", "argmin"), _ranked),
    "embedding": _embedded,
    "index": _indexed,
    "repeat": _repeated,
    "constant_pad_nd": _padded,
}
