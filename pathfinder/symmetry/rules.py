"""What each ATen operation does to the units of its inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from pathfinder.data.batching import leaves
from pathfinder.symmetry.labels import FIXED, Labels, fixed_axes
from pathfinder.symmetry.shape_rules import SHAPES, Rule


def tensors_in(tree: Any) -> list[Tensor]:
    """All tensors among nested arguments or results."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tensor)]


def _pointwise(labels: Labels, out: Any, *args: Any, **kwargs: Any) -> None:
    """Each entry depends on the entries at its own index after broadcasting, or on all along an axis in any order."""
    result = out[0] if isinstance(out, tuple | list) else out
    inputs = [tensor for tensor in tensors_in((args, kwargs)) if tensor.ndim]
    axes = []
    for back in range(result.ndim, 0, -1):
        length = result.shape[-back]
        own = [labels.axes(t)[-back] for t in inputs if t.ndim >= back]
        there = [axis for axis in own if len(axis) == length]
        labels.fix([axis for axis in own if len(axis) != length])  # one unit that all others depend on
        axes.append(labels.join_all(there) if there else np.full(length, FIXED))
    labels.assign(result, axes)


def _convolution(labels: Labels, out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> None:
    transposed, groups = rest[3], rest[5]
    channels, (first, second, *kernel) = labels.axes(x)[1], labels.axes(weight)
    outputs, inputs = (second, first) if transposed else (first, second)
    labels.fix([*kernel, *labels.axes(x)[2:]])
    labels.record(x, 1)
    if groups == 1:
        labels.join(channels, inputs)
    else:  # the inputs and outputs of a group move together
        if transposed:
            labels.join(channels, inputs)
            labels.fix([outputs])
            outputs = labels.units.new(out.shape[1])
        else:
            labels.fix([inputs])
        labels.join(labels.join_blocks(channels, groups), labels.join_blocks(outputs, groups))
    if bias is not None:
        labels.join(outputs, labels.axes(bias)[0])
    labels.assign(out, [labels.axes(x)[0], outputs, *fixed_axes(out.shape[2:])])


def _product(labels: Labels, out: Tensor, a: Tensor, b: Tensor) -> None:
    """(..., n, k) times (..., k, m)."""
    (*batch, rows, inner), right = labels.axes(a), labels.axes(b)
    labels.join(inner, right[-2])
    labels.record(a, -1)
    labels.record(b, -2)
    for i, axis in enumerate(right[:-2]):
        labels.join(batch[i], axis)
    labels.assign(out, [*batch, rows, right[-1]])


def _product_with_bias(labels: Labels, out: Tensor, bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> None:
    _product(labels, out, a, b)
    for own, given in zip(reversed(labels.axes(out)), reversed(labels.axes(bias)), strict=False):
        if len(own) == len(given):
            labels.join(own, given)
        else:
            labels.fix([given])


def _linear(labels: Labels, out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    *batch, inner = labels.axes(x)
    labels.join(inner, labels.axes(weight)[1])
    labels.record(x, -1)
    labels.assign(out, [*batch, labels.axes(weight)[0]])
    if bias is not None:
        labels.join(labels.axes(weight)[0], labels.axes(bias)[0])


def _channel_norm(labels: Labels, out: Any, x: Tensor, *tensors: Any) -> None:
    """Each channel has a scale, a shift and statistics."""
    channels = labels.axes(x)[1]
    for tensor in tensors:
        if isinstance(tensor, Tensor) and tensor.ndim == 1:
            labels.join(channels, labels.axes(tensor)[0])
    labels.assign(out[0], labels.axes(x))


def _group_norm(labels: Labels, out: Any, x: Tensor, weight: Any, bias: Any, *rest: Any) -> None:
    _, channels, _, groups, _ = rest  # examples, channels, pixels, groups, eps
    if 1 < groups < channels:  # channels normalised together move together
        labels.join_blocks(labels.axes(x)[1], groups)
    _channel_norm(labels, out, x, weight, bias)


def _layer_norm(labels: Labels, out: Any, x: Tensor, shape: Sequence[int], *tensors: Any) -> None:
    for tensor in tensors[:2]:
        if isinstance(tensor, Tensor):
            for own, given in zip(labels.axes(x)[-len(shape) :], labels.axes(tensor), strict=True):
                labels.join(own, given)
    labels.assign(out[0], labels.axes(x))


def _pool(labels: Labels, out: Any, x: Tensor, size: Sequence[int], *_: Any, **__: Any) -> None:
    """Channels keep their units; the axes of the window are fixed."""
    result, window = out[0] if isinstance(out, tuple | list) else out, len(size)
    labels.fix(labels.axes(x)[-window:])
    labels.assign(result, [*labels.axes(x)[:-window], *fixed_axes(result.shape[-window:])])


def _reduce(labels: Labels, out: Any, x: Tensor, dim: Any = None, *rest: Any, **kwargs: Any) -> None:
    result = out[0] if isinstance(out, tuple | list) else out
    dims = range(x.ndim) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    gone = {d % x.ndim for d in dims}
    kept = [axis for i, axis in enumerate(labels.axes(x)) if i not in gone]
    if result.ndim == x.ndim:
        kept = [np.full(1, FIXED) if i in gone else axis for i, axis in enumerate(labels.axes(x))]
    labels.assign(result, kept)
    if isinstance(out, tuple | list):  # the indices of the largest depend on the order
        labels.fix([labels.axes(x)[i] for i in gone])
        labels.assign(out[1], kept)


def _argmax(labels: Labels, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
    """The index of the largest depends on the order, so this axis cannot be permuted."""
    labels.fix(labels.axes(x))
    labels.assign(out, fixed_axes(out.shape))


def _embed(labels: Labels, out: Tensor, weight: Tensor, index: Tensor, *_: Any, **__: Any) -> None:
    rows, columns = labels.axes(weight)
    labels.fix([rows])
    labels.assign(out, [*fixed_axes(index.shape), columns])


def _weight_norm(labels: Labels, out: Any, v: Tensor, g: Tensor, dim: int = 0) -> None:
    """v g / |v|: g moves with v along one axis; the norm over the others does not depend on their order."""
    own, lengths = labels.axes(v), labels.axes(g)
    labels.join(own[dim], lengths[dim])
    labels.fix([axis for i, axis in enumerate(lengths) if i != dim % g.ndim])
    labels.assign(out[0], own)
    labels.assign(out[1], lengths)


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
    **dict.fromkeys(("addmm", "baddbmm"), _product_with_bias),
    "linear": _linear,
    **dict.fromkeys(_NORMS, _channel_norm),
    "native_group_norm": _group_norm,
    "native_layer_norm": _layer_norm,
    **dict.fromkeys(_POOLS, _pool),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "max", "min", "logsumexp"), _reduce),
    **dict.fromkeys(("argmax", "argmin"), _argmax),
    "embedding": _embed,
    "_weight_norm_interface": _weight_norm,
    **SHAPES,
}
