"""Training of a curve that stops once the curve is flat enough."""

import pytest
import torch
from helpers import data, network

from pathfinder import Bezier, Evaluator, PathfinderError, Split, WeightSpace, fit_curve, fit_minimum
from pathfinder.storage import StageFile
from pathfinder.training.goal import Goal
from pathfinder.training.recipe import Until

DATA = {"train": Split(*data(60))}
SPACE = WeightSpace(network("batchnorm"))
RECIPE = {"epochs": 6, "batch_size": 20, "lr": 0.05, "seed": 4}  # 3 steps in an epoch


def minimum(seed):
    module = network("batchnorm", seed)
    fit_minimum(module, DATA["train"], epochs=60, batch_size=20, lr=0.1)
    return SPACE.vector(module)


ENDS = [minimum(seed) for seed in (0, 1)]


def fitted(until, **more):
    """A curve trained until then, and its history."""
    curve = Bezier(*ENDS)
    return curve, fit_curve(curve, SPACE, DATA["train"], **RECIPE, until=until, **more)


def largest(curve, points=11, examples=40):
    """The largest train loss along a curve, over that of its worse end."""
    evaluator = Evaluator(SPACE, DATA, batch_size=20, examples=examples, batch_norm_examples=examples, seed=4)
    losses = evaluator.score(curve, points).table["train_loss"]
    return losses.max(), losses.max() / max(losses.iloc[0], losses.iloc[-1])


def test_a_curve_that_is_flat_enough_at_once_stops_at_the_first_look():
    class Enough(Exception):
        pass

    def stop(done, total):
        if done == 4:
            raise Enough

    straight = Bezier(*ENDS)
    with pytest.raises(Enough):
        fit_curve(straight, SPACE, DATA["train"], **RECIPE, progress=stop)
    curve, history = fitted({"ratio": 1e6, "every": 4, "examples": 40})
    assert torch.equal(curve.bends, straight.bends)
    assert history["step"].tolist() == [3, 4] and history["reached"].tolist() == [False, True]
    assert history["largest"].isna().tolist() == [True, False]
    assert history["largest"].iloc[-1] == pytest.approx(largest(curve)[0], rel=1e-6)


def test_a_curve_that_is_never_flat_enough_is_trained_to_the_end():
    plain = Bezier(*ENDS)
    fit_curve(plain, SPACE, DATA["train"], **RECIPE)
    curve, history = fitted({"loss": 1e-9, "every": 5, "examples": 40, "points": 7})
    assert torch.equal(curve.bends, plain.bends)
    assert history["step"].iloc[-1] == 18 and not history["reached"].any()
    assert history["largest"].iloc[-1] == pytest.approx(largest(curve, points=7)[0], rel=1e-6)


def test_it_stops_at_the_first_look_that_meets_the_ratio():
    looked = []

    def look(done, total):
        if done % 2 == 0:
            looked.append((done, largest(curve)[1]))

    curve = Bezier(*ENDS)
    fit_curve(curve, SPACE, DATA["train"], **RECIPE, progress=look)
    ratios = dict(looked)
    wanted = (max(ratios.values()) + min(ratios.values())) / 2
    first = next(step for step, ratio in ratios.items() if step and ratio <= wanted)
    _, history = fitted({"ratio": max(wanted, 1), "every": 2, "examples": 40})
    assert history["step"].iloc[-1] == first > 0


@pytest.mark.parametrize("at", [3, 7, 10])
def test_an_interrupted_training_stops_at_the_same_step(at, tmp_path):
    looked = []
    whole, wanted = fitted({"loss": 1e-9, "every": 2, "examples": 40})
    until = {"loss": float(wanted["largest"].iloc[3]) * (1 + 1e-9), "every": 2, "examples": 40}
    whole, wanted = fitted(until)
    stage = StageFile(tmp_path / "fit.pt", "key", every=0.0)

    def kill(done, total):
        looked.append(done)
        if done == at and len(looked) == at + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(until, progress=kill, stage=stage)
    curve, history = fitted(until, progress=kill, stage=stage)
    assert history.equals(wanted) and torch.equal(curve.bends, whole.bends)
    assert 10 < history["step"].iloc[-1] < 18 and history["reached"].iloc[-1]
    curve, history = fitted(until, stage=stage)  # what has ended is not continued
    assert history.equals(wanted) and torch.equal(curve.bends, whole.bends)


@pytest.mark.parametrize("until", [{}, {"loss": 1.0, "ratio": 2.0}])
def test_one_of_loss_and_ratio_is_needed(until):
    with pytest.raises(PathfinderError, match="until: needs a loss or a ratio, and not both"):
        fitted(until)


def test_a_curve_that_is_nan_in_the_middle_is_not_flat(monkeypatch):
    rows = [({"train_loss": loss}, {}) for loss in (0.01, float("nan"), 0.02)]
    monkeypatch.setattr(Evaluator, "score_points", lambda self, curve, t: rows)
    goal = Goal(Until(loss=0.1), Bezier(*ENDS), Evaluator(SPACE, DATA))
    assert not goal.look(0, last=True) and goal.largest != goal.largest
