import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import NETWORKS, Frozen, data, network
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pathfinder import (
    Bezier,
    Evaluator,
    Line,
    PathfinderError,
    PolyChain,
    Split,
    WeightSpace,
    build_model,
    fit_curve,
    fit_minimum,
)
from pathfinder.storage import StageFile
from pathfinder.training.loop import DivergedError
from pathfinder.training.recipe import Recipe

EPOCHS, BATCH, LR, DECAY = 4, 16, 0.05, 1e-3
X, Y = data(50)
STEPS = 4  # batches of 16, 16, 16 and 2

OPTIMIZERS = {
    "sgd": ({"momentum": 0.0}, lambda p, wd: torch.optim.SGD(p, lr=LR, weight_decay=wd)),
    "sgd-momentum": ({"momentum": 0.9}, lambda p, wd: torch.optim.SGD(p, lr=LR, weight_decay=wd, momentum=0.9)),
    "sgd-nesterov": (
        {"momentum": 0.9, "nesterov": True},
        lambda p, wd: torch.optim.SGD(p, lr=LR, weight_decay=wd, momentum=0.9, nesterov=True),
    ),
    "adam": ({"optimizer": "adam"}, lambda p, wd: torch.optim.Adam(p, lr=LR, weight_decay=wd)),
    "adamw": ({"optimizer": "adamw"}, lambda p, wd: torch.optim.AdamW(p, lr=LR, weight_decay=wd)),
}


def _garipov(epoch):
    alpha = (epoch + 1) / EPOCHS
    return 1.0 if alpha <= 0.5 else 1.0 - (alpha - 0.5) / 0.4 * 0.99 if alpha <= 0.9 else 0.01


# torch's own schedulers, and how often each is stepped
SCHEDULES = {
    "constant": (lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0), "epoch"),
    "step": (lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [EPOCHS // 2, EPOCHS * 3 // 4]), "epoch"),
    "li": (lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 3, math.ceil(EPOCHS * 11 / 12)]), "epoch"),
    "cosine": (lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, EPOCHS * STEPS), "step"),
    "onecycle": (
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, LR, total_steps=EPOCHS * STEPS, cycle_momentum=False),
        "step",
    ),
    "garipov": (lambda o: torch.optim.lr_scheduler.LambdaLR(o, _garipov), "epoch"),
}
combinations = pytest.mark.parametrize("schedule", SCHEDULES)
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS)


def orders(seed):
    """The order of examples and the t of each batch in each epoch, from (seed, epoch) as documented."""
    for epoch in range(EPOCHS):
        rng = np.random.default_rng([seed, epoch])
        rng.integers(2**62, size=STEPS)  # the seeds of what the module draws
        times = rng.random(STEPS)
        yield torch.from_numpy(rng.permutation(50)).split(BATCH), times


@combinations
@optimizers
def test_a_minimum_equals_a_hand_written_loop(optimizer, schedule):
    options, make = OPTIMIZERS[optimizer]
    module, twin = network("batchnorm").eval(), network("batchnorm").train()
    next(m for m in twin.modules() if isinstance(m, nn.Dropout)).p = 0.0
    next(m for m in module.modules() if isinstance(m, nn.Dropout)).p = 0.0
    recipe = {"epochs": EPOCHS, "batch_size": BATCH, "lr": LR, "weight_decay": DECAY, "schedule": schedule, "seed": 3}
    history = fit_minimum(module, (X, Y), **recipe, **options)

    by_hand, losses = make(twin.parameters(), DECAY), []
    scheduler, when = SCHEDULES[schedule][0](by_hand), SCHEDULES[schedule][1]
    for batches, _ in orders(seed=3):
        total = 0.0
        for index in batches:
            by_hand.zero_grad()
            loss = F.cross_entropy(twin(X[index]), Y[index])
            loss.backward()
            by_hand.step()
            total += loss.item() * len(index)
            scheduler.step() if when == "step" else None
        losses.append(total / 50)
        scheduler.step() if when == "epoch" else None
    for name, tensor in twin.state_dict().items():
        assert torch.allclose(module.state_dict()[name], tensor, atol=1e-6), name
    assert np.allclose(history["train_loss"], losses, atol=1e-6)
    assert not module.training


