"""Tensors have published names, and files of earlier versions still load."""

import os
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from pathfinder import Bezier, PathfinderError, WeightSpace, build_model
from pathfinder.experiment.curve_files import load_curve_state
from pathfinder.storage import read_checkpoint, save_tensors
from pathfinder.weights.tensors import load_state

PUBLISHED = Path(os.environ.get("PATHFINDER_DATA", "missing")) / "published"
STAGES = {
    "resnet": ("resnet", {"depth": 14}),
    "resnet-noshort": ("resnet", {"depth": 20, "width": 0.5, "shortcut": False}),
    "preresnet": ("preresnet", {"depth": 20}),
    "wide": ("wrn28-10", {"depth": 16, "width": 1}),
}


def of_earlier_version(state):
    """A state dict with the names that the residual networks had when one `blocks` held all of them."""
    blocks = 1 + max(int(match[1]) for name in state if (match := re.match(r"layer1\.(\d+)\.", name)))

    def earlier(name):
        name = re.sub(r"\.downsample\.0\.", ".shortcut.", re.sub(r"^fc\.", "linear.", name))
        found = re.match(r"layer(\d)\.(\d+)\.", name)
        return f"blocks.{(int(found[1]) - 1) * blocks + int(found[2])}.{name[found.end() :]}" if found else name

    return {earlier(name): tensor for name, tensor in state.items()}


@pytest.fixture(params=STAGES)
def pair(request):
    """A network, and the same with other weights and statistics."""
    name, arguments = STAGES[request.param]
    module, twin = (build_model(name, input_shape=(3, 8, 8), seed=seed, **arguments).eval() for seed in (1, 2))
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
    return module, twin


def assert_equal(module, state):
    own = module.state_dict()
    assert len(own) == len(state) and all(map(torch.equal, own.values(), state.values()))


@pytest.mark.parametrize(
    ("name", "arguments", "size", "number"),
    [  # recorded when one `blocks` held the blocks of all stages
        ("resnet20", {}, 272_474, -9.101297911249171),
        ("resnet", {"depth": 14, "width": 0.5, "shortcut": False}, 43_634, -6.663321640531061),
        ("preresnet", {"depth": 20}, 219_482, -10.014883565228377),
        ("wrn28-10", {"depth": 16, "width": 1}, 175_626, -16.688041849695463),
        ("vgg9", {"width": 0.25}, 175_962, -2.490620197612437),
    ],
)
def test_weights_from_a_seed_and_their_order_are_those_of_earlier_versions(name, arguments, size, number):
    module = build_model(name, seed=3, **arguments)
    vector = WeightSpace(module).vector(module).double()
    assert len(vector) == size  # each weight by a factor of its own, so that the order counts
    assert float(vector @ torch.cos(torch.arange(size, dtype=torch.float64))) == pytest.approx(number, rel=1e-5)


def test_names_are_those_of_the_published_code():
    def layers(name, **arguments):
        names = build_model(name, **arguments).state_dict()
        return {name.rpartition(".")[0] for name in names}

    block = ["conv1", "bn1", "conv2", "bn2"]
    expected = {f"layer{stage}.0.{part}" for stage in (1, 2, 3) for part in block} | {"conv1", "bn1", "linear"}
    assert layers("resnet", depth=8, shortcut=False) == expected
    short = {f"layer{stage}.0.shortcut.{i}" for stage in (2, 3) for i in (0, 1)}
    assert layers("resnet", depth=8) == expected | short
    expected = {f"layer{stage}.0.{part}" for stage in (1, 2, 3) for part in [*block, "bn3", "conv3", "downsample.0"]}
    assert layers("preresnet", depth=11) == expected | {"conv1", "bn", "fc"}
    assert layers("vgg16", width=0.1) >= {"features.0", "features.2", "features.5", "features.28", "classifier.6"}


@pytest.mark.parametrize("load", [load_state, nn.Module.load_state_dict])
def test_files_of_earlier_versions_load_and_compute_the_same(pair, load):
    module, twin = pair
    old = of_earlier_version(module.state_dict())
    assert "blocks.0.conv1.weight" in old and len(old) == len(module.state_dict())
    x = torch.rand(4, 3, 8, 8)
    assert not torch.equal(twin(x), module(x))
    load(twin, dict(old))
    assert torch.equal(twin(x), module(x))
    space = WeightSpace(twin)
    assert torch.equal(space.vector(old), space.vector(module))
    assert torch.equal(space.statistics(old), space.statistics(module))


@pytest.mark.parametrize("load", [load_state, nn.Module.load_state_dict])
def test_networks_inside_another_keep_their_prefix(pair, load):
    module, twin = pair
    outer = nn.Sequential(twin, nn.ReLU())
    load(outer, {f"0.{name}": tensor for name, tensor in of_earlier_version(module.state_dict()).items()})
    assert_equal(outer, module.state_dict())


def test_curves_of_earlier_versions_load(pair, tmp_path):
    module, twin = pair
    space, file = WeightSpace(module), tmp_path / "curve.safetensors"
    theta = space.vector(module)
    fixed = of_earlier_version(space.fixed())
    assert any(name.startswith("blocks.") for name in fixed)
    save_tensors(file, {f"fixed.{name}": tensor for name, tensor in fixed.items()}, {})
    load_curve_state(twin, Bezier(theta, theta + 1, bends=1), read_checkpoint(file))
    assert_equal(twin, module.state_dict())


class Own(nn.Module):
    """A network of a user, with a name that the residual networks have too."""

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Linear(3, 3))


def test_names_of_other_networks_stay(pair):
    with pytest.raises(PathfinderError, match="missing: `layer1.0.weight` .*unexpected: `blocks.0.weight`"):
        load_state(Own(), {"blocks.0.weight": torch.ones(3, 3), "layer1.0.bias": torch.ones(3)})
    state = pair[0].state_dict()
    with pytest.raises(PathfinderError, match="unexpected: `blocks.0."):  # a file with both names of one tensor
        load_state(pair[1], {**of_earlier_version(state), **state})


def test_wide_networks_that_halve_the_image_elsewhere_are_refused():
    module = build_model("wrn28-10", depth=10, width=1)
    names = {"downsample.": "shortcut.", "fc.": "linear.", "bn.": "bn1."}
    state = {}
    for name, tensor in module.state_dict().items():
        for ours, theirs in names.items():
            name = re.sub(rf"(^|\.){re.escape(ours)}", rf"\g<1>{theirs}", name)
        state[name] = tensor
    with pytest.raises(PathfinderError, match="do not fit"):
        load_state(module, state)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="PATHFINDER_DATA has no published/")
@pytest.mark.parametrize("name", ["resnet56", "resnet56-noshort"])
def test_the_files_of_li_et_al_load_as_they_are(name):
    module, checkpoint = build_model(name), read_checkpoint(PUBLISHED / f"li2018-{name}.t7")
    space = WeightSpace(module)
    load_state(module, checkpoint.state)
    own = module.state_dict()
    assert all(torch.equal(own[key], tensor) for key, tensor in checkpoint.state.items())
    assert set(own) - set(checkpoint.state) == {key for key in own if key.endswith("num_batches_tracked")}
    assert torch.equal(space.vector(checkpoint.state), space.vector(module))
