"""Measure BatchNorm's running statistics at a point, or mix those of the ends of a path."""

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from pathfinder.compute import evaluation_mode, own_draws
from pathfinder.data.batching import Tree, count
from pathfinder.data.sources import Source, as_source
from pathfinder.data.split import explain_dtype_errors
from pathfinder.errors import PathfinderError, PathfinderWarning
from pathfinder.scoring.batch_norm import Reestimate
from pathfinder.weights.space import Fixed, WeightSpace
from pathfinder.weights.tensors import has_running


@contextmanager
def estimation_mode(module: nn.Module) -> Generator[list[_NormBase], None, None]:
    """Layers with running statistics in training mode, all others, such as Dropout, in evaluation mode.

    Yields these layers, so that `momentum` can be set for each batch; it is restored as well.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _NormBase) and has_running(layer)]
    momenta = [layer.momentum for layer in layers]
    with evaluation_mode(module):
        for layer in layers:
            layer.training = True
        try:
            yield layers
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum


class NormInputs:
    """The inputs on which running statistics, or the moments of hidden units, are measured.

    Args:
        wanted: which inputs, and how many.
        splits: where `train` is found if `wanted` has no data.
        seed: draws the subset, the crops and flips, and what a loader draws with torch's generator on each pass.
        device: where the inputs are needed.

    Attributes:
        given: the data that they are taken from.

    Raises:
        PathfinderError: if there is no split `train`.
    """

    def __init__(self, wanted: Reestimate, splits: Mapping[str, Source], seed: int, device: torch.device) -> None:
        found = splits.get("train") if wanted.data is None else as_source(wanted.data)
        if found is None:
            raise PathfinderError(
                f"re-estimating BatchNorm needs the split `train`, got {', '.join(splits)}; pass batch_norm_data=."
            )
        self.given, self.augmented = found, wanted.augmented
        self._chosen, self._seed, self._device = found.subset(wanted.examples, seed + 1), seed, device

    def __len__(self) -> int:
        with self._drawn():
            return len(self._chosen)

    @cached_property
    def source(self) -> Source:
        """The inputs on the device; cropped and flipped only when they are first used."""
        source = self._chosen.augment_once(self._seed + 1) if self.augmented else self._chosen
        return source.to(self._device)

    def batches(self, size: int) -> Iterator[tuple[Tree, Tree]]:
        """The batches, the same on every pass even where a loader draws its crops with torch's generator."""
        with self._drawn():
            yield from self.source.batches(size)

    @contextmanager
    def _drawn(self) -> Generator[None, None, None]:
        with own_draws(self._device) as draw:
            draw(self._seed + 1)
            yield

    def warn_if_clean(self) -> None:
        """Warn where training augments its images and these are clean."""
        if (self.given.crop or self.given.flip) and not self.augmented:
            warnings.warn(
                "BatchNorm is re-estimated from clean images, but training crops or flips them; scores may be worse "
                "than the networks' own. batch_norm = training re-estimates from images as in training.",
                PathfinderWarning,
                stacklevel=4,  # the line that makes the Evaluator
            )


def reestimate(
    space: WeightSpace,
    thetas: Sequence[Tensor],
    inputs: NormInputs,
    batch_size: int,
    output: Callable[[Fixed, Any], Any],
) -> list[Fixed]:
    """The tensors that are not part of theta, with the running statistics measured at each point.

    mean = sum_k b_k / N mean_k and variance = sum_k b_k / N s_k^2 over batches k of b_k examples with unbiased
    variance s_k^2: the mean of the batches' variances, which leaves out the spread between batches. They depend on
    the batch size for that reason. Dropout is off.

    Args:
        space: the weight space.
        thetas: the points.
        inputs: what passes through the network.
        batch_size: examples per pass.
        output: the network's output for all of its tensors and an input.
    """
    source = inputs.source
    fixed = [space.fixed(None, theta.device) for theta in thetas]
    for own in fixed:
        space.zero_statistics(own)
    points = [{**space.split(theta), **own} for theta, own in zip(thetas, fixed, strict=True)]
    seen = 0
    with torch.no_grad(), explain_dtype_errors(source, space.dtype), estimation_mode(space.network) as layers:
        for x, _ in inputs.batches(batch_size):
            seen += count(x)
            for layer in layers:
                layer.momentum = count(x) / seen  # 1 for the first batch, which so replaces what was stored
            for tensors in points:
                output(tensors, x)
    return fixed


def interpolate(
    statistics: Sequence[Tensor], c: Float[Tensor, " anchors"], t: Float[Tensor, "1 *coordinates"]
) -> Float[Tensor, " statistics"]:
    """The running statistics of all anchors mixed with C(t), or those of two ends with 1 - t and t.

    Raises:
        PathfinderError: if there are neither as many statistics as anchors nor two.
    """
    if len(statistics) != len(c):
        if len(statistics) != 2 or t.ndim != 1:
            raise PathfinderError(
                f"batch_norm='interpolate' needs statistics of the 2 ends or of all {len(c)} anchors, got "
                f"{len(statistics)}."
            )
        c = torch.cat([1 - t, t])  # as if the bends lay on the straight line between the ends
    total = c[0].float() * statistics[0]
    for share, own in zip(c[1:], statistics[1:], strict=True):
        total = total + share.float() * own
    return total
