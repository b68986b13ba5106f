import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import NETWORKS, WITH_BATCHNORM, Bowl, Frozen, bowl_loss, data, network, plain_loss
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pathfinder import (
    Bezier,
    Evaluator,
    Line,
    PathfinderError,
    Plane,
    Split,
    Stream,
    WeightSpace,
    build_model,
)
from pathfinder.data import augment
from pathfinder.storage import StageFile

networks = pytest.mark.parametrize("name", NETWORKS)
DATA = {"train": data(50), "test": data(23, seed=1)}


def ends(name):
    space = WeightSpace(network(name))
    a = space.vector(space.network)
    return space, a, a + 0.3 * torch.randn(space.size, generator=torch.Generator().manual_seed(0))


@networks
def test_a_modules_own_weights_score_its_own_loss(name):
    module = network(name)
    space, before = WeightSpace(module), Frozen.of(module)
    size = 50 if "without-running" in name else 16  # that one's output depends on its batch
    scores = Evaluator(space, DATA, batch_norm="stored", batch_size=size).at(space.vector(module))
    before.check(module)
    for split, (x, y) in DATA.items():
        assert scores[f"{split}_loss"] == pytest.approx(plain_loss(module, x, y), rel=1e-5)


@networks
def test_a_point_scores_the_same_alone_in_any_chunk_and_in_any_order(name):
    space, a, b = ends(name)
    before = Frozen.of(space.network)
    curve, t = Bezier(a, b), torch.linspace(0, 1, 7, dtype=torch.float64)
    whole = Evaluator(space, DATA, batch_size=16).score(curve, 7)
    chunked = Evaluator(space, DATA, batch_size=16, chunk=3).score(curve, 7)
    backwards = Evaluator(space, DATA, batch_size=16, chunk=2).score(curve, t.flip(0))
    alone = Evaluator(space, DATA, batch_size=16).score(curve, t[4:5])
    before.check(space.network)
    assert whole.table.equals(chunked.table)
    assert whole.table.equals(backwards.table[::-1].reset_index(drop=True))
    assert whole.table.iloc[4:5].reset_index(drop=True).equals(alone.table)
    assert np.array_equal(whole.losses["test"], chunked.losses["test"])


@pytest.mark.parametrize("name", WITH_BATCHNORM)
def test_reestimated_statistics_follow_the_published_formula(name):
    space, a, _ = ends(name)
    x = DATA["train"][0]
    found = Evaluator(space, DATA, batch_size=16).reestimate(a)
    mean = variance = 0
    for part in x.split(16):
        hidden = space.network[1](space.network[0](part))
        mean = mean + len(part) / 50 * hidden.mean((0, 2, 3))
        variance = variance + len(part) / 50 * hidden.var((0, 2, 3), unbiased=True)
    assert torch.allclose(found, torch.cat([mean, variance]).detach(), atol=1e-6)


def test_reestimation_forgets_what_was_stored():
    space, a, _ = ends("batchnorm")
    wanted = Evaluator(space, DATA).at(a)
    broken = network("batchnorm")
    broken[2].running_mean.fill_(torch.nan)
    assert Evaluator(WeightSpace(broken), DATA).at(a) == wanted


@pytest.mark.parametrize("name", ["batchnorm", "dropout"])
def test_dropout_is_off_while_scoring_and_reestimating(name):
    space, a, _ = ends(name)
    evaluator = Evaluator(space, DATA)
    assert evaluator.at(a) == evaluator.at(a)
    seen = []
    hook = next(m for m in space.network.modules() if isinstance(m, nn.Dropout)).register_forward_hook(
        lambda layer, inputs, output: seen.append(layer.training)
    )
    evaluator.at(a)
    hook.remove()
    assert seen and not any(seen)


def test_a_lone_last_example_joins_the_batch_before():
    space, a, _ = ends("batchnorm")
    scores = Evaluator(space, {"train": data(33)}, batch_size=16).at(a)
    assert np.isfinite(scores["train_loss"])


def test_interpolated_and_stored_statistics():
    space, a, b = ends("batchnorm")
    low, high = space.statistics(space.network), 2 * space.statistics(space.network)
    mixed = Evaluator(space, DATA, batch_norm="interpolate", statistics=[low, high])
    stored = Evaluator(space, DATA, batch_norm="stored")
    for curve in (Line(a, b), Bezier(a, b)):
        table = mixed.score(curve, 3).table
        for row, (theta, own) in enumerate([(a, low), ((a + b) / 2, 1.5 * low), (b, high)]):
            wanted = stored.at(theta, own)
            assert table.loc[row, "train_loss"] == pytest.approx(wanted["train_loss"], rel=1e-5)


