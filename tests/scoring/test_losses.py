"""What can be a loss, what is left out, and how values with weights are averaged, against plain torch."""

import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pathfinder import Bezier, Evaluator, Hessian, Line, Split, WeightSpace, fit_curve, fit_minimum, summarize
from pathfinder.errors import PathfinderError, PathfinderWarning
from pathfinder.scoring import Weighted, classification_error, cross_entropy

IGNORED = -100


class Language(nn.Module):
    """Logits (sequences, words, tokens), classes on axis 1."""

    def __init__(self, words=7, width=5, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.embed, self.out = nn.Embedding(words, width), nn.Linear(width, words)

    def forward(self, tokens):
        return self.out(self.embed(tokens)).transpose(1, 2)


def sentences(number=9, length=6, seed=0, words=7):
    """Tokens and their successors; the targets behind the end of each sentence are left out."""
    rng = torch.Generator().manual_seed(seed)
    tokens = torch.randint(words, (number, length), generator=rng)
    target = torch.randint(words, (number, length), generator=rng)
    ends = torch.randint(1, length + 1, (number,), generator=rng)
    return tokens, target.masked_fill(torch.arange(length) >= ends[:, None], IGNORED)


X, Y = sentences()
MODEL = Language()
SPACE = WeightSpace(MODEL)
THETA = SPACE.vector(MODEL)


def squared(output, target):
    return (output - target).square()


def regression(number=40, columns=1):
    x = torch.randn(number, 3, generator=torch.Generator().manual_seed(1))
    y = x.sum(1, keepdim=True).expand(-1, columns).contiguous()
    return x, y if columns else x.sum(1)


# what cannot be a loss


@pytest.mark.parametrize("columns", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_no_class_labels(columns, dtype):
    x, y = regression(columns=columns)
    data = (x, y.to(dtype))
    module = nn.Linear(3, 1)
    space = WeightSpace(module)
    theta = space.vector(module)
    calls = {
        "minimum": lambda: fit_minimum(module, data, epochs=1),
        "curve": lambda: fit_curve(Bezier(theta, theta + 1), space, data, epochs=1),
        "scores": lambda: Evaluator(space, {"test": data}),
        "hessian": lambda: Hessian(space, theta, data),
    }
    for call in calls.values():
        with pytest.raises(PathfinderError, match="no class labels, pass a loss"):
            call()
    assert torch.equal(space.vector(module), theta)


def test_numbers_of_a_stream_are_refused_with_its_first_batch():
    module = nn.Linear(3, 1)
    space = WeightSpace(module)
    before = space.vector(module)
    batches = [regression(8)] * 2
    for call in (
        lambda: fit_minimum(module, batches, epochs=1),
        lambda: Evaluator(space, {"train": batches}).at(before),
        lambda: Hessian(space, before, batches).extremes(),
    ):
        with pytest.raises(PathfinderError, match="no class labels, pass a loss"):
            call()
    assert torch.equal(space.vector(module), before)


@pytest.mark.parametrize(("classes", "target"), [(4, torch.zeros(5, 1).long()), (1, torch.zeros(5).long())])
def test_one_column_is_refused(classes, target):
    with pytest.raises(PathfinderError, match="pass a loss"):
        cross_entropy(torch.randn(5, classes), target)


def test_shares_of_two_classes_are_targets():
    logits, shares = torch.randn(5, 2), torch.rand(5, 2).softmax(1)
    assert torch.equal(cross_entropy(logits, shares), F.cross_entropy(logits, shares, reduction="none"))
    assert not isinstance(classification_error(logits, shares), Weighted)


def scored(module, data, loss, **settings):
    space = WeightSpace(module)
    return Evaluator(space, {"train": data}, loss=loss, **settings).at(space.vector(module))


@pytest.mark.parametrize("number", [1, 2, 3, 16])
@pytest.mark.parametrize("loss", [squared, partial(F.mse_loss, reduction="none"), partial(F.l1_loss, reduction="none")])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_outputs_broadcast_against_targets_are_refused(number, loss):
    x, y = regression(number, columns=0)
    pattern = rf"loss broadcasts outputs of shape \({number}, 1\) against targets of shape \({number},\)"
    with pytest.raises(PathfinderError, match=pattern):
        scored(nn.Linear(3, 1), (x, y), loss)
    with pytest.raises(PathfinderError, match=pattern):
        fit_minimum(nn.Linear(3, 1), (x, y), loss=loss, epochs=1, batch_size=number)
    with pytest.raises(PathfinderError, match="metric `squared` broadcasts"):
        scored(nn.Linear(3, 1), (x, y), lambda o, t: squared(o[:, 0], t), metrics={"squared": squared})
    if number > 1:
        wide = nn.Linear(3, number)  # as many outputs as examples
        with pytest.raises(PathfinderError, match="broadcasts"):
            scored(wide, (x, y), squared)
    flat = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    with pytest.raises(PathfinderError, match="broadcasts"):
        scored(flat, (x, y[:, None]), squared)


class Answer(NamedTuple):
    logits: torch.Tensor
    hidden: torch.Tensor


class Wrapped(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.inner, self.wrap = Language(), wrap

    def forward(self, tokens):
        logits = self.inner(tokens)
        return self.wrap(logits, logits.sum(1))


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda a, b: (a, b), lambda o: o[0]),
        (lambda a, b: {"logits": a, "hidden": b}, lambda o: o["logits"]),
        (Answer, lambda o: o.logits),
        (lambda a, b: a, lambda o: o),
    ],
)
@pytest.mark.parametrize("number", [6, 5])  # as many sequences as tokens, and fewer
def test_losses_per_token_are_no_broadcasts(wrap, unwrap, number):
    x, y = sentences(number)
    y = y.clamp(min=0)
    module = Wrapped(wrap)

    def loss(output, target):
        return F.cross_entropy(unwrap(output), target, reduction="none")

    def several(output, target):
        return F.cross_entropy(unwrap(output), target["next"], reduction="none")

    wanted = float(F.cross_entropy(unwrap(module(x)), y).detach())
    assert scored(module, (x, y), loss)["train_loss"] == pytest.approx(wanted, rel=1e-6)
    data = Split(x, {"next": y, "length": torch.ones(number)})
    assert scored(module, data, several)["train_loss"] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("number", [2, 3, 16])
