import pytest
import torch
from helpers import data, network

from pathfinder import (
    Bezier,
    Evaluator,
    Line,
    PathfinderError,
    Plane,
    PolyChain,
    Ray,
    Split,
    WeightSpace,
    build_model,
)
from pathfinder.errors import PathfinderWarning
from pathfinder.scoring import Interpolate, Reestimate, Stored
from pathfinder.scoring.settings import Scoring

DATA = {"train": data(50), "test": data(23, seed=1)}


def ends():
    space = WeightSpace(network("batchnorm"))
    a = space.vector(space.network)
    return space, a, a + 0.3 * torch.randn(space.size, generator=torch.Generator().manual_seed(0))


def test_an_object_scores_as_its_short_name_with_the_same_arguments():
    space, a, b = ends()
    low, high = space.statistics(space.network), 2 * space.statistics(space.network)
    other = data(30, seed=2)
    for policy, named in (
        (Reestimate(augmented=True), {}),
        (Reestimate(), {"batch_norm": "reestimate"}),
        (
            Reestimate(other, examples=20),
            {"batch_norm": "reestimate", "batch_norm_data": other, "batch_norm_examples": 20},
        ),
        (Interpolate(low, high), {"batch_norm": "interpolate", "statistics": [low, high]}),
        (Interpolate(low, high), {"batch_norm": "stored", "statistics": [low, high]}),
    ):
        found = Evaluator(space, DATA, batch_norm=policy).score(Bezier(a, b), 3).table
        assert found.equals(Evaluator(space, DATA, **named).score(Bezier(a, b), 3).table)


def test_training_and_its_older_name_are_one():
    x = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)
    split = Split(x, torch.arange(64) % 3, 3, torch.tensor([0.5]), torch.tensor([0.3])).augmented(crop=3, flip=True)
    module = build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8), num_classes=3, seed=0)
    space = WeightSpace(module)
    names = ("training", "augmented", Reestimate(augmented=True))
    found = [Evaluator(space, {"train": split}, batch_norm=name).at(space.vector(module)) for name in names]
    assert found[0] == found[1] == found[2]
    for name in names[:2]:
        assert Scoring.parse({"batch_norm": name}).batch_norm == "training"


def test_statistics_of_every_anchor_are_mixed_with_the_coefficients():
    space, a, b = ends()
    own = [share * space.statistics(space.network) for share in (1.0, 3.0, 2.0)]
    mixed = Evaluator(space, DATA, batch_norm=Interpolate(*own)).score(Bezier(a, b), [0.5]).table
    theta = Bezier(a, b)(torch.tensor([0.5]))[0].detach()
    wanted = Evaluator(space, DATA, batch_norm=Stored()).at(theta, 2.25 * own[0])
    assert mixed.loc[0, "train_loss"] == pytest.approx(wanted["train_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_norm": Stored(), "batch_norm_examples": 9}, r"goes with a short name .* give it to Stored\(\)"),
        ({"batch_norm": Reestimate(), "statistics": []}, "statistics goes with a short name"),
        ({"batch_norm": Interpolate(torch.ones(8))}, "needs statistics="),
        ({"batch_norm": Interpolate(*[torch.ones(8)] * 5)}, "of the 2 ends or of all 2 anchors, got 5"),
        ({"batch_norm": Interpolate(*[torch.ones(3)] * 2)}, r"shape \(8,\), got shape \(3,\)"),
        ({"batch_norm": 3}, "unknown batch_norm `3`; choose from: training, reestimate, stored, interpolate"),
        ({"batch_norm": "train"}, "did you mean `training`"),
        ({"batch_norm": "stored"}, r"a path has two ends; pass .* statistics=\[space.statistics\(a\)"),
    ],
)
def test_mistakes_are_named(options, words, without_shapes):
    space, a, b = ends()
    with pytest.raises(PathfinderError, match=words):
        Evaluator(space, DATA, **options).score(Line(a, b), 2)


def test_a_plane_through_several_networks_is_not_scored_with_the_statistics_of_one():
    space, a, b = ends()
    plane = Plane.through(a, a + torch.linspace(-1, 1, space.size), b)
    with pytest.raises(PathfinderError, match="those of one network, but this plane goes through 3; re-estimate"):
        Evaluator(space, DATA, batch_norm="stored").score(plane, 3)