def test_rows_carry_the_value_of_their_own_coordinates():
    space = WeightSpace(Bowl())
    flat = Plane.around(*torch.eye(3).unbind())
    grid = flat.grid((2, 3), span=1.0)
    table = Evaluator(space, {"train": (torch.zeros(4, 1), torch.zeros(4))}, loss=bowl_loss).score(flat, grid).table
    assert len(table) == 6
    wanted = (1 + table["x"] ** 2 + table["y"] ** 2) / 2
    assert np.allclose(table["train_loss"], wanted) and np.allclose(table["norm"], np.sqrt(2 * wanted))


def test_means_and_standard_errors_have_closed_forms():
    space = WeightSpace(Bowl(1))
    heights = torch.arange(5.0)[:, None]
    line = Line(torch.tensor([-1.0]), torch.tensor([3.0]))
    scores = Evaluator(space, {"train": (heights, torch.zeros(5))}, loss=bowl_loss).score(line, 5)
    assert np.allclose(scores.table["train_loss"], np.array([1, 0, 1, 4, 9]) / 2 + 2)
    assert np.allclose(scores.table["train_loss_se"], np.std(range(5), ddof=1) / 5**0.5)
    assert scores.losses["train"].shape == (5, 5) and "train_error" not in scores.table
    assert scores.table["arc_length"].tolist() == [0, 1, 2, 3, 4] and scores.chord == 4


def test_inputs_of_several_tensors_and_losses_per_token():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(5, 4), nn.Linear(4, 3)

        def forward(self, tokens, scale):
            return {"logits": self.out(self.embed(tokens) * scale[:, None, None]), "extra": tokens}

    tokens, scale = torch.randint(5, (9, 6)), torch.rand(9)
    tags = tokens % 3
    module = Tagger()
    space = WeightSpace(module)

    def loss(output, target):
        return F.cross_entropy(output["logits"].transpose(1, 2), target, reduction="none")

    wanted = float(loss(module(tokens, scale), tags).detach().mean())
    for x in ((tokens, scale), {"tokens": tokens, "scale": scale}):
        split = Split(x, tags)
        scores = Evaluator(space, {"train": split}, loss=loss, batch_size=4).at(space.vector(module))
        assert scores["train_loss"] == pytest.approx(wanted, rel=1e-6) and "train_error" not in scores


def test_regression_with_metrics_of_ones_own():
    space, x = WeightSpace(nn.Linear(6, 1)), DATA["train"][0]
    y = x.sum(1)
    evaluator = Evaluator(
        space,
        {"train": (x, y)},
        loss=lambda out, target: (out[:, 0] - target) ** 2,
        metrics={"absolute": lambda out, target: (out[:, 0] - target).abs()},
    )
    scores = evaluator.at(torch.cat([torch.ones(6), torch.tensor([0.5])]))
    assert scores["train_loss"] == pytest.approx(0.25, rel=1e-5)
    assert scores["train_absolute"] == pytest.approx(0.5, rel=1e-5)


def test_a_fixed_subset_is_scored_and_counted():
    space, a, b = ends("batchnorm")
    table = Evaluator(space, DATA, examples=10, batch_norm_examples=30, seed=3).score(Line(a, b), 2).table
    again = Evaluator(space, DATA, examples=10, batch_norm_examples=30, seed=3).score(Line(a, b), 2).table
    other = Evaluator(space, DATA, examples=10, batch_norm_examples=30, seed=4).score(Line(a, b), 2).table
    assert table.equals(again) and not table.equals(other)
    counts = table[["train_examples", "test_examples", "batch_norm_examples"]]
    assert (counts == [10, 10, 30]).all(axis=None)


def test_a_stream_scores_as_the_same_data_in_memory():
    space, a, b = ends("batchnorm")
    x, y = DATA["train"]
    for source in (DataLoader(TensorDataset(x, y), batch_size=16), list(zip(x.split(16), y.split(16), strict=True))):
        streamed = Evaluator(space, {"train": source}, batch_size=16, chunk=2).score(Line(a, b), 3)
        wanted = Evaluator(space, {"train": (x, y)}, batch_size=16).score(Line(a, b), 3)
        assert np.allclose(streamed.table["train_loss"], wanted.table["train_loss"], rtol=1e-6)
        assert streamed.table["train_examples"].tolist() == [50] * 3
    first = Evaluator(space, {"train": Stream(source)}, examples=20).score(Line(a, b), 2).table
    assert first["train_examples"].tolist() == [20, 20]


def test_a_stream_that_changes_is_noticed():
    space, a, b = ends("mlp")
    x, y = DATA["train"]
    shuffled = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    with pytest.raises(PathfinderError, match="differs from the first pass"):
        Evaluator(space, {"train": shuffled}).score(Line(a, b), 3)
    with pytest.raises(PathfinderError, match="gave no example"):
        Evaluator(space, {"train": iter([])}).score(Line(a, b), 3)