def test_a_mean_over_what_was_broadcast_is_refused(number, axis):
    x, y = regression(number, columns=0)
    pattern = rf"loss broadcasts outputs of shape \({number}, 1\) against targets of shape \({number},\)"
    with pytest.raises(PathfinderError, match=pattern):
        scored(nn.Linear(3, 1), (x, y), lambda o, t: squared(o, t).mean(axis))
    with pytest.raises(PathfinderError, match=pattern):
        fit_minimum(nn.Linear(3, 1), (x, y), loss=lambda o, t: squared(o, t).mean(axis), epochs=1, batch_size=number)
    module = nn.Linear(3, 1)
    found = scored(module, (x, y), lambda o, t: squared(o[:, 0], t))["train_loss"]
    assert found == pytest.approx(float((module(x)[:, 0] - y).square().mean().detach()), rel=1e-6)


def test_numbers_for_several_outputs_are_no_shares_of_classes():
    x, y = regression(columns=3)
    module = nn.Linear(3, 3)
    space = WeightSpace(module)
    for wrong in (y, torch.ones_like(y), y.softmax(1) * torch.tensor([1.0, -1.0, 1.0])):
        for data in ((x, wrong), [(x, wrong)]):
            for call in (
                lambda data=data: fit_minimum(module, data, epochs=1),
                lambda data=data: Evaluator(space, {"train": data}).at(space.vector(module)),
                lambda data=data: Hessian(space, space.vector(module), data).extremes(),
            ):
                with pytest.raises(PathfinderError, match="no class labels, pass a loss"):
                    call()
    for shares in (y.softmax(1), y.softmax(1).half(), F.one_hot(y.argmax(1), 3).double()):
        wanted = float(F.cross_entropy(module(x), shares.float()).detach())
        assert scored(module, (x, shares.float()), None)["train_loss"] == pytest.approx(wanted, rel=1e-6)
        assert Evaluator(space, {"train": (x, shares)}).counts()["train_examples"] == len(x)


