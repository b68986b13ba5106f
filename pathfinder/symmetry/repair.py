"""REPAIR: restore the spread that hidden units lose between two networks (Jordan et al. 2023).

With mu and sigma the mean and standard deviation of a unit before its nonlinearity, the unit at t is shifted and scaled
to mu = (1 - t) mu_0 + t mu_1 and sigma = (1 - t) sigma_0 + t sigma_1. This is for networks without BatchNorm; those
with it only need their statistics re-estimated.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from pathfinder.data.batching import count
from pathfinder.errors import PathfinderError
from pathfinder.settings import check_kind
from pathfinder.symmetry.structure import Structure
from pathfinder.weights.space import WeightSpace

Moments = dict[str, tuple[Tensor, Tensor]]  # mean and standard deviation of the units of each layer
_EPS = 1e-5  # added to a variance, as BatchNorm does


class Repair:
    """Measures and corrects the moments of the hidden layers of a network.

    Args:
        module: the network.
        structure: its groups of units; the linear and convolutional layers whose outputs they are get repaired.

    Raises:
        PathfinderError: if there is no such layer.
    """

    def __init__(self, module: nn.Module, structure: Structure) -> None:
        named = dict(module.named_modules())
        places = {(place.tensor, place.axis) for group in structure.groups for place in group.places}
        layers = {name: layer for name, layer in sorted(named.items()) if isinstance(layer, nn.Linear | _ConvNd)}
        self.layers = {name: layer for name, layer in layers.items() if _output_axis(name, layer) in places}
        if not self.layers:
            raise PathfinderError(f"{type(module).__name__} has no hidden linear or convolutional layer to repair.")

    def moments(self, call: Callable[[Any], Any], batches: Iterable[Any]) -> Moments:
        """The moments of every layer's outputs, averaged over batches with their examples as weights.

        Args:
            call: computes the network's output on the inputs of a batch.
            batches: inputs.
        """
        return self._estimate(call, batches, None)

    def correct(self, goal: Moments, call: Callable[[Any], Any], batches: Iterable[Any]) -> "Correction":
        """Find the correction that gives the layers these moments; each layer is measured with those before corrected.

        Args:
            goal: the moments that the layers are to have.
            call, batches: as for `moments`.
        """
        return Correction(self, self._estimate(call, batches, goal), goal)

    def check_foldable(self) -> None:
        """Raise a PathfinderError if a layer has no bias, or has groups and is transposed: see `Correction.fold`."""
        for name, layer in self.layers.items():
            if layer.bias is None or (getattr(layer, "transposed", False) and layer.groups > 1):
                raise PathfinderError(
                    f"layer {name} cannot take a repair into its weights: it must have a bias, and no groups if it is "
                    "transposed; let curves start = line."
                )

    def _estimate(self, call: Callable[[Any], Any], batches: Iterable[Any], goal: Moments | None) -> Moments:
        sums: dict[str, list[Any]] = {}  # of means, of variances and of examples
        for x in batches:
            share = count(x)

            def measure(name: str, axis: int, output: Tensor, share: int = share) -> Tensor | None:
                units = output.movedim(axis, -1).flatten(0, -2).float()
                if len(units) < 2:
                    raise PathfinderError("repair needs 2 examples or more in every batch; change the batch size.")
                mean, variance = units.mean(0), units.var(0)
                total = sums.setdefault(name, [torch.zeros_like(mean), torch.zeros_like(variance), 0])
                total[0] += share * mean
                total[1] += share * variance
                total[2] += share
                return None if goal is None else _rescale(output, axis, (mean, (variance + _EPS).sqrt()), goal[name])

            with self.hook(measure):
                call(x)
        return {name: (mean / seen, (variance / seen + _EPS).sqrt()) for name, (mean, variance, seen) in sums.items()}

    @contextmanager
    def hook(self, change: Callable[[str, int, Tensor], Tensor | None]) -> Generator[None, None, None]:
        """Call change(name, axis, output) on the output of every layer; what it returns replaces the output.

        Units lie along the axis.
        """
        hooks = []
        for name, layer in self.layers.items():
            axis = -1 if isinstance(layer, nn.Linear) else 1
            hook = layer.register_forward_hook(lambda _, __, out, name=name, axis=axis: change(name, axis, out))
            hooks.append(hook)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


class Correction:
    """Sets the moments of a network's layers at one point.

    Args:
        repair: the layers.
        found: their moments without the correction.
        goal: their moments with it.
    """

    def __init__(self, repair: Repair, found: Moments, goal: Moments) -> None:
        self._repair, self._found, self._goal = repair, found, goal

    def apply(self) -> AbstractContextManager[None]:
        """A context in which the layers' outputs are corrected."""
        return self._repair.hook(lambda name, axis, out: _rescale(out, axis, self._found[name], self._goal[name]))

    def fold(self, space: WeightSpace, theta: Float[Tensor, " weights"]) -> Float[Tensor, " weights"]:
        """The weights whose network gives by itself what the network at theta gives with this correction.

        Args:
            space: the weight space.
            theta: the point that the correction is for.

        Raises:
            PathfinderError: if a layer has no bias, or has groups and is transposed.
        """
        folded = theta.detach().clone()
        parts = space.parts(folded)
        self._repair.check_foldable()
        for name, layer in self._repair.layers.items():
            (mean, deviation), (wanted, spread) = self._found[name], self._goal[name]
            weight, axis = _output_axis(name, layer)
            scale, bias = spread / deviation, parts[f"{weight.removesuffix('weight')}bias"]
            parts[weight].mul_(scale.view([-1 if i == axis else 1 for i in range(parts[weight].ndim)]))
            bias.sub_(mean).mul_(scale).add_(wanted)
        return folded