@combinations
@optimizers
def test_a_curve_equals_a_hand_written_loop(optimizer, schedule):
    options, make = OPTIMIZERS[optimizer]
    space = WeightSpace(network("mlp"))
    a = space.vector(space.network)
    b = a.flip(0)
    curve = Bezier(a, b)
    recipe = {"epochs": EPOCHS, "batch_size": BATCH, "lr": LR, "weight_decay": DECAY, "schedule": schedule, "seed": 5}
    fit_curve(curve, space, (X, Y), t="uniform", **recipe, **options)

    bend = ((a + b) / 2).requires_grad_()
    by_hand = make([bend], 0.0)
    scheduler, when = SCHEDULES[schedule][0](by_hand), SCHEDULES[schedule][1]
    for batches, times in orders(seed=5):
        for index, t in zip(batches, times, strict=True):
            by_hand.zero_grad()
            theta = (1 - t) ** 2 * a + 2 * t * (1 - t) * bend + t**2 * b
            loss = F.cross_entropy(space.call(theta, X[index]), Y[index]) + DECAY / 2 * theta.square().sum()
            loss.backward()
            by_hand.step()
            scheduler.step() if when == "step" else None
        scheduler.step() if when == "epoch" else None
    assert torch.allclose(curve.bends[0], bend, atol=1e-6)
    assert torch.equal(curve.start, a) and torch.equal(curve.end, b)


def test_garipovs_schedule_over_ten_epochs():
    factors = [Recipe(epochs=10, lr=1.0, schedule="garipov").learning_rate(epoch, 1) for epoch in range(10)]
    assert factors == pytest.approx([1, 1, 1, 1, 1, 0.7525, 0.505, 0.2575, 0.01, 0.01])


@pytest.mark.parametrize("name", NETWORKS)
def test_curves_of_awkward_networks_train_and_leave_the_module_alone(name):
    module = network(name)
    space, before = WeightSpace(module), Frozen.of(module)
    a = space.vector(module)
    curve = PolyChain(a, a + 0.1 * torch.randn(space.size), bends=2)
    start = curve.bends.detach().clone()
    history = fit_curve(curve, space, (X, Y), epochs=2, lr=0.01, batch_size=16)
    before.check(module)
    assert list(history["epoch"]) == [1, 2] and np.isfinite(history["train_loss"]).all()
    assert not torch.equal(curve.bends, start) and curve.bends.isfinite().all()


def test_a_curve_lowers_the_barrier():
    modules = [network("mlp", seed) for seed in (0, 1)]
    x, y = data(400)
    for seed, module in enumerate(modules):
        fit_minimum(module, (x, y), epochs=30, lr=0.3, batch_size=32, seed=seed)
    space = WeightSpace(modules[0])
    a, b = (space.vector(module) for module in modules)
    curve = Bezier(a, b)
    fit_curve(curve, space, (x, y), epochs=30, lr=0.3, batch_size=32)
    evaluator = Evaluator(space, {"train": (x, y)})
    line, bent = (evaluator.score(path, 21).table["train_loss"].max() for path in (Line(a, b), curve))
    assert bent < 0.7 * line


def test_zero_epochs_leave_the_straight_line():
    space = WeightSpace(network("mlp"))
    a, b = torch.randn(2, space.size)
    curve = Bezier(a, b)
    history = fit_curve(curve, space, (X, Y), epochs=0)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    assert len(history) == 0 and torch.allclose(curve(t), Line(a, b)(t), atol=1e-6)


def test_free_ends_move_too():
    space = WeightSpace(network("mlp"))
    a, b = torch.randn(2, space.size)
    curve = Bezier(a, b, fixed_ends=False)
    fit_curve(curve, space, (X, Y), epochs=1, batch_size=16)
    assert not torch.equal(curve.start, a) and not torch.equal(curve.end, b)


@pytest.mark.filterwarnings("ignore:training ended at a loss of")  # the line does not move
def test_beta_draws_look_at_the_middle_more():
    seen = {}

    class Spy(Line):
        def backward(self, t, gradient):
            seen[kind].append(float(t))

    space = WeightSpace(network("mlp"))
    for kind in ("uniform", "beta", "stratified"):
        seen[kind] = []
        spy = Spy(*torch.randn(2, space.size), fixed_ends=False)
        fit_curve(spy, space, (X, Y), epochs=100, batch_size=16, t=kind, optimizer="sgd")
    assert np.var(seen["uniform"]) == pytest.approx(1 / 12, rel=0.15)
    assert np.var(seen["beta"]) == pytest.approx(1 / 20, rel=0.15)
    steps = len(seen["stratified"]) // 100
    epochs = np.floor(np.array(seen["stratified"]).reshape(100, steps) * steps)
    assert (np.sort(epochs, 1) == np.arange(steps)).all() and len(np.unique(epochs, axis=0)) > 20