def test_zeros_of_ignored_targets_are_named(recwarn):
    def zeros(output, target):
        return F.cross_entropy(output, target, reduction="none")

    with pytest.warns(PathfinderWarning, match=f"loss gives 0 for {int((Y == IGNORED).sum())} targets of -100"):
        scored(MODEL, (X, Y), zeros)
    recwarn.clear()
    found = scored(MODEL, (X, Y), lambda o, t: Weighted(zeros(o, t), t != IGNORED))
    assert found["train_loss"] == pytest.approx(float(F.cross_entropy(MODEL(X), Y).detach()), rel=1e-6)
    scored(MODEL, (X, Y.clamp_min(0)), zeros)
    assert not recwarn


def test_losses_per_output_and_per_class_are_no_broadcasts():
    x, y = regression(3, columns=3)
    assert "train_loss" in scored(nn.Linear(3, 3), (x, y), squared)
    labels = torch.tensor([0, 2, 1])

    def per_class(output, target):
        hot = F.one_hot(target, 3).float()
        return F.binary_cross_entropy_with_logits(output, hot, reduction="none")

    assert "train_loss" in scored(nn.Linear(3, 3), (x, labels), per_class)
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    assert "train_loss" in scored(nn.Linear(3, 3), (x, y[:, :1]), lambda o, t: (quantiles * (t - o)).abs())


# what is left out


@pytest.mark.parametrize("batch_size", [3, 9, 256])
@pytest.mark.parametrize("loss", [None, cross_entropy, partial(cross_entropy, ignore_index=IGNORED)])
def test_scores_leave_out_padded_targets_as_torch_does(loss, batch_size):
    metrics = {"error": classification_error}
    found = Evaluator(SPACE, {"test": (X, Y)}, loss=loss, metrics=metrics, batch_size=batch_size).at(THETA)
    with torch.no_grad():
        logits = MODEL(X)
    kept = Y != IGNORED
    wrong = 100.0 * (logits.argmax(1) != Y)[kept].double()
    assert found["test_loss"] == pytest.approx(float(F.cross_entropy(logits, Y)), rel=1e-6)
    assert found["test_error"] == pytest.approx(float(wrong.mean()), rel=1e-6)
    residuals = torch.where(kept, F.cross_entropy(logits, Y, reduction="none") - F.cross_entropy(logits, Y), 0).sum(1)
    n = len(Y)  # a sentence is drawn as a whole: the error of a ratio of two sums over sentences
    error = float((residuals.square().sum() * n / (n - 1)).sqrt() / kept.sum())
    assert found["test_loss_se"] == pytest.approx(error, rel=1e-5)


def test_batches_padded_to_their_own_length_score_as_one():
    parts = [sentences(4, length, seed=length) for length in (3, 6, 5)]
    with torch.no_grad():
        total = sum(F.cross_entropy(MODEL(x), y, reduction="sum") for x, y in parts)
        first = torch.cat([F.cross_entropy(MODEL(x), y, reduction="none").reshape(-1) for x, y in parts])
    wanted = float(total) / sum(int((y != IGNORED).sum()) for _, y in parts)
    assert np.isclose(float(first.sum()), float(total), rtol=1e-5)
    assert Evaluator(SPACE, {"test": parts}).at(THETA)["test_loss"] == pytest.approx(wanted, rel=1e-5)
    x = torch.cat([F.pad(x, (0, 6 - x.shape[1])) for x, _ in parts])
    y = torch.cat([F.pad(y, (0, 6 - y.shape[1]), value=IGNORED) for _, y in parts])
    assert Evaluator(SPACE, {"test": (x, y)}).at(THETA)["test_loss"] == pytest.approx(wanted, rel=1e-5)


