import numpy as np
import pytest
import torch
from helpers import data, network
from torch import nn
from torch.nn.modules.conv import _ConvNd

from pathfinder import (
    Bezier,
    Evaluator,
    Line,
    PathfinderError,
    Plane,
    PolyChain,
    WeightSpace,
    build_model,
    fit_minimum,
    load_data,
)
from pathfinder.experiment.starts import start_repaired
from pathfinder.symmetry.matching import match_weights, structure_of
from pathfinder.symmetry.repair import Repair


@pytest.fixture(scope="module")
def pair():
    splits = load_data("digits")
    modules = [build_model("mlp", widths=[64] * 4, input_shape=(1, 8, 8), seed=seed) for seed in (0, 1)]
    for seed, module in enumerate(modules):
        fit_minimum(module, splits["train"], epochs=15, lr=0.1, batch_size=64, seed=seed, schedule="onecycle")
    space = WeightSpace(modules[0])
    a, b = (space.vector(module) for module in modules)
    structure = structure_of(space, splits["train"].x[:2])
    return space, a, match_weights(space, a, b, structure=structure).vector, splits, Repair(space.network, structure)


def test_the_moments_halfway_are_the_mean_of_those_at_the_ends(pair):
    space, a, b, splits, repair = pair
    x = splits["train"].x

    def moments(theta, correction=None):
        found = {}

        def see(name, axis, output):
            found[name] = output.mean(0), output.std(0)

        with torch.no_grad():
            if correction is None:
                with repair.hook(see):
                    space.call(theta, x)
            else:
                with correction.apply(), repair.hook(see):
                    space.call(theta, x)
        return found

    first, last, middle = moments(a), moments(b), (a + b) / 2
    goal = {name: tuple((p + q) / 2 for p, q in zip(first[name], last[name], strict=True)) for name in first}
    with torch.no_grad():
        correction = repair.correct(goal, lambda inputs: space.call(middle, inputs), [x])
    repaired, plain = moments(middle, correction), moments(middle)
    for name in goal:
        for found, wanted in zip(repaired[name], goal[name], strict=True):
            assert torch.allclose(found, wanted, rtol=1e-2, atol=1e-3)
    last_layer = max(plain)
    assert float(plain[last_layer][1].mean()) < 0.9 * float(goal[last_layer][1].mean())  # the spread that was lost


def test_repair_raises_accuracy_halfway_and_leaves_the_ends(pair):
    space, a, b, splits, repair = pair
    tables = [Evaluator(space, splits, repair=own).score(Line(a, b), 3).table for own in (None, repair)]
    assert tables[1]["train_error"][1] < tables[0]["train_error"][1]
    plain, repaired = (table["test_error"].to_numpy() for table in tables)
    assert repaired[1] <= plain[1]
    assert np.abs(repaired[[0, 2]] - plain[[0, 2]]).max() <= 0.3  # one example


@pytest.mark.parametrize("curve", [PolyChain, Bezier])
@pytest.mark.parametrize("bends", [1, 3])
def test_a_curve_can_start_through_the_repaired_line(pair, curve, bends):
    space, a, b, splits, repair = pair
    evaluator, started = Evaluator(space, splits, repair=repair), curve(a, b, bends=bends)
    start_repaired(started, evaluator)
    t = torch.arange(bends + 2, dtype=torch.float64) / (bends + 1)
    repaired = evaluator.score(Line(a, b), t).table
    plain = Evaluator(space, splits).score(started, t).table
    for column in ("train_loss", "test_loss"):
        assert np.allclose(plain[column][1:-1], repaired[column][1:-1], rtol=1e-3)
    straight = Evaluator(space, splits).score(Line(a, b), t).table
    assert plain["train_loss"].max() < straight["train_loss"].max()


def test_a_curve_of_many_bends_passes_near_the_repaired_line(pair):
    space, a, b, splits, repair = pair
    evaluator = Evaluator(space, splits, repair=repair)
    straight, started = Bezier(a, b, bends=20), Bezier(a, b, bends=20)
    start_repaired(started, evaluator)
    moved = (started.bends - straight.bends).norm(dim=1).max()
    assert 0 < moved < (b - a).norm()
    assert started.length() < 2 * started.chord()


class Upwards(nn.Module):
    """A convolution, one that is transposed, and an output that is transposed too."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(1, 4, 2, stride=2), nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False)
        self.each = nn.ConvTranspose2d(6, 6, 1, groups=6)
        self.out = nn.ConvTranspose2d(6, 3, 8)

    def forward(self, x):
        up = torch.relu(self.up(torch.relu(self.down(x))))
        return self.out(torch.tanh(self.each(up)))[:, :, 7, 7]


@pytest.mark.parametrize("make", [lambda: build_model("convnet", widths=[4, 6], input_shape=(1, 8, 8)), Upwards])
def test_convolutions_are_repaired_by_channel(make):
    torch.manual_seed(0)
    module, x = make(), torch.randn(40, 1, 8, 8)
    space = WeightSpace(module)
    repair = Repair(module, structure_of(space, x[:2]))
    layers = [name for name, layer in module.named_modules() if isinstance(layer, _ConvNd) and name != "out"]
    assert list(repair.layers) == sorted(layers)
    theta = space.vector(module)

    def call(inputs):
        return space.call(theta, inputs)

    def moments():
        found = {}
        with torch.no_grad(), repair.hook(lambda name, _, out: found.update({name: (out.mean((0, 2, 3)), out)})):
            call(x)
        return {name: (mean, out.std((0, 2, 3))) for name, (mean, out) in found.items()}

    wanted = {name: (mean + torch.arange(len(mean)), 3 * spread) for name, (mean, spread) in moments().items()}
    with torch.no_grad():
        correction = repair.correct(wanted, call, [x])
    with correction.apply():
        corrected = moments()
        output = call(x).detach()
    for name, (mean, spread) in wanted.items():
        assert torch.allclose(corrected[name][0], mean, atol=1e-3) and torch.allclose(corrected[name][1], spread, 0.05)
    assert not any(layer._forward_hooks for layer in module.modules())
    if make is Upwards:
        with pytest.raises(
            PathfinderError, match="layer each cannot take a repair into its weights: it must have a bi"
        ):
            correction.fold(space, theta)
    else:
        before = theta.clone()
        assert torch.allclose(space.call(correction.fold(space, theta), x), output, rtol=1e-4, atol=1e-4)
        assert torch.equal(theta, before)


def test_mistakes_are_named(pair):
    space, a, b, splits, repair = pair
    with pytest.raises(PathfinderError, match="repair needs a path between two ends, not a plane"):
        plane = Plane.around(a, b - a, torch.randn_like(a))
        Evaluator(space, splits, repair=repair).score(plane, plane.grid(2, span=1.0))
    with pytest.raises(PathfinderError, match="repair needs 2 examples or more in every batch"):
        Evaluator(space, splits, repair=repair, batch_norm_examples=1).score(Line(a, b), 3)
    module = network("batchnorm")
    with pytest.raises(PathfinderError, match="a network with BatchNorm is repaired by re-estimating it"):
        Evaluator(WeightSpace(module), {"train": data(20)}, repair=repair)