def test_the_global_generator_is_neither_used_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = network("dropout"), network("dropout")
    fit_minimum(first, (X, Y), epochs=2, batch_size=16)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    fit_minimum(second, (X, Y), epochs=2, batch_size=16)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("at", [1, 5, 11, 16])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_interrupted_fit_goes_on_bit_for_bit(at, optimizer, tmp_path):
    class Killed(Exception):
        pass

    def kill(done, total):
        if done == at:
            raise Killed

    def build(seed):
        return build_model("preresnet", depth=11, input_shape=(1, 8, 8), num_classes=3, dropout=0.2, seed=seed)

    images = Split(torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8), Y, 3, *torch.full((2, 1), 0.4))
    recipe = {"epochs": 4, "batch_size": 16, "micro_batch_size": 7, "label_smoothing": 0.1, "seed": 1}

    def fit(module, progress=lambda done, total: None, stage=None):
        data = images.augmented(crop=2, flip=True)
        return fit_minimum(
            module, data, optimizer=optimizer, precision="bf16", progress=progress, stage=stage, **recipe
        )

    straight = build(0)
    wanted = fit(straight)
    stage = StageFile(tmp_path / "fit.pt", "key", every=0.0)
    with pytest.raises(Killed):
        fit(build(0), kill, stage)
    resumed, seen = build(9), []
    history = fit(resumed, lambda done, total: seen.append(done), stage)
    assert seen[0] == at - 1 and history.equals(wanted)
    assert all(torch.equal(t, straight.state_dict()[n]) for n, t in resumed.state_dict().items())
    assert fit(build(0), stage=stage).equals(wanted)  # a finished fit is read, not done again


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_micro_batches_make_the_same_step_up_to_rounding(optimizer):
    recipe = {"epochs": 3, "batch_size": 50, "lr": 0.01, "optimizer": optimizer}
    modules, start = [network("groupnorm") for _ in range(2)], network("groupnorm")
    for module in modules:
        module[4].p = 0.0  # Dropout draws again for each micro-batch
    histories = [fit_minimum(m, (X, Y), micro_batch_size=s, **recipe) for m, s in zip(modules, (None, 16), strict=True)]
    for p, q, before in zip(*(m.parameters() for m in (*modules, start)), strict=True):
        assert torch.allclose(p, q, atol=1e-5) and not torch.allclose(p, before, atol=1e-4)
    assert np.allclose(histories[0], histories[1], rtol=1e-5)

    space = WeightSpace(network("mlp"))
    a, b = (space.vector(network("mlp", seed)) for seed in (0, 1))
    curves = [Bezier(a, b) for _ in range(2)]
    for curve, size in zip(curves, (None, 7), strict=True):
        fit_curve(curve, space, (X, Y), epochs=3, batch_size=30, micro_batch_size=size, weight_decay=0.1)
    assert torch.allclose(curves[0].bends, curves[1].bends, atol=1e-5)


def test_batch_norm_sees_each_micro_batch_alone():
    modules = [network("batchnorm") for _ in range(2)]
    for module, size in zip(modules, (None, 16), strict=True):
        fit_minimum(module, (X, Y), epochs=2, batch_size=50, micro_batch_size=size, lr=0.1, schedule="constant")
    assert not torch.allclose(modules[0][1].weight, modules[1][1].weight, atol=1e-6)