def test_labels_of_minus_100_are_left_out():
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(3))
    y = torch.arange(20) % 3
    y[::4] = IGNORED
    module = nn.Linear(4, 3)
    found = scored(module, (x, y), None)
    kept = y != IGNORED
    alone = scored(module, (x[kept], y[kept]), None)
    for column in ("train_loss", "train_loss_se", "train_error", "train_error_se"):
        assert found[column] == pytest.approx(alone[column], rel=1e-6)
    with pytest.raises(PathfinderError, match="labels must be 0 to 2, got -7"):
        scored(module, (x, y.masked_fill(~kept, -7)), None)
    with pytest.raises(PathfinderError, match="labels must be 0 to 2 for this network, got -7"):
        cross_entropy(module(x), y.masked_fill(~kept, -7))
    with pytest.raises(PathfinderError, match="all targets of split train are left out of `loss`"):
        scored(module, (x, torch.full((20,), IGNORED)), None)


@pytest.mark.parametrize("ignored", [0, IGNORED])
@pytest.mark.parametrize("function", [cross_entropy, partial(F.cross_entropy, reduction="none")])
def test_a_partial_with_a_label_to_leave_out_scores_as_without_its_examples(function, ignored):
    x, y = torch.randn(20, 4, generator=torch.Generator().manual_seed(3)), torch.arange(20) % 3
    y = torch.where(y == 0, ignored, y)
    module, kept = nn.Linear(4, 3), y != ignored
    found = scored(module, (x, y), partial(function, ignore_index=ignored))
    alone = scored(module, (x[kept], y[kept]), None)
    for column in ("train_loss", "train_loss_se", "train_error", "train_error_se"):
        assert found[column] == pytest.approx(alone[column], rel=1e-6)
    if ignored == IGNORED:
        assert scored(module, (x, y), function) == pytest.approx(found)


def test_another_label_can_be_left_out():
    logits = torch.randn(8, 3)
    labels = torch.arange(8) % 3
    found = cross_entropy(logits, labels, ignore_index=0)
    assert isinstance(found, Weighted) and torch.equal(found.weights, labels != 0)
    mean = (found.values * found.weights).sum() / found.weights.sum()
    assert torch.allclose(mean, F.cross_entropy(logits, labels, ignore_index=0))
    assert not isinstance(cross_entropy(logits, labels), Weighted)


# weights


def by_weight(output, target):
    return Weighted(F.cross_entropy(output, target["label"], reduction="none"), target["weight"])


def weighted_data(number=30):
    rng = torch.Generator().manual_seed(5)
    x, weight = torch.randn(number, 4, generator=rng), torch.rand(number, generator=rng) * 3
    return x, {"label": torch.arange(number) % 3, "weight": weight.round(decimals=1)}


def test_weighted_means_and_their_errors():
    x, y = weighted_data()
    module = nn.Linear(4, 3)
    found = scored(module, (x, y), by_weight, batch_size=7)
    values = F.cross_entropy(module(x), y["label"], reduction="none").detach().double().numpy()
    weights = y["weight"].double().numpy()
    mean = np.average(values, weights=weights)
    n = (weights > 0).sum()
    residuals = weights * (values - mean)
    assert found["train_loss"] == pytest.approx(mean, rel=1e-6)
    assert found["train_loss_se"] == pytest.approx((np.square(residuals).sum() * n / (n - 1)) ** 0.5 / weights.sum())
    # a bootstrap of the ratio
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(values), size=(4000, len(values)))
    ratios = (weights * values)[drawn].sum(1) / weights[drawn].sum(1)
    assert found["train_loss_se"] == pytest.approx(ratios.std(), rel=0.15)