_STREAM = """
import resource, sys, torch
from pathfinder import Evaluator, Line, WeightSpace

class Source:  # 1.2 GB in batches of 12 MB
    def __iter__(self):
        for seed in range(100):
            draw = torch.Generator().manual_seed(seed)
            x = torch.rand(3000, 1000, generator=draw)
            yield x, (x[:, 0] > 0.5).long()

space = WeightSpace(torch.nn.Linear(1000, 2))
a = space.vector(space.network)
next(iter(Source()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = Evaluator(space, {"train": Source()}, chunk=2).score(Line(a, -a), 2).table
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(int(table["train_examples"][0]), grown // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_stays_bounded_on_a_stream_larger_than_the_cap():
    # glibc's own threshold moves, and then keeps freed batches: what is measured here is what the Evaluator holds
    settings = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run([sys.executable, "-c", _STREAM], capture_output=True, text=True, check=True, env=settings)
    examples, grown = map(int, done.stdout.split())
    assert examples == 300_000
    assert grown < 150  # MiB, of a stream of 1,144


def test_interrupted_scores_go_on(tmp_path):
    space, a, b = ends("mlp")
    evaluator, line = Evaluator(space, DATA), Line(a, b)

    class Killed(Exception):
        pass

    def kill(done, total):
        if done == 4:
            raise Killed

    stage = StageFile(tmp_path / "work.pt", "key", every=0.0)
    with pytest.raises(Killed):
        evaluator.score(line, 9, progress=kill, stage=stage)
    seen = []
    again = evaluator.score(line, 9, progress=lambda done, total: seen.append(done), stage=stage)
    assert seen[0] == 3 and again.table.equals(evaluator.score(line, 9).table)
    assert np.array_equal(again.losses["train"], evaluator.score(line, 9).losses["train"])
    other = StageFile(tmp_path / "work.pt", "another key")
    assert other.load() is None


def test_bfloat16_is_near_float32():
    space, a, _ = ends("batchnorm")
    scores = [Evaluator(space, DATA, precision=precision).at(a)["train_loss"] for precision in ("fp32", "bf16")]
    assert scores[0] != scores[1] and scores[0] == pytest.approx(scores[1], rel=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_norm": "interpolate"}, "needs statistics="),
        ({"data": {"test": DATA["test"]}}, "needs the split `train`, got test"),
        ({"data": {}}, "at least one split"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        ({"examples": 0}, "must be 1 or more, got 0"),
        ({"device": "cpuu"}, "unknown device `cpuu`; did you mean `cpu`"),
        ({"precision": "fp16"}, "unknown precision `fp16`"),
        ({"loss": lambda output, target: output.mean()}, r"a value per example, shape \(50, ...\), got \(\)"),
    ],
)
def test_mistakes_are_named(options, words):
    space, a, b = ends("batchnorm")
    with pytest.raises(PathfinderError, match=words):
        Evaluator(space, options.pop("data", DATA), **options).score(Line(a, b), 2)


def test_an_unknown_policy_is_named(without_shapes):
    with pytest.raises(PathfinderError, match="unknown batch_norm `reestimat`; did you mean `reestimate`"):
        Evaluator(ends("batchnorm")[0], DATA, batch_norm="reestimat")


def test_labels_beyond_the_networks_classes_are_named():
    space, a, _ = ends("mlp")
    with pytest.raises(PathfinderError, match="labels must be 0 to 2 for this network, got 7"):
        Evaluator(space, {"train": (torch.randn(4, 6), torch.tensor([0, 1, 7, 2]))}).at(a)


@pytest.mark.filterwarnings("ignore::pathfinder.errors.PathfinderWarning")
def test_augmented_inputs_re_estimate_what_a_network_trained_on_them_saw():
    x = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)
    split = Split(x, torch.arange(64) % 3, 3, torch.tensor([0.5]), torch.tensor([0.3])).augmented(crop=3, flip=True)
    module = build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8), num_classes=3, seed=0)
    space = WeightSpace(module)
    theta = space.vector(module)
    found = {
        kind: Evaluator(space, {"train": split}, batch_norm=kind, seed=2).reestimate(theta)
        for kind in ("reestimate", "augmented")
    }
    moves = augment.draw_moves(np.random.default_rng(3), 64, 3, True)
    plain = Split(augment.apply_moves(x, moves, 3), split.y, 3, split.mean, split.std)
    wanted = Evaluator(space, {"train": plain}).reestimate(theta)
    assert torch.equal(found["augmented"], wanted) and not torch.allclose(found["reestimate"], wanted, atol=1e-2)
    default = Evaluator(space, {"train": split}, seed=2)
    assert torch.equal(default.reestimate(theta), wanted) and default.statistics_from == "training"