def test_label_smoothing_is_stepped_down_and_the_history_shows_the_loss_without_it():
    modules = [network("mlp") for _ in range(2)]
    history = fit_minimum(modules[0], (X, Y), epochs=2, batch_size=50, lr=0.1, schedule="constant", label_smoothing=0.2)
    optimizer = torch.optim.SGD(modules[1].parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    seen = []
    for _ in range(2):
        optimizer.zero_grad()
        output = modules[1](X)
        seen.append(float(F.cross_entropy(output, Y).detach()))
        F.cross_entropy(output, Y, label_smoothing=0.2).backward()
        optimizer.step()
    assert all(torch.allclose(p, q, atol=1e-6) for p, q in zip(*(m.parameters() for m in modules), strict=True))
    assert history["train_loss"].tolist() == pytest.approx(seen, rel=1e-5)
    with pytest.raises(PathfinderError, match="label_smoothing belongs to the cross-entropy"):
        fit_minimum(modules[0], (X, Y), loss=lambda output, target: output.sum(1), label_smoothing=0.1)


def test_checkpoints_are_offered_from_the_start_to_the_end_and_again_after_a_kill(tmp_path):
    module, seen = network("mlp"), {}
    fit_minimum(module, (X, Y), epochs=3, checkpoint=lambda epoch: seen.update({epoch: module[0].weight.clone()}))
    assert list(seen) == [0, 1, 2, 3]
    assert torch.equal(seen[0], network("mlp")[0].weight) and torch.equal(seen[3], module[0].weight)

    class Killed(Exception):
        pass

    def kill(epoch):
        again.append(epoch)
        if epoch == 2 and again.count(2) == 1:
            raise Killed

    again, stage = [], StageFile(tmp_path / "fit.pt", "key", every=0.0)
    with pytest.raises(Killed):
        fit_minimum(network("mlp"), (X, Y), epochs=3, checkpoint=kill, stage=stage)
    fit_minimum(network("mlp"), (X, Y), epochs=3, checkpoint=kill, stage=stage)
    assert again == [0, 1, 2, 2, 3]


def test_bfloat16_trains_to_what_float32_does():
    losses = {}
    for precision in ("fp32", "bf16"):
        module = network("batchnorm")
        history = fit_minimum(module, (X, Y), epochs=10, batch_size=16, lr=0.05, precision=precision)
        losses[precision] = history["train_loss"].iloc[-1]
        assert all(parameter.dtype == torch.float32 for parameter in module.parameters())
    assert losses["fp32"] != losses["bf16"] and losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_divergence_stops_at_its_step_with_the_last_good_weights():
    calls = []

    def loss(output, target):
        calls.append(1)
        return F.cross_entropy(output, target, reduction="none") * (math.nan if len(calls) == 14 else 1.0)

    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 10:
            raise Stop

    module, twin = network("mlp"), network("mlp")
    with pytest.raises(DivergedError, match=r"the loss is nan at step 14; lower the learning rate, 0.05"):
        fit_minimum(module, (X, Y), loss=loss, epochs=6, batch_size=16, lr=0.05)
    with pytest.raises(Stop):  # the losses were looked at in step 11, before its update
        fit_minimum(twin, (X, Y), epochs=6, batch_size=16, lr=0.05, progress=stop)
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), twin.parameters(), strict=True))


def test_a_learning_rate_that_explodes_is_divergence():
    module = network("mlp")
    with pytest.raises(DivergedError, match="the loss is (inf|nan) at step"):
        fit_minimum(module, (X, Y), epochs=50, lr=1e9, schedule="constant")
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_a_last_step_that_explodes_is_divergence_too():
    module = network("mlp")
    with pytest.raises(DivergedError, match="weights are not finite at step 1"):
        fit_minimum(module, (X, Y), epochs=1, batch_size=50, lr=1e38, schedule="constant", weight_decay=1e3)
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_a_shuffling_loader_is_drawn_by_the_seed():
    fitted = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module = network("mlp")
        loader = DataLoader(TensorDataset(X, Y), batch_size=16, shuffle=True)
        fit_minimum(module, loader, epochs=2, seed=0)
        fitted.append(module[0].weight)
    assert torch.equal(*fitted)


def test_history_is_a_table_with_what_the_monitor_adds():
    history = fit_minimum(network("mlp"), (X, Y), epochs=3, batch_size=16, monitor=lambda: {"test_loss": 1.5})
    assert list(history) == ["epoch", "step", "lr", "train_loss", "train_error", "norm", "test_loss"]
    assert history["step"].tolist() == [4, 8, 12] and history["test_loss"].tolist() == [1.5] * 3
    assert history["train_loss"].is_monotonic_decreasing


def test_regression_fits_with_a_loss_of_ones_own():
    module, x = nn.Linear(6, 1), X
    y = x.sum(1)
    history = fit_minimum(
        module,
        Split(x, y),
        loss=lambda out, t: (out[:, 0] - t) ** 2,
        epochs=200,
        lr=0.1,
        batch_size=50,
        weight_decay=0.0,
    )
    assert torch.allclose(module.weight, torch.ones(1, 6), atol=1e-2) and "train_error" not in history


