import pytest
import torch
from helpers import data, network

from pathfinder import Bezier, Evaluator, Line, PathfinderError, Split, WeightSpace, build_model
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
        (Reestimate(), {}),
        (Reestimate(other, examples=20), {"batch_norm_data": other, "batch_norm_examples": 20}),
        (Stored(), {"batch_norm": "stored"}),
        (Interpolate(low, high), {"batch_norm": "interpolate", "statistics": [low, high]}),
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
        assert Scoring.parse({"batch_norm": name}).batch_norm == name


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
        ({"batch_norm": 3}, "unknown batch_norm `3`; choose from: reestimate, training, stored, interpolate"),
        ({"batch_norm": "train"}, "did you mean `training`"),
    ],
)
def test_mistakes_are_named(options, words, without_shapes):
    space, a, b = ends()
    with pytest.raises(PathfinderError, match=words):
        Evaluator(space, DATA, **options).score(Line(a, b), 2)


def test_wrong_fields_are_named(without_shapes):
    with pytest.raises(PathfinderError, match="must be 1 or more, got 0"):
        Reestimate(examples=0)
    with pytest.raises(PathfinderError, match="augmented must be True or False, got 3"):
        Reestimate(augmented=3)
