import numpy as np
import pytest
import torch
from helpers import data, network

from pathfinder import Evaluator, Line, PathfinderError, Plane, WeightSpace, build_model, fit_minimum, load_data
from pathfinder.align import match_weights, structure_of
from pathfinder.repair import Repair


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
                with repair.hooked(see):
                    space.call(theta, x)
            else:
                with correction.applied(), repair.hooked(see):
                    space.call(theta, x)
        return found

    first, last, middle = moments(a), moments(b), (a + b) / 2
    goal = {name: tuple((p + q) / 2 for p, q in zip(first[name], last[name], strict=True)) for name in first}
    with torch.no_grad():
        correction = repair.towards(goal, lambda inputs: space.call(middle, inputs), [x])
    repaired, plain = moments(middle, correction), moments(middle)
    for name in goal:
        for found, wanted in zip(repaired[name], goal[name], strict=True):
            assert torch.allclose(found, wanted, rtol=1e-2, atol=1e-3)
    last_layer = max(plain)
    assert float(plain[last_layer][1].mean()) < 0.9 * float(goal[last_layer][1].mean())  # the spread that was lost


def test_repair_raises_accuracy_halfway_and_leaves_the_ends(pair):
    space, a, b, splits, repair = pair
    plain, repaired = (
        Evaluator(space, splits, repair=own).score(Line(a, b), 3).table["test_error"].to_numpy()
        for own in (None, repair)
    )
    assert repaired[1] < plain[1]
    assert np.abs(repaired[[0, 2]] - plain[[0, 2]]).max() <= 0.3  # one example


def test_convolutions_are_repaired_by_channel():
    module, x = build_model("convnet", widths=[4, 6], input_shape=(1, 8, 8), seed=0), torch.randn(40, 1, 8, 8)
    space = WeightSpace(module)
    a = space.vector(module)
    repair = Repair(module, structure_of(space, x[:2]))
    line = Line(a, 2 * a)
    splits = {"train": (x, torch.zeros(40, dtype=torch.int64))}
    table = Evaluator(space, splits, repair=repair, batch_size=20).score(line, 3).table
    plain = Evaluator(space, splits).score(line, 3).table
    assert np.allclose(table["train_loss"].iloc[[0, 2]], plain["train_loss"].iloc[[0, 2]], rtol=0.1)
    assert not any(layer._forward_hooks for layer in module.modules())


def test_mistakes_are_named(pair):
    space, a, b, splits, repair = pair
    with pytest.raises(PathfinderError, match="repair needs a path between two ends, not a plane"):
        plane = Plane.around(a, b - a, torch.randn_like(a))
        Evaluator(space, splits, repair=repair).score(plane, plane.grid(2, span=1.0))
    module = network("batchnorm")
    with pytest.raises(PathfinderError, match="a network with BatchNorm is repaired by re-estimating it"):
        Evaluator(WeightSpace(module), {"train": data(20)}, repair=repair)