def test_the_score_at_a_minimum_with_its_stored_statistics_is_that_of_plain_torch():
    space, a, b = ends()
    module = space.network.eval()
    with torch.no_grad():
        for split, (x, y) in DATA.items():
            wanted = float(torch.nn.functional.cross_entropy(module(x), y))
            own, other = space.statistics(module), 2 * space.statistics(module)
            mixed = Evaluator(space, DATA, batch_norm="stored", statistics=[own, other])
            stored = Evaluator(space, DATA, batch_norm="stored")
            u, v = torch.randn(2, space.size, generator=torch.Generator().manual_seed(1))
            found = [
                *(mixed.score(curve, [0.0]).table for curve in (Line(a, b), Bezier(a, b), PolyChain(a, b))),
                stored.score(Ray(a, u), [0.0]).table,
                stored.score(Plane.around(a, u, v), [[0.0, 0.0]]).table,
            ]
            assert [table[f"{split}_loss"][0] for table in found] == pytest.approx([wanted] * 5, abs=1e-6)
            assert [table["batch_norm"][0] for table in found] == ["interpolate"] * 3 + ["stored"] * 2
            at_b = mixed.score(Line(a, b), [1.0]).table[f"{split}_loss"][0]
            module_b = space.module(b, other).eval()
            assert at_b == pytest.approx(float(torch.nn.functional.cross_entropy(module_b(x), y)), abs=1e-6)


def test_an_end_that_scores_otherwise_with_its_stored_statistics_is_warned_of():
    module, x = network("batchnorm"), DATA["train"][0]
    for layer in module.modules():
        layer.momentum = 1.0  # the last batch alone
    module.train()(x)
    space = WeightSpace(module)
    a, b = space.vector(module), space.vector(network("batchnorm", 1))
    as_trained = {split: (x, module.eval()(x).argmax(1)) for split, (x, _) in DATA.items()}
    table = Evaluator(space, as_trained, batch_size=50).score(Bezier(b, a), 3).table  # no word
    with torch.no_grad():
        wanted = float(torch.nn.functional.cross_entropy(module(x), as_trained["train"][1]))
    assert table["train_loss"][2] == pytest.approx(wanted, rel=0.05)
    moved = {split: (5 * x + 2, y) for split, (x, y) in as_trained.items()}
    with pytest.warns(PathfinderWarning, match=r"the network at t = 1 with BatchNorm re-estimated from .* instead of"):
        Evaluator(space, moved, batch_size=50).score(Bezier(b, a), 3)


@pytest.mark.parametrize("t", [[-0.1, 0.5], [0.5, 1.01]])
def test_mixed_statistics_are_not_extrapolated(t):
    space, a, b = ends()
    own = [torch.ones(space.statistics_size), torch.zeros(space.statistics_size)]
    evaluator = Evaluator(space, DATA, batch_norm="stored", statistics=own)
    with pytest.raises(PathfinderError, match=f"t = 0 to 1, got t = {t[0] if t[0] < 0 else t[1]}; score that range"):
        evaluator.score(Line(a, b), t)
    assert len(evaluator.score(Line(a, b), [0.0, 1.0]).table) == 2
    assert len(Evaluator(space, DATA).score(Line(a, b), t).table) == 2


def test_inputs_that_training_does_not_move_are_taken_as_they_are():
    space, a, _ = ends()
    found = [Evaluator(space, DATA, batch_norm=name).at(a) for name in ("training", "reestimate")]
    assert found[0] == found[1]


class Shuffled(torch.utils.data.Dataset):
    """Images that are shifted at random, as a loader of training images shifts them."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        x, y = data(64)
        return x[index] + 0.5 * torch.randn(()), y[index]


def test_a_loader_that_draws_its_own_crops_gives_the_same_statistics_at_every_point():
    space, a, b = ends()
    loader = torch.utils.data.DataLoader(Shuffled(), batch_size=16, shuffle=True)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    evaluator = Evaluator(space, {"test": DATA["test"]}, batch_norm_data=loader)
    first, _, again = evaluator.score(Line(a, b), [0.0, 0.5, 0.0]).table["test_loss"]
    assert first == again and torch.equal(torch.get_rng_state(), before)
    assert evaluator.counts()["batch_norm_examples"] == 64


def test_wrong_fields_are_named(without_shapes):
    with pytest.raises(PathfinderError, match="must be 1 or more, got 0"):
        Reestimate(examples=0)
    with pytest.raises(PathfinderError, match="augmented must be True or False, got 3"):
        Reestimate(augmented=3)
