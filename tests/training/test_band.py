"""The nudged elastic band: its tangent, its steps, and a saddle of known height."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import data, network
from torch import nn

from pathfinder import Bezier, PathfinderError, PolyChain, WeightSpace, fit_curve
from pathfinder.training.band import spread, tangents

X, Y = data(40)
LOSSES = torch.tensor([1.0, 0.5, 2.0, 1.5, 1.5, 3.0, 0.0], dtype=torch.float64)  # with both kinds of extrema


class MuellerBrown(nn.Module):
    """The potential at a point, whatever the input (Mueller and Brown 1979, table 1)."""

    def __init__(self, x, y):
        super().__init__()
        self.at = nn.Parameter(torch.tensor([x, y], dtype=torch.float64))

    def forward(self, given):
        return self.energy().expand(len(given), 1)

    def energy(self):
        a = torch.tensor([-200.0, -100.0, -170.0, 15.0], dtype=torch.float64)
        xx = torch.tensor([-1.0, -1.0, -6.5, 0.7], dtype=torch.float64)
        xy = torch.tensor([0.0, 0.0, 11.0, 0.6], dtype=torch.float64)
        yy = torch.tensor([-10.0, -10.0, -6.5, 0.7], dtype=torch.float64)
        dx = self.at[0] - torch.tensor([1.0, 0.0, -0.5, -1.0], dtype=torch.float64)
        dy = self.at[1] - torch.tensor([0.0, 0.5, 1.5, 1.0], dtype=torch.float64)
        return (a * torch.exp(xx * dx**2 + xy * dx * dy + yy * dy**2)).sum()


def critical_point(x, y):
    """The energy where the gradient is zero, and both eigenvalues of the Hessian, by Newton's method from near it."""
    at = torch.tensor([x, y], dtype=torch.float64)

    def energy(point):
        return torch.func.functional_call(MuellerBrown(0, 0), {"at": point}, torch.zeros(1, 1))[0, 0]

    for _ in range(20):
        hessian = torch.autograd.functional.hessian(energy, at)
        at = at - torch.linalg.solve(hessian, torch.autograd.functional.jacobian(energy, at))
    return at, float(energy(at)), torch.linalg.eigvalsh(hessian)


def published(before, here, after, low, middle, high):
    """Henkelman and Jonsson (2000), equations 8 to 11, for one image; its energy is the one in the middle."""
    plus, minus = after - here, here - before
    if low < middle < high:
        tangent = plus
    elif low > middle > high:
        tangent = minus
    else:
        most, least = max(abs(high - middle), abs(low - middle)), min(abs(high - middle), abs(low - middle))
        tangent = plus * most + minus * least if high > low else plus * least + minus * most
    return tangent / np.linalg.norm(tangent)


def test_the_tangent_is_the_published_one():
    chain = torch.randn(7, 5, dtype=torch.float64)
    found, rows = tangents(chain, LOSSES), chain.numpy()
    for i in range(1, 6):
        wanted = published(*rows[i - 1 : i + 2], *LOSSES[i - 1 : i + 2].tolist())
        assert found[i - 1].numpy() == pytest.approx(wanted, abs=1e-12)
    flat = tangents(chain, torch.zeros(7))[0]
    assert torch.allclose(flat, F.normalize(chain[2] - chain[0], dim=0))


def test_the_tangent_of_autoneb_mixes_unit_vectors_the_other_way_round():
    chain = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 5.0]], dtype=torch.float64)
    found = tangents(chain, torch.tensor([0.0, 4.0, 1.0]), "autoneb")  # the end is higher than the start
    assert torch.allclose(found, torch.tensor([[4.0, 3.0]], dtype=torch.float64) / 5)


def test_bends_are_spread_evenly_along_the_chain():
    chain = torch.randn(6, 4, dtype=torch.float64)
    evenly, lengths = spread(chain), chain.diff(dim=0).norm(dim=1)
    assert torch.equal(evenly[[0, -1]], chain[[0, -1]])
    at = torch.cat([torch.zeros(1), lengths.cumsum(0)]).numpy()
    for i in range(1, 5):
        wanted = [np.interp(at[-1] * i / 5, at, chain[:, k].numpy()) for k in range(4)]
        assert evenly[i].numpy() == pytest.approx(wanted, abs=1e-12)
    assert torch.equal(spread(chain[:1].expand(4, 4)), chain[:1].expand(4, 4))


@pytest.mark.parametrize("parts", [None, 7])
def test_a_step_equals_one_written_out(parts):
    space = WeightSpace(network("mlp"))
    a, b = torch.randn(2, space.size) * 0.3
    chain = PolyChain(a, b, bends=3)
    bends = torch.lerp(a, b, torch.tensor([[0.25], [0.5], [0.75]]))
    fit_curve(
        chain, space, (X, Y), method="neb", epochs=2, batch_size=len(X), lr=0.1, momentum=0.0, weight_decay=0.01,
        schedule="constant", micro_batch_size=parts,
    )  # fmt: skip
    for _ in range(2):
        rows = torch.stack([a, *bends, b]).requires_grad_()
        losses = torch.stack([F.cross_entropy(space.call(row, X), Y) for row in rows])
        (slopes,) = torch.autograd.grad(losses.sum(), rows)
        slopes, along = (slopes + 0.01 * rows)[1:-1].detach(), tangents(rows.detach(), losses.detach())
        bends = bends - 0.1 * (slopes - (slopes * along).sum(1, keepdim=True) * along)
        bends = spread(torch.stack([a, *bends, b]))[1:-1]
    assert torch.allclose(chain.bends, bends, atol=1e-5)


def test_the_band_finds_the_height_of_a_known_saddle():
    (first, _, low), (second, _, high) = critical_point(-0.56, 1.44), critical_point(-0.05, 0.47)
    _, height, curvature = critical_point(-0.82, 0.62)
    assert low[0] > 0 and high[0] > 0 and curvature[0] < 0 < curvature[1]  # two minima and the saddle between them
    a, b = MuellerBrown(*first.tolist()), MuellerBrown(*second.tolist())
    space = WeightSpace(a)
    chain = PolyChain(space.vector(a), space.vector(b), bends=49)
    examples = (torch.zeros(2, 1), torch.zeros(2, 1))
    history = fit_curve(
        chain, space, examples, loss=lambda output, target: output[:, 0], method="neb", epochs=100, lr=3e-4,
        momentum=0.5, weight_decay=0.0, schedule="constant",
    )  # fmt: skip
    with torch.no_grad():
        points = chain(torch.linspace(0, 1, 2001, dtype=torch.float64))
        energies = torch.stack([space.call(point, examples[0])[0, 0] for point in points])
    assert float(energies.max()) == pytest.approx(height, abs=1e-3)
    assert chain.length() > 1.05 * chain.chord() and len(history) == 100


def test_only_a_chain_with_fixed_ends_is_a_band():
    space = WeightSpace(network("mlp"))
    ends = torch.randn(2, space.size)
    for curve in (Bezier(*ends), PolyChain(*ends, fixed_ends=False)):
        with pytest.raises(PathfinderError, match="needs a polychain with fixed ends, got a (bezier|polychain)"):
            fit_curve(curve, space, (X, Y), method="neb", epochs=1)
