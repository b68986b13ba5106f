"""REPAIR: hidden units of a network between two others get back the spread they lost (Jordan et al. 2023).

With mu and sigma the mean and deviation of a unit before its nonlinearity at both ends, the unit at t is shifted and
scaled to mu = (1 - t) mu_0 + t mu_1 and sigma = (1 - t) sigma_0 + t sigma_1. A network with BatchNorm needs no more
than its statistics re-estimated; this is for those without.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from pathfinder.data.trees import count
from pathfinder.errors import PathfinderError
from pathfinder.symmetry.structure import Structure

Moments = dict[str, tuple[Tensor, Tensor]]  # mean and deviation of the units of each layer
_EPS = 1e-5  # added to a variance, as BatchNorm does


class Repair:
    """Sets the moments of the hidden layers of a network.

    Args:
        module: the network.
        structure: its groups of units; the linear and convolutional layers that give them are repaired.

    Raises:
        PathfinderError: if there is no such layer.
    """

    def __init__(self, module: nn.Module, structure: Structure) -> None:
        named = dict(module.named_modules())
        places = {(place.tensor, place.axis) for group in structure.groups for place in group.places}
        layers = {name: layer for name, layer in sorted(named.items()) if isinstance(layer, nn.Linear | _ConvNd)}
        self.layers = {name: layer for name, layer in layers.items() if _outgoing(name, layer) in places}
        if not self.layers:
            raise PathfinderError(f"{type(module).__name__} has no hidden linear or convolutional layer to repair.")

    def moments(self, call: Callable[[Any], Any], batches: Iterable[Any]) -> Moments:
        """The moments of every layer's outputs, weighted by examples.

        Args:
            call: the network's output on the inputs of a batch.
            batches: inputs.
        """
        return self._estimated(call, batches, None)

    def towards(self, goal: Moments, call: Callable[[Any], Any], batches: Iterable[Any]) -> "Correction":
        """What gives the layers the moments of the goal; each layer is measured after those before it are corrected."""
        return Correction(self, self._estimated(call, batches, goal), goal)

    def _estimated(self, call: Callable[[Any], Any], batches: Iterable[Any], goal: Moments | None) -> Moments:
        sums: dict[str, list[Any]] = {}  # of means and variances, and the examples they are of
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
                return None if goal is None else _moved(output, axis, (mean, (variance + _EPS).sqrt()), goal[name])

            with self.hooked(measure):
                call(x)
        return {name: (mean / seen, (variance / seen + _EPS).sqrt()) for name, (mean, variance, seen) in sums.items()}

    @contextmanager
    def hooked(self, change: Callable[[str, int, Tensor], Tensor | None]) -> Iterator[None]:
        """Let `change` see, and replace, the output of every layer, whose units lie along an axis."""
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
    """The network at one point with the moments of its layers set.

    Args:
        repair: which layers.
        found: their moments as they are.
        goal: their moments as they shall be.
    """

    def __init__(self, repair: Repair, found: Moments, goal: Moments) -> None:
        self._repair, self._found, self._goal = repair, found, goal

    def applied(self) -> Any:
        """A context in which the network's outputs are corrected."""
        return self._repair.hooked(lambda name, axis, out: _moved(out, axis, self._found[name], self._goal[name]))


def _outgoing(name: str, layer: nn.Module) -> tuple[str, int]:
    """The axis of a layer's weight along which the units lie that it gives; those of a group move as one."""
    return f"{name}.weight" if name else "weight", 1 if getattr(layer, "transposed", False) and layer.groups == 1 else 0


def mixed(ends: tuple[Moments, Moments], t: float) -> Moments:
    """Means and deviations between those of the ends."""
    first, second = ends
    return {name: tuple((1 - t) * a + t * b for a, b in zip(first[name], second[name], strict=True)) for name in first}


def _moved(output: Tensor, axis: int, found: tuple[Tensor, Tensor], goal: tuple[Tensor, Tensor]) -> Tensor:
    (mean, deviation), (wanted, spread) = found, goal
    shape = [1] * output.ndim
    shape[axis] = -1
    return (output - mean.view(shape)) * (spread / deviation).view(shape) + wanted.view(shape)
