"""Misuse from Python: each call ends in one line that says what was needed, or gives what the plain call gives."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import data, network
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pathfinder import (
    Bezier,
    Evaluator,
    Hessian,
    Line,
    PathfinderError,
    Ray,
    Split,
    Stream,
    Structure,
    WeightSpace,
    build_model,
    fit_curve,
    fit_minimum,
    load_data,
    match_activations,
    match_weights,
    principal_directions,
    random_directions,
    summarize,
)

pytestmark = pytest.mark.usefixtures("without_shapes")

X, Y = data()
PAIR = (X, Y)
SPACE = WeightSpace(network("mlp", 0))
A, B = SPACE.vector(network("mlp", 0)), SPACE.vector(network("mlp", 1))
LINE = Line(A, B)
NORMED = WeightSpace(network("batchnorm", 0))
TWO = Y.remainder(2)


def scored(split, points=3, **settings):
    return Evaluator(SPACE, {"train": split}, **settings).score(LINE, points).table


def evaluated(**settings):
    return Evaluator(SPACE, {"train": PAIR}, **settings)


def fitted(split, **settings):
    module = network("mlp", 0)
    fit_minimum(module, split, **{"epochs": 1, "batch_size": 25, **settings})
    return SPACE.vector(module)


def connected(split=PAIR, curve=None, space=SPACE, **settings):
    curve = Bezier(A, B) if curve is None else curve
    fit_curve(curve, space, split, **{"epochs": 1, "batch_size": 25, **settings})
    return curve.bends.detach()


def raising(output, target):
    return {}[3]


def plain(output, target):
    return F.cross_entropy(output, target, reduction="none")


def numpy_of(x, y):
    return x.numpy(), y.numpy()


BATCHES = [(X[:25], Y[:25]), (X[25:], Y[25:])]
NAN = torch.where(torch.arange(len(A)) == 3, math.nan, A)

REFUSED = {
    # data
    "a pair of lists": (lambda: scored((X.tolist(), Y.tolist())), "x and y must be tensors or NumPy arrays, got list"),
    "labels as a list": (lambda: scored((X, Y.tolist())), "must be tensors or NumPy arrays, got Tensor and list"),
    "a batch of single numbers": (lambda: scored((X, 3)), "must be tensors or NumPy arrays, got Tensor and int"),
    "text for inputs": (lambda: scored(("inputs", Y)), "must be tensors or NumPy arrays, got str and Tensor"),
    "inputs alone": (
        lambda: scored(X),
        "must be a pair (x, y) of tensors, a Split, or batches of such, got Tensor",
    ),
    "text for data": (lambda: scored("digits"), "or batches of such, got str"),
    "a number for data": (lambda: scored(7), "or batches of such, got int"),
    "nothing for data": (lambda: fitted(None), "or batches of such, got NoneType"),
    "three tensors": (lambda: scored((X, Y, Y)), "each batch of a stream must be a pair (inputs, targets), got Tensor"),
    "a TensorDataset of three": (lambda: scored(TensorDataset(X, Y, Y)), "got a TensorDataset of 3; pass two"),
    "a TensorDataset of one": (lambda: scored(TensorDataset(X)), "got a TensorDataset of 1; pass two"),
    "a loader of three": (lambda: scored(DataLoader(TensorDataset(X, Y, Y), 25)), "(inputs, targets), got 3 parts"),
    "a loader of one": (lambda: fitted(DataLoader(TensorDataset(X), 25)), "(inputs, targets), got 1 parts"),
    "batches by name": (lambda: scored([{"x": X, "y": Y}]), "(inputs, targets), got dict"),
    "a set of single examples": (
        lambda: scored([(x, int(y)) for x, y in zip(X, Y, strict=True)]),
        "must hold tensors of as many inputs as targets, got Tensor (6,) and int; of single examples make batches",
    ),
    "a batch of other lengths": (lambda: scored([(X, Y[:9])]), "as many inputs as targets, got Tensor (50, 6)"),
    "splits to a fit": (lambda: fitted({"test": PAIR, "train": PAIR}), 'dict of `test`, `train`; pass data["train"]'),
    "splits to a curve's fit": (lambda: connected({"train": PAIR}), 'pass data["train"]'),
    "splits to a Hessian": (lambda: Hessian(SPACE, A, {"test": PAIR}), 'pass data["test"]'),
    "a pair to the Evaluator": (lambda: Evaluator(SPACE, PAIR), 'splits by name, got tuple; pass {"train": (x, y)}'),
    "a loader to the Evaluator": (lambda: Evaluator(SPACE, DataLoader(TensorDataset(X, Y))), "got DataLoader; pass"),
    "a split of no name": (lambda: Evaluator(SPACE, {0: PAIR}), 'must have a name, such as "train", got 0'),
    "a split that is none": (lambda: Evaluator(SPACE, {"train": None}), "or batches of such, got NoneType"),
    "no examples": (lambda: scored((X[:0], Y[:0])), "the split has 0 examples"),
    "x and y of other lengths": (lambda: scored((X, Y[:40])), "the same length, got 50 and 40"),
    "NaN among inputs": (lambda: scored((X / 0 * 0, Y)), "x holds NaN or infinity, first in example 0"),
    "arrays of text": (lambda: scored((np.array(["a"] * 50), Y)), "hold numbers that torch has, got <U1"),
    "arrays of objects": (lambda: scored((np.array([None] * 50), Y)), "hold numbers that torch has, got object"),
    "a Split of lists": (lambda: scored(Split(X.tolist(), Y)), "x must be tensors or NumPy arrays, a row per example"),
    "a Split without targets": (lambda: scored(Split(X, None)), "y must be tensors or NumPy arrays"),
    "inputs of another precision": (lambda: scored((X.double(), Y)), "on inputs of torch.float64, its weights are"),
    "training on another precision": (lambda: fitted((X.double(), Y)), "convert x with .to(torch.float32)"),
    "a stream of a number": (lambda: Stream(3), "or batches of such, got int"),
    # labels
    "float labels": (
        lambda: scored((X, Y.float())),
        "whole-number labels, got torch.float32 of shape (50,);",
    ),
    "labels of one column": (
        lambda: scored((X, Y[:, None])),
        "got torch.int64 of shape (50, 1); convert them, or",
    ),
    "float labels in a fit": (
        lambda: fitted((X, Y.float())),
        "no class labels, pass a loss: ",
    ),
    "float labels under a Hessian": (lambda: Hessian(SPACE, A, (X, Y.float())).trace(2), "got torch.float32"),
    "complex labels": (lambda: scored((X, Y.to(torch.complex64))), "got torch.complex64"),
    # score
    "a float number of points": (lambda: scored(PAIR, 61.0), "points must be a whole number, got 61.0"),
    "a half number of points": (lambda: scored(PAIR, 1.5), "points must be a whole number, got 1.5"),
    "a truth for points": (lambda: scored(PAIR, True), "points must be a whole number, got True"),
    "text for points": (lambda: scored(PAIR, "61"), "points must be a whole number, got '61'"),
    "nothing for points": (lambda: scored(PAIR, None), "points must be a whole number, got None"),
    "one point": (lambda: scored(PAIR, 1), "points must be 2 or more, got 1; give the coordinates of a single"),
    "NaN for a coordinate": (lambda: scored(PAIR, torch.tensor([0.0, math.nan])), "coordinates must be finite"),
    "infinity in a list": (lambda: scored(PAIR, [0.0, math.inf]), "coordinates must be finite"),
    "a list of text": (lambda: scored(PAIR, ["0.5"]), "a whole number, or real coordinates, got list"),
    "a ragged list": (lambda: scored(PAIR, [[0.0], [0.1, 0.2]]), "a whole number, or coordinates, got list"),
    "a tensor of one number": (lambda: scored(PAIR, torch.tensor(0.5)), "coordinates must be t for each point, got ()"),
    "coordinates of a plane": (lambda: scored(PAIR, [[0.0, 0.5]]), "coordinates must be t for each point, got (1, 2)"),
    "complex coordinates": (lambda: scored(PAIR, torch.zeros(2, dtype=torch.complex64)), "must be real numbers"),
    "no coordinates": (lambda: scored(PAIR, []), "coordinates must be t for each point, got (0,)"),
    "weights for a geometry": (lambda: evaluated().score(A, 3), "geometry must be a Geometry, got Tensor"),
    "a curve of another network": (
        lambda: evaluated().score(Line(A[:5], B[:5]), 3),
        f"the line must have {len(A)} weights, got 5",
    ),
    "a module for theta": (lambda: evaluated().at(network("mlp")), "theta must be a tensor of weights, got Sequential"),
    "theta as a row": (lambda: evaluated().at(A[None]), f"theta must be a vector (weights,), got (1, {len(A)})"),
    "theta too short": (lambda: evaluated().at(A[:5]), f"theta must have shape ({len(A)},), got (5,)"),
    "whole numbers for theta": (lambda: evaluated().at(A.long()), "real floating-point weights, got torch.int64"),
    "NaN in theta": (lambda: evaluated().at(NAN), "theta holds NaN or infinity"),
    "statistics too long": (lambda: evaluated().at(A, torch.ones(3)), "must be a tensor of shape (0,), got shape (3,)"),
    # Evaluator
    "a module for a space": (lambda: Evaluator(network("mlp"), {"train": PAIR}), "make one with WeightSpace(module)"),
    "batch_size of 0": (lambda: evaluated(batch_size=0), "batch_size must be 1 or more, got 0"),
    "batch_size of -1": (lambda: evaluated(batch_size=-1), "batch_size must be 1 or more, got -1"),
    "batch_size of 1.5": (lambda: evaluated(batch_size=1.5), "batch_size must be a whole number, got 1.5"),
    "batch_size of text": (lambda: evaluated(batch_size="3"), "batch_size must be a whole number, got '3'"),
    "batch_size of truth": (lambda: evaluated(batch_size=True), "batch_size must be a whole number, got True"),
    "no batch_size": (lambda: evaluated(batch_size=None), "batch_size must be a whole number, got None"),
    "examples of 0": (lambda: evaluated(examples=0), "examples must be 1 or more, got 0"),
    "examples of 1.5": (lambda: evaluated(examples=1.5), "examples must be a whole number, got 1.5"),
    "batch_norm_examples of -1": (lambda: evaluated(batch_norm_examples=-1), "must be 1 or more, got -1"),
    "a negative seed": (lambda: evaluated(seed=-1), "seed must be 0 or more, got -1"),
    "a seed of text": (lambda: evaluated(seed="3"), "seed must be a whole number, got '3'"),
    "no seed": (lambda: evaluated(seed=None), "seed must be a whole number, got None"),
    "a chunk of 0": (lambda: evaluated(chunk=0), "chunk must be 1 or more, got 0"),
    "a chunk of a float": (lambda: evaluated(chunk=2.0), "chunk must be a whole number, got 2.0"),
    "a chunk of truth": (lambda: evaluated(chunk=True), "chunk must be a whole number, got True"),
    "a loss by name": (lambda: evaluated(loss="mse"), "loss must be a function, got 'mse'"),
    "metrics in a list": (lambda: evaluated(metrics=[plain]), "metrics must be functions by name, got list"),
    "one metric": (lambda: evaluated(metrics=plain), "metrics must be functions by name, got function"),
    "a metric by name": (lambda: evaluated(metrics={"top5": "top5"}), "metric `top5` must be a function, got 'top5'"),
    "a metric of nothing": (lambda: evaluated(metrics={"top5": None}), "metric `top5` must be a function, got None"),
    "a metric called loss": (lambda: evaluated(metrics={"loss": plain}), "a name other than `loss`"),
    "a loss that is a number": (lambda: scored(PAIR, loss=lambda o, t: 3.0), "return a tensor, a value per example"),
    "a mean for a loss": (lambda: scored(PAIR, loss=F.cross_entropy), "shape (50, ...), got ()"),
    "a loss too short": (lambda: scored(PAIR, loss=lambda o, t: plain(o, t)[1:]), "shape (50, ...), got (49,)"),
    "a loss that raises": (lambda: scored(PAIR, loss=raising), "loss failed: KeyError: 3 ("),
    "a metric that raises": (lambda: scored(PAIR, metrics={"own": raising}), "metric `own` failed: KeyError: 3 ("),
    "another policy": (lambda: evaluated(batch_norm="clean"), "unknown batch_norm `clean`"),
    "another precision": (lambda: evaluated(precision="fp16"), "unknown precision `fp16`"),
    "another precision in a fit": (lambda: fitted(PAIR, precision=16), "unknown precision `16`"),
    "another device": (lambda: evaluated(device="gpu"), "unknown device `gpu`"),
    "no device": (lambda: fitted(PAIR, device=None), "unknown device `None`"),
    "repair of truth": (lambda: evaluated(repair=True), "repair must be a Repair, got True"),
    "statistics of the wrong length": (
        lambda: Evaluator(NORMED, {"train": PAIR}, batch_norm="interpolate", statistics=[torch.ones(3)] * 2),
        "each of the statistics must be a tensor of shape (8,), got shape (3,)",
    ),
    "statistics as one tensor": (
        lambda: Evaluator(NORMED, {"train": PAIR}, batch_norm="interpolate", statistics=torch.ones(2, 8)),
        "statistics must be a list, [those at a, those at b], got Tensor",
    ),
    # fits
    "weights for a module": (lambda: fit_minimum(A, PAIR), "must be a torch.nn.Module, got Tensor"),
    "weights for a curve": (lambda: connected(curve=A), "curve must be a Curve, got Tensor"),
    "a module for a curve's space": (lambda: connected(space=network("mlp")), "space must be a WeightSpace, got Seq"),
    "a curve of another network to fit": (lambda: connected(curve=Bezier(A[:4], B[:4])), "weights, got 4"),
    "a monitor that is a number": (lambda: fitted(PAIR, monitor=3), "monitor must be a function, got 3"),
    "a loss that raises in a fit": (lambda: fitted(PAIR, loss=raising), "loss failed: KeyError: 3 ("),
    "a loss that raises on a curve": (lambda: connected(loss=raising), "loss failed: KeyError: 3 ("),
    "a loss by name in a fit": (lambda: fitted(PAIR, loss="mse"), "loss must be a function, got 'mse'"),
    "half an epoch": (lambda: fitted(PAIR, epochs=0.5), "`epochs` should be a whole number"),
    # Hessian
    "a row for theta": (lambda: Hessian(SPACE, A[None], PAIR), "theta must be a vector (weights,)"),
    "NaN for theta": (lambda: Hessian(SPACE, NAN, PAIR), "theta holds NaN or infinity"),
    "a module under a Hessian": (lambda: Hessian(network("mlp"), A, PAIR), "space must be a WeightSpace"),
    "a short vector": (lambda: Hessian(SPACE, A, PAIR).product(A[1:]), f"tensor of shape ({len(A)},), got"),
    "a tolerance of text": (lambda: Hessian(SPACE, A, PAIR).extremes("1e-3"), "tolerance must be a number, got '1e-3'"),
    "a tolerance below 0": (lambda: Hessian(SPACE, A, PAIR).extremes(-1), "tolerance must be above 0 and finite"),
    "half a product": (lambda: Hessian(SPACE, A, PAIR).extremes(most=7.5), "most must be a whole number, got 7.5"),
    "samples of text": (lambda: Hessian(SPACE, A, PAIR).trace("8"), "samples must be a whole number, got '8'"),
    "wrong statistics": (lambda: Hessian(SPACE, A, PAIR, statistics=torch.ones(2)), "shape (0,), got shape (2,)"),
    # spaces and networks
    "a state dict for a space": (lambda: WeightSpace(network("mlp").state_dict()), "torch.nn.Module, got OrderedDict"),
    "a class for a space": (lambda: WeightSpace(nn.Linear), "got the class Linear; make one, Linear(...)"),
    "only as a list": (lambda: WeightSpace(network("mlp"), only=["0.*"]), "only must be a pattern"),
    "a path for weights": (lambda: SPACE.vector("a.pt"), "from a module or a state dict, got str"),
    "a whole checkpoint": (
        lambda: SPACE.vector({"state_dict": network("mlp").state_dict(), "epoch": 3}),
        'got OrderedDict for `state_dict`; pass its "state_dict"',
    ),
    "a list for theta": (lambda: SPACE.module([0.0]), "theta must be a tensor and have shape"),
    "rows for a network": (lambda: SPACE.call(A[None], X), f"shape ({len(A)},), got (1, {len(A)})"),
    "whole numbers for a network": (lambda: SPACE.call(A.long(), X), "floating-point weights, got torch.int64"),
    "statistics too short": (lambda: NORMED.fixed(torch.ones(2)), "statistics must have shape (8,), got (2,)"),
    "a number for a network's name": (lambda: build_model(20), "a network must be named by a text"),
    "classes of text": (lambda: build_model("mlp", num_classes="ten"), "num_classes: should be a whole number"),
    "a number for a shape": (lambda: build_model("mlp", input_shape=64), "input_shape"),
    "half a seed": (lambda: build_model("mlp", seed=0.5), "seed must be a whole number, got 0.5"),
    "a number for data's name": (lambda: load_data(10), "data must be named by a text"),
    "half a crop": (lambda: load_data("digits", crop=1.5), "crop must be a whole number, got 1.5"),
    "a crop below 0": (lambda: load_data("digits", crop=-1), "crop must be 0 or more, got -1"),
    "examples of text": (lambda: load_data("digits", examples="9"), "examples must be a whole number, got '9'"),
    "validation as a share": (
        lambda: load_data("digits", validation=0.1),
        "must be a whole number, got 0.1",
    ),
    "a mean that is a dict": (
        lambda: load_data("digits", mean={"red": 0.5}, std=0.5),
        "mean must be a number, got dict",
    ),
    "a mean without a deviation": (lambda: load_data("digits", mean=0.5), "mean and std go together, got mean numbers"),
    "data's seed of text": (lambda: load_data("digits", seed="0"), "the seed of the data must be a whole number"),
    # alignment and directions
    "modules to match": (lambda: match_weights(SPACE, network("mlp"), B, inputs=X), "a must be a tensor of weights"),
    "weights too short to match": (lambda: match_weights(SPACE, A, B[1:], inputs=X), "b must have shape"),
    "half an order": (
        lambda: match_weights(SPACE, A, B, inputs=X, orders=0.5),
        "orders must be a whole number, got 0.5",
    ),
    "text for a structure": (
        lambda: match_weights(SPACE, A, B, structure="0"),
        "must be a Structure, got '0'",
    ),
    "text for inputs to match": (lambda: match_weights(SPACE, A, B, inputs="x"), "inputs must be a tensor"),
    "a list of numbers to match": (lambda: match_activations(SPACE, A, B, [1.0, 2.0]), "inputs must be a tensor"),
    "statistics of one": (
        lambda: match_activations(SPACE, A, B, X, statistics=torch.ones(0)),
        "statistics must be a pair, (those at a, those at b)",
    ),
    "a space for a structure": (lambda: Structure.of(SPACE, X), "must be a torch.nn.Module, got WeightSpace"),
    "a number for inputs": (lambda: Structure.of(network("mlp"), 6), "inputs must be a tensor"),
    "a list for a table": (lambda: Structure.by_hand(["0.weight:0"], network("mlp")), "a table of lists"),
    "text in a table": (lambda: Structure.by_hand({"h": "0.weight:0"}, network("mlp")), "a table of lists"),
    "no directions": (lambda: random_directions(SPACE, A, 0), "count must be 1 or more, got 0"),
    "half a direction": (lambda: random_directions(SPACE, A, 1.5), "count must be a whole number, got 1.5"),
    "directions around NaN": (lambda: random_directions(SPACE, NAN), "theta holds NaN or infinity"),
    "directions by text": (lambda: random_directions(SPACE, A, seed="1"), "seed must be a whole number, got '1'"),
    "one checkpoint": (lambda: principal_directions(A), "a checkpoint must be a vector"),
    "a number of checkpoints": (lambda: principal_directions(3), "checkpoints must be a list of weights, got 3"),
    "checkpoints of two networks": (lambda: principal_directions([A, B, A[1:]]), "each checkpoint must have shape"),
    "no principal direction": (lambda: principal_directions([A, B], 0), "count must be 1 or more, got 0"),
    # summaries
    "a lone score": (lambda: summarize(evaluated().score(LINE, 3)), 'got Scores; pass {"line": scores}'),
    "a table for scores": (
        lambda: summarize({"line": scored(PAIR)}),
        "scores of `line` must be a Scores, got Data",
    ),
    "a ray's scores": (
        lambda: summarize({"ray": evaluated().score(Ray(A, B), 3)}),
        "only paths can be summarised, but `ray` has coordinates `x`, `norm`",
    ),
}

ACCEPTED = {
    "a pair of arrays": (lambda: scored(numpy_of(X, Y)), lambda: scored(PAIR)),
    "arrays and a tensor": (lambda: scored((X.numpy(), Y)), lambda: scored(PAIR)),
    "a pair in a list": (lambda: scored([X, Y]), lambda: scored(PAIR)),
    "arrays in a Split": (lambda: scored(Split(*numpy_of(X, Y), classes=3)), lambda: scored(PAIR)),
    "arrays read only": (
        lambda: scored((np.broadcast_to(X[:1].numpy(), (50, 6)), Y)),
        lambda: scored((X[:1].expand(50, 6), Y)),
    ),
    "arrays backwards": (lambda: scored((X.numpy()[::-1], Y)), lambda: scored((X.flip(0), Y))),
    "arrays of another byte order": (lambda: scored((X.numpy().astype(">f4"), Y)), lambda: scored(PAIR)),
    "a TensorDataset": (lambda: scored(TensorDataset(X, Y)), lambda: scored(PAIR)),
    "a TensorDataset to train on": (lambda: fitted(TensorDataset(X, Y)), lambda: fitted(PAIR)),
    "arrays to train on": (lambda: fitted(numpy_of(X, Y)), lambda: fitted(PAIR)),
    "arrays to fit a curve on": (lambda: connected(numpy_of(X, Y)), connected),
    "arrays in batches": (lambda: scored([numpy_of(*b) for b in BATCHES]), lambda: scored(BATCHES)),
    "arrays in batches to train on": (lambda: fitted([numpy_of(*b) for b in BATCHES]), lambda: fitted(BATCHES)),
    "int32 labels": (lambda: scored((X, Y.int())), lambda: scored(PAIR)),
    "int16 labels": (lambda: scored((X, Y.short())), lambda: scored(PAIR)),
    "uint8 labels": (lambda: scored((X, Y.byte())), lambda: scored(PAIR)),
    "uint32 labels of NumPy": (lambda: scored((X, Y.numpy().astype(np.uint32))), lambda: scored(PAIR)),
    "bool labels": (lambda: scored((X, TWO.bool())), lambda: scored((X, TWO))),
    "int32 labels to train on": (lambda: fitted((X, Y.int())), lambda: fitted(PAIR)),
    "int32 labels in batches": (lambda: scored([(x, y.int()) for x, y in BATCHES]), lambda: scored(BATCHES)),
    "int32 labels under a Hessian": (
        lambda: Hessian(SPACE, A, (X, Y.int())).product(B),
        lambda: Hessian(SPACE, A, PAIR).product(B),
    ),
    "shares of classes": (lambda: scored((X, F.one_hot(Y, 3).float())), lambda: scored(PAIR)),
    "points of NumPy": (lambda: scored(PAIR, np.int64(5)), lambda: scored(PAIR, 5)),
    "coordinates in a list": (
        lambda: scored(PAIR, [0, 0.1, 1]),
        lambda: scored(PAIR, torch.tensor([0, 0.1, 1], dtype=torch.float64)),
    ),
    "coordinates in an array": (lambda: scored(PAIR, np.arange(5) / 4), lambda: scored(PAIR, 5)),
    "coordinates of NumPy numbers": (
        lambda: scored(PAIR, [np.float64(0.5)]),
        lambda: scored(PAIR, torch.tensor([0.5])),
    ),
    "one point in a list": (
        lambda: scored(PAIR, [0.25]),
        lambda: scored(PAIR, 5).iloc[[1]].reset_index(drop=True),
    ),
    "one point of a ray": (
        lambda: evaluated().score(Ray(A, B), 1).table,
        lambda: evaluated().score(Ray(A, B), [0.0]).table,
    ),
    "settings of NumPy": (
        lambda: scored(PAIR, batch_size=np.int64(20), examples=np.int32(30), seed=np.int64(1), chunk=np.int64(2)),
        lambda: scored(PAIR, batch_size=20, examples=30, seed=1, chunk=2),
    ),
    "a recipe of NumPy": (lambda: fitted(PAIR, seed=np.int64(1)), lambda: fitted(PAIR, seed=1)),
    "theta as an array": (lambda: evaluated().at(A.numpy()), lambda: evaluated().at(A)),
    "theta under a Hessian as an array": (
        lambda: Hessian(SPACE, A.numpy(), PAIR).product(B),
        lambda: Hessian(SPACE, A, PAIR).product(B),
    ),
    "inputs to match as arrays": (
        lambda: match_weights(SPACE, A, B, inputs=X.numpy()).vector,
        lambda: match_weights(SPACE, A, B, inputs=X).vector,
    ),
    "activations of arrays": (
        lambda: match_activations(SPACE, A, B, X.numpy()).vector,
        lambda: match_activations(SPACE, A, B, X).vector,
    ),
    "checkpoints in a matrix": (
        lambda: principal_directions(torch.stack([A, B, A * B])).directions[0],
        lambda: principal_directions([A, B, A * B]).directions[0],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_misuse_is_refused_in_one_line(name):
    call, words = REFUSED[name]
    with pytest.raises(PathfinderError) as error:
        call()
    message = str(error.value)
    assert words in message and "\n" not in message and len(message) < 400 and message.endswith(".")


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_can_be_understood_gives_what_the_plain_call_gives(name):
    call, usual = ACCEPTED[name]
    found, wanted = call(), usual()
    same = torch.equal(found, wanted) if isinstance(found, torch.Tensor) else np.all(found == wanted)
    assert same if not isinstance(found, dict) else found == wanted
