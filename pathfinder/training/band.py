"""The nudged elastic band: each bend of a chain descends across the chain, and all keep equal distances along it."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from pathfinder.compute import accumulator
from pathfinder.geometry.curves import Curve
from pathfinder.training.loop import Sums
from pathfinder.training.recipe import CurveRecipe, Tangent

Slope = Callable[[Tensor, Any, Any, float, bool], tuple[Sums, Tensor]]


class Band:
    """Gives a chain the gradients of a nudged elastic band (Draxler et al. 2018, algorithm 1).

    Every step computes the loss at all anchors and its gradient at the bends, on one mini-batch; removes the part of
    each gradient that lies along the chain; and after the optimiser's step spreads the bends evenly along the chain, as
    springs of infinite stiffness do.

    Args:
        chain: its bends are moved; its ends are fixed.
        slope: (theta, x, y, share, whether to differentiate) -> the sums over a part of a batch, and the gradient.
        recipe: has the tangent and the weight decay.
    """

    def __init__(self, chain: Curve, slope: Slope, recipe: CurveRecipe) -> None:
        self._chain, self._slope, self._recipe = chain, slope, recipe
        self._losses = torch.zeros(len(chain.rows()), dtype=accumulator(chain.start.device), device=chain.start.device)

    def attach(self, optimizer: Optimizer) -> None:
        """Spread the bends evenly, now and after each step of this optimiser, and nudge them before each."""
        optimizer.register_step_pre_hook(lambda *given: self._nudge())
        optimizer.register_step_post_hook(lambda *given: self._spread())
        self._spread()

    def gradient(self, x: Any, y: Any, t: Tensor, share: float) -> Sums:
        """Add the gradient of a part of a batch to each bend; returns the mean over the anchors of the sums over it."""
        found, slopes = [], []
        for i, row in enumerate(self._chain.rows()):
            sums, slope = self._slope(row.detach(), x, y, share, 0 < i <= len(self._chain.bends))
            self._losses[i] += sums.plain[1]
            found.append(sums)
            slopes.append(slope)
        new, bends = torch.stack(slopes[1:-1]), self._chain.bends
        bends.grad = new if bends.grad is None else bends.grad.add_(new)
        weights = [sums.weights for sums in found if sums.weights is not None]
        plain = torch.stack([sums.plain for sums in found]).mean(0)
        return Sums(plain, torch.stack(weights).mean(0) if weights else None)

    @torch.no_grad()
    def rescale(self, t: Tensor, factor: Tensor) -> None:
        """Multiply the gradients of the loss, and not of the penalty, by a factor."""
        bends = self._chain.bends
        assert bends.grad is not None
        factor = factor.to(bends)
        bends.grad.mul_(factor).add_(bends * (self._recipe.weight_decay * (1 - factor)))

    @torch.no_grad()
    def _nudge(self) -> None:
        gradient = self._chain.bends.grad
        assert gradient is not None
        along = tangents(self._chain.anchors, self._losses, self._recipe.tangent)
        gradient -= (gradient * along).sum(1, keepdim=True) * along
        self._losses.zero_()

    @torch.no_grad()
    def _spread(self) -> None:
        self._chain.bends.copy_(spread(self._chain.anchors)[1:-1])


def tangents(
    anchors: Float[Tensor, "anchors weights"], losses: Float[Tensor, " anchors"], kind: Tangent = "improved"
) -> Float[Tensor, "bends weights"]:
    """Unit tangents of a chain at its bends.

    A bend whose loss lies between those of its neighbours takes the direction to the higher one. At an extremum
    `improved` weighs both directions, the one to the higher neighbour by the larger of the two differences of loss
    (Henkelman and Jonsson 2000, equations 8 to 11); `autoneb` does as the code of Draxler et al. (2018): it makes both
    directions unit vectors first and exchanges their weights.

    Args:
        anchors: start, bends and end.
        losses: at each of them.
        kind: `improved` or `autoneb`.

    >>> chain = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> tangents(chain, torch.tensor([0.0, 1.0, 2.0])).tolist()
    [[0.0, 1.0]]
    >>> tangents(chain, torch.tensor([0.0, 4.0, 1.0]))
    tensor([[0.6000, 0.8000]])
    """
    before, after = anchors[1:-1] - anchors[:-2], anchors[2:] - anchors[1:-1]
    down, up = (losses[1:-1] - losses[:-2])[:, None], (losses[2:] - losses[1:-1])[:, None]
    sizes = torch.cat([down.abs(), up.abs()], 1)
    large, small = sizes.amax(1, keepdim=True).to(anchors), sizes.amin(1, keepdim=True).to(anchors)
    higher_after = losses[2:, None] > losses[:-2, None]
    if kind == "autoneb":
        before, after = _unit(before), _unit(after)
        higher_after = ~higher_after
    mixed = torch.where(higher_after, large * after + small * before, small * after + large * before)
    mixed = torch.where((down > 0) & (up > 0), after, torch.where((down < 0) & (up < 0), before, mixed))
    flat = (down == 0) & (up == 0)
    return _unit(torch.where(flat, anchors[2:] - anchors[:-2], mixed))


def spread(anchors: Float[Tensor, "anchors weights"]) -> Float[Tensor, "anchors weights"]:
    """As many points at equal distances along a chain; its ends are kept.

    Args:
        anchors: of the chain.

    >>> spread(torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]]))
    tensor([[0., 0.],
            [2., 0.],
            [3., 1.]])
    """
    lengths = torch.linalg.vector_norm(anchors.diff(dim=0), dim=1, dtype=accumulator(anchors.device))
    at = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    wanted = torch.linspace(0, 1, len(anchors), dtype=at.dtype, device=at.device)[1:-1] * at[-1]
    left = (torch.searchsorted(at, wanted, right=True) - 1).clamp(0, len(anchors) - 2)
    share = ((wanted - at[left]) / lengths[left].clamp_min(torch.finfo(at.dtype).tiny)).to(anchors)[:, None]
    inner = torch.lerp(anchors[left], anchors[left + 1], share)
    return torch.cat([anchors[:1], inner, anchors[-1:]])


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, eps=torch.finfo(rows.dtype).tiny)