class PathRepair:
    """Corrects the moments of a network's layers at the points of a path.

    Args:
        repair: the layers.
        ends: theta at both ends.
        measure: gives, for a theta, what `Repair.moments` takes.
    """

    def __init__(
        self,
        repair: Repair,
        ends: tuple[Tensor, Tensor],
        measure: Callable[[Tensor], tuple[Callable[[Any], Any], Iterable[Any]]],
    ) -> None:
        self._repair, self._measure = repair, measure
        first, last = (repair.moments(*measure(end)) for end in ends)
        self._ends = first, last

    def at(self, t: float, theta: Tensor) -> Correction:
        """The correction at a point of the path."""
        return self._repair.correct(_interpolate(self._ends, t), *self._measure(theta))


def _output_axis(name: str, layer: nn.Module) -> tuple[str, int]:
    """The weight of a layer, and the axis of it along which its output units lie.

    The output channels of a grouped transposed convolution lie along two axes; this is the one its groups lie along.
    """
    return f"{name}.weight" if name else "weight", 1 if getattr(layer, "transposed", False) and layer.groups == 1 else 0


def _interpolate(ends: tuple[Moments, Moments], t: float) -> Moments:
    """Means and standard deviations at t between those of the ends."""
    first, second = ends
    mixed = {}
    for name in first:
        (mean_a, deviation_a), (mean_b, deviation_b) = first[name], second[name]
        mixed[name] = (1 - t) * mean_a + t * mean_b, (1 - t) * deviation_a + t * deviation_b
    return mixed


def _rescale(output: Tensor, axis: int, found: tuple[Tensor, Tensor], goal: tuple[Tensor, Tensor]) -> Tensor:
    """Shift and scale the units of an output from the moments found to those of the goal."""
    (mean, deviation), (wanted, spread) = found, goal
    shape = [1] * output.ndim
    shape[axis] = -1
    return (output - mean.view(shape)) * (spread / deviation).view(shape) + wanted.view(shape)


def check_repair(repair: object, space: WeightSpace) -> None:
    """Check what may be None or a Repair of a network without BatchNorm, which repairs itself.

    Raises:
        PathfinderError: if it is anything else.
    """
    if repair is None:
        return
    check_kind(repair, Repair, "repair", "make one with Repair(module, structure)")
    if space.has_statistics:
        raise PathfinderError("a network with BatchNorm is repaired by re-estimating it; drop repair.")