def test_whole_weights_count_as_copies_in_means():
    x, y = weighted_data()
    copies = (y["weight"]).round().long()
    module = nn.Linear(4, 3)
    found = scored(module, (x, {**y, "weight": copies}), by_weight)
    repeated = scored(module, (x.repeat_interleave(copies, 0), y["label"].repeat_interleave(copies)), None)
    assert found["train_loss"] == pytest.approx(repeated["train_loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda w: -w, "finite and 0 or more"),
        (lambda w: w[:, None], "must have the shape of their values"),
        (lambda w: 2.0, "must have the shape of their values"),
        (lambda w: w * 0, "all targets of split train"),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    x, y = weighted_data()

    def loss(output, target):
        return Weighted(F.cross_entropy(output, target["label"], reduction="none"), weights(target["weight"]))

    with pytest.raises(PathfinderError, match=message):
        scored(nn.Linear(4, 3), (x, y), loss)


def test_weights_that_follow_the_output_are_refused_along_a_path():
    def loss(output, target):
        return Weighted(F.cross_entropy(output, target, reduction="none"), output[:, 0].square())

    space = WeightSpace(nn.Linear(4, 3))
    line = Line(torch.ones(space.size), torch.zeros(space.size).add(0.5))
    data = {"train": (torch.randn(9, 4), torch.arange(9) % 3)}
    with pytest.raises(PathfinderError, match="weights of `loss` differ between points"):
        Evaluator(space, data, loss=loss).score(line, 3)


def test_barriers_of_weighted_examples():
    x, y = weighted_data()
    y["weight"][::3] = 0
    kept = y["weight"] > 0
    space = WeightSpace(nn.Linear(4, 3))
    ends = [torch.randn(space.size, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    line = Line(*ends)
    whole = Evaluator(space, {"train": (x, y)}, loss=by_weight, batch_size=8).score(line, 5)
    assert np.array_equal(whole.weights["loss", "train"], y["weight"].double().numpy())
    assert whole.per_example["loss", "train"].shape == (5, 30)
    few = (x[kept], {key: part[kept] for key, part in y.items()})
    alone = Evaluator(space, {"train": few}, loss=by_weight).score(line, 5)
    quantities = ["start", "max", "barrier", "barrier_low", "barrier_high"]
    assert np.allclose(summarize({"line": whole})[quantities], summarize({"line": alone})[quantities], rtol=1e-5)
    # equal weights are as good as none
    equal = (x, {**y, "weight": torch.full((30,), 2.0)})
    plain = Evaluator(space, {"train": (x, y["label"])}, metrics={}).score(line, 5)
    same = Evaluator(space, {"train": equal}, loss=by_weight).score(line, 5)
    assert np.allclose(summarize({"line": same})[quantities], summarize({"line": plain})[quantities], rtol=1e-5)
    assert not plain.weights


def test_a_fit_minimises_the_weighted_mean():
    x, y = weighted_data(20)
    module = nn.Linear(4, 3)
    twin = nn.Linear(4, 3)
    twin.load_state_dict(module.state_dict())
    settings = {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"}
    history = fit_minimum(module, (x, y), loss=by_weight, epochs=1, batch_size=20, **settings)
    losses = F.cross_entropy(twin(x), y["label"], reduction="none")
    mean = (y["weight"] * losses).sum() / y["weight"].sum()
    mean.backward()
    assert history["train_loss"][0] == pytest.approx(float(mean.detach()), rel=1e-6)
    for moved, parameter in zip(module.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(moved, parameter - 0.1 * parameter.grad, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("micro", [None, 2, 5])
def test_a_language_model_trains_as_torch_does(micro, label_smoothing):
    module, twin = Language(seed=1), Language(seed=1)
    settings = {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.01, "schedule": "constant", "seed": 4}
    history = fit_minimum(
        module, (X, Y), epochs=3, batch_size=5, micro_batch_size=micro, label_smoothing=label_smoothing, **settings
    )
    optimizer = torch.optim.SGD(twin.parameters(), 0.5, 0.9, weight_decay=0.01)
    for epoch in range(3):
        total, tokens = 0.0, 0
        for x, y in Split(X, Y).epoch(5, shuffled(4, epoch)):
            optimizer.zero_grad()
            F.cross_entropy(twin(x), y, label_smoothing=label_smoothing).backward()
            total += float(F.cross_entropy(twin(x), y, reduction="sum").detach())
            tokens += int((y != IGNORED).sum())
            optimizer.step()
        assert history["train_loss"][epoch] == pytest.approx(total / tokens, rel=1e-5)
    for found, wanted in zip(module.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-6)


def shuffled(seed, epoch):
    """The generator of an epoch, behind the draws of the steps' seeds and t."""
    rng = np.random.default_rng([seed, epoch])
    rng.integers(2**62, size=2)
    rng.random(2)
    return rng


def test_a_curve_takes_the_same_step_in_micro_batches():
    found = []
    for micro in (None, 2):
        curve = Bezier(THETA, SPACE.vector(Language(seed=2)))
        fit_curve(curve, SPACE, (X, Y), epochs=2, batch_size=9, micro_batch_size=micro, lr=0.5, weight_decay=0.1)
        found.append(curve(torch.tensor([0.5]))[0].detach())
    assert torch.allclose(*found, rtol=1e-5, atol=1e-6)
    before = Bezier(THETA, SPACE.vector(Language(seed=2)))(torch.tensor([0.5]))[0]
    assert not torch.allclose(found[0], before, atol=1e-2)


@pytest.mark.parametrize("stream", [False, True])
def test_the_hessian_is_that_of_torchs_own_mean(stream):
    parts = [sentences(4, length, seed=length) for length in ((3, 6, 5) if stream else (6,))]

    def mean(theta):
        split = SPACE.split(theta)
        total = sum(F.cross_entropy(SPACE.apply(split, x), y, reduction="sum") for x, y in parts)
        return total / sum(int((y != IGNORED).sum()) for _, y in parts)

    wanted = torch.autograd.functional.hvp(mean, THETA, torch.ones_like(THETA))[1]
    data = parts if stream else parts[0]
    found = Hessian(SPACE, THETA, data).product(torch.ones_like(THETA))
    assert torch.allclose(found.float(), wanted, rtol=1e-5, atol=1e-6)


# metrics that are NaN, and training that does not learn


def test_a_metric_that_is_nan_for_some_examples_says_so():
    x, y = torch.randn(10, 4), torch.arange(10) % 3

    def metric(output, target):
        return torch.where(target == 0, torch.nan, output[:, 0])

    module = nn.Linear(4, 3)
    space = WeightSpace(module)
    evaluator = Evaluator(space, {"test": (x, y)}, metrics={"f": metric, "g": lambda o, t: o[:, 1]})
    with pytest.warns(PathfinderWarning, match="metric `f` is NaN for 4 of 10 examples of split test") as caught:
        found = evaluator.at(space.vector(module))
    assert len(caught) == 1
    kept = module(x)[y != 0, 0].detach().double().numpy()
    assert found["test_f"] == pytest.approx(kept.mean(), rel=1e-6) and found["test_f_examples"] == 6
    assert found["test_f_se"] == pytest.approx(kept.std(ddof=1) / 6**0.5, rel=1e-6) and "test_g_examples" not in found
    line = Line(space.vector(module), torch.zeros(space.size))
    scores = evaluator.score(line, 3)  # says so once
    assert scores.table["test_f_examples"].tolist() == [6, 6, 6] and scores.table["test_examples"].tolist() == [10] * 3
    row = summarize({"line": scores}).set_index("metric").loc["f"]
    few = Evaluator(space, {"test": (x[y != 0], y[y != 0])}, metrics={"f": metric}).score(line, 3)
    wanted = summarize({"line": few}).set_index("metric").loc["f"]
    for quantity in ("start", "barrier", "barrier_low", "barrier_high"):
        assert row[quantity] == pytest.approx(wanted[quantity], rel=1e-5, abs=1e-6)


def test_a_loss_that_is_nan_stays_nan():
    module = nn.Linear(3, 1)
    found = scored(module, regression(), lambda o, t: squared(o, t) * torch.nan)
    assert np.isnan(found["train_loss"])


def test_training_above_constant_prediction_says_so():
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    with pytest.warns(PathfinderWarning, match=r"above the 1.099 of predicting the frequencies of the classes"):
        fit_minimum(nn.Linear(4, 3), (100 * x, y), epochs=6, batch_size=6, lr=5.0, schedule="constant")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_minimum(nn.Linear(3, 3), (F.one_hot(y, 3).float(), y), epochs=6, batch_size=6, lr=0.5)