def test_a_loader_of_batches_is_fitted_in_its_own_order():
    batches = list(zip(X.split(16), Y.split(16), strict=True))
    module, twin = network("mlp"), network("mlp")
    fit_minimum(module, batches, epochs=2, lr=0.1, schedule="constant")
    by_hand = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(2):
        for x, y in batches:
            by_hand.zero_grad()
            F.cross_entropy(twin(x), y).backward()
            by_hand.step()
    assert all(torch.allclose(p, q, atol=1e-6) for p, q in zip(module.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"epochs": -1}, "`epochs` should be greater than or equal to 0, got -1"),
        ({"lr": 0.0}, "`lr` should be greater than 0, got 0.0"),
        ({"epoch": 3}, "unknown key `epoch`; did you mean `epochs`"),
        ({"optimizer": "sdg"}, "unknown optimizer `sdg`; did you mean `sgd`"),
        ({"schedule": "cosin"}, "unknown schedule `cosin`; did you mean `cosine`"),
        ({"batch_size": 0}, "`batch_size` should be greater than or equal to 1, got 0"),
        ({"momentum": 1.5}, "`momentum` should be less than 1, got 1.5"),
        ({"t": "beta"}, "unknown key `t`"),
    ],
)
def test_wrong_recipes_are_named(recipe, words):
    with pytest.raises(PathfinderError, match=words):
        fit_minimum(network("mlp"), (X, Y), **recipe)


def test_a_curve_without_bends_has_nothing_to_train():
    space = WeightSpace(network("mlp"))
    with pytest.raises(PathfinderError, match="nothing to train: bends is 0"):
        fit_curve(Bezier(*torch.randn(2, space.size), bends=0), space, (X, Y))


def test_kept_training_survives_a_monitor_that_gives_numpy_numbers(tmp_path):
    stage = StageFile(tmp_path / "kept.pt", "key")
    history = fit_minimum(nn.Linear(6, 3), (X, Y), epochs=2, stage=stage, monitor=lambda: {"f1": np.float32(0.5)})
    assert history["f1"].tolist() == [0.5, 0.5] and stage.load() is not None


def noisy_loader():
    """A loader that shuffles, and whose examples are augmented at random when they are read."""
    from torch.utils.data import Dataset

    class Noisy(Dataset):
        def __len__(self):
            return len(X)

        def __getitem__(self, i):
            return X[i] + 0.1 * torch.randn(X.shape[1:], dtype=X.dtype), Y[i]

    return DataLoader(Noisy(), batch_size=BATCH, shuffle=True)


class Killed(Exception):
    pass


def test_a_fit_on_an_augmenting_loader_goes_on_bit_for_bit(tmp_path):
    def fit(stage=None, progress=lambda done, total: None):
        module = network("mlp")
        fit_minimum(module, noisy_loader(), epochs=2, seed=3, stage=stage, progress=progress)
        return WeightSpace(module).vector(module)

    def kill(done, total):
        if done == STEPS + 2:
            raise Killed

    whole, stage = fit(), StageFile(tmp_path / "kept.pt", "key", every=0.0)
    with pytest.raises(Killed):
        fit(stage, kill)
    assert stage.load()["done"] > STEPS
    assert torch.equal(fit(stage), whole)


@pytest.mark.parametrize(("told", "words"), [(3, "more batches"), (5, "4 batches"), (None, "must have a length")])
def test_a_stream_of_another_length_than_it_says_is_refused(told, words):
    class Batches:
        def __iter__(self):
            return iter([(X[i : i + BATCH], Y[i : i + BATCH]) for i in range(0, len(X), BATCH)])

        def __len__(self):
            return len(told) if told is None else told

    with pytest.raises(PathfinderError, match=words):
        fit_minimum(network("mlp"), Batches(), epochs=1)


def test_batches_of_the_user_stay_as_they_are():
    class InPlace(nn.Sequential):
        def forward(self, x):
            return super().forward(x.sub_(0.5))

    batches = [(X.clone(), Y)]
    fit_minimum(InPlace(nn.Linear(6, 3)), batches, epochs=2)
    assert torch.equal(batches[0][0], X)
