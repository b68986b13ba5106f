import numpy as np
import pytest
import torch
from helpers import Frozen, data, network
from networks import MODELS, disturbed_model

from pathfinder import Evaluator, Line, PathfinderError, WeightSpace, build_model, fit_minimum, load_data, summarize
from pathfinder.symmetry.matching import match_activations, match_weights, structure_of
from pathfinder.symmetry.structure import Structure


@pytest.mark.parametrize("name", MODELS)
def test_a_permuted_copy_is_recovered(name):
    module, x = disturbed_model(name)
    space = WeightSpace(module)
    a, statistics = space.vector(module), space.statistics(module)
    structure = structure_of(space, x)
    drawn = structure.random_permutations(seed=3)
    moved = structure.permute({**space.parts(a), **space.fixed(statistics)}, drawn)
    b = space.join(moved)
    theirs = space.statistics_in(moved) if len(statistics) else None
    assert not torch.equal(a, b)
    found = match_weights(space, a, b, structure=structure, statistics=theirs, orders=10)
    assert torch.equal(found.vector, a)
    assert theirs is None or (not torch.equal(theirs, statistics) and torch.equal(found.statistics, statistics))
    assert found.objective == sorted(found.objective) and len(found.orders) == 10
    for there, back in zip(drawn, found.permutations, strict=True):
        assert torch.equal(there[back], torch.arange(len(there)))


def test_activations_find_a_permuted_copy_too():
    module, x = network("batchnorm"), data(64)[0]
    with torch.no_grad():
        for _ in range(20):
            module.train()(x)
    space = WeightSpace(module)
    a, statistics = space.vector(module), space.statistics(module)
    structure = structure_of(space, x[:2])
    drawn = structure.random_permutations(seed=3)
    moved = structure.permute({**space.parts(a), **space.fixed(statistics)}, drawn)
    b = space.join(moved)
    theirs = space.statistics_in({key: moved[key] for key in space.statistics_names})
    found = match_activations(space, a, b, x, statistics=(statistics, theirs))
    assert torch.equal(found.vector, a) and torch.equal(found.statistics, statistics)
    assert found.objective[1] > 0.99 > found.objective[0]


@pytest.fixture(scope="module")
def pair():
    splits = load_data("digits")
    modules = [build_model("mlp", widths=[128, 128], input_shape=(1, 8, 8), seed=seed) for seed in (0, 1)]
    for seed, module in enumerate(modules):
        fit_minimum(module, splits["train"], epochs=15, lr=0.1, batch_size=64, seed=seed, schedule="onecycle")
    space = WeightSpace(modules[0])
    return space, *(space.vector(module) for module in modules), splits


def barrier(space, a, b, splits):
    table = summarize({"line": Evaluator(space, splits).score(Line(a, b), 11)})
    return table.query("split == 'train' and metric == 'loss'")["barrier"].iloc[0]


def test_matching_lowers_the_barrier_and_changes_nothing_the_network_computes(pair):
    space, a, b, splits = pair
    x = splits["train"].x
    before = barrier(space, a, b, splits)
    by_weights = match_weights(space, a, b, inputs=x[:2])
    assert barrier(space, a, by_weights.vector, splits) < 0.2 * before
    by_activations = match_activations(space, a, b, x[:500])
    assert barrier(space, a, by_activations.vector, splits) < 0.3 * before
    for found in (by_weights, by_activations):
        assert torch.allclose(space.call(b, x[:50]), space.call(found.vector, x[:50]), atol=1e-4)
        assert len(repr(found)) < 100 and repr(found).startswith("Alignment(groups=2, units=256, objective=")
        assert float(found.vector.norm()) == pytest.approx(float(b.norm()), rel=1e-6)


def test_same_seed_same_permutation(pair):
    space, a, b, splits = pair
    few = splits["train"].x[:2]
    first, second = (match_weights(space, a, b, inputs=few, orders=2, seed=4) for _ in range(2))
    assert torch.equal(first.vector, second.vector) and first.objective == second.objective
    assert np.argmax(first.orders) == first.orders.index(first.objective[-1])


def test_a_structure_is_proved_and_within_what_moves(pair):
    space, a, b, splits = pair
    few = splits["train"].x[:2]
    unproved = Structure.of(space.network, few)
    with pytest.raises(PathfinderError, match="this structure was not proved; pass what its prove method returns"):
        match_weights(space, a, b, structure=unproved)
    once = match_weights(space, a, b, structure=unproved, inputs=few, orders=1)
    for proved in (unproved, once.structure, Structure.of(space.network, few).prove(space.network, few)):
        assert torch.equal(once.vector, match_weights(space, a, b, structure=proved, orders=1).vector)
    part = WeightSpace(space.network, only=f"{once.structure.groups[0].name}")
    only = part.vector(space.network)
    with pytest.raises(PathfinderError, match="every group of units also lies in .* nothing can be permuted"):
        match_weights(part, only, only, structure=unproved)


def test_weights_and_module_stay_as_they_were(pair):
    space, a, b, splits = pair
    kept, module = (a.clone(), b.clone()), Frozen.of(space.network)
    found = match_weights(space, a, b, inputs=splits["train"].x[:2], orders=1)
    match_activations(space, a, b, splits["train"].x[:50])
    assert torch.equal(a, kept[0]) and torch.equal(b, kept[1]) and not torch.equal(found.vector, b)
    module.check(space.network)


def test_mistakes_are_named(pair):
    space, a, b, _ = pair
    with pytest.raises(PathfinderError, match="needs a few inputs; pass inputs= or structure="):
        match_weights(space, a, b)
    with pytest.raises(PathfinderError, match="orders must be 1 or more, got 0"):
        match_weights(space, a, b, inputs=torch.randn(2, 1, 8, 8), orders=0)
