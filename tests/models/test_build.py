import pytest
import torch
from torch import nn

from pathfinder import PathfinderError, build_model


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        ("mlp", {"widths": [128, 128]}, 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        ("convnet", {}, 16 * 10 + 32 * 145 + 32 * 289 + 128 * 10 + 10),
        ("convnet-bn", {}, 16 * 9 + 32 * 144 + 32 * 288 + 2 * 80 + 128 * 10 + 10),
    ],
)
def test_models_have_the_size_they_should(name, arguments, parameters):
    module = build_model(name, input_shape=(1, 8, 8), **arguments)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert module(torch.randn(3, 1, 8, 8)).shape == (3, 10)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules()) is (name == "convnet-bn")


PUBLISHED = {
    "vgg9": 2_789_706,
    "vgg16": 15_245_130,
    "vgg16-bn": 15_253_578,
    "resnet20": 272_474,
    "resnet56": 855_770,
    "resnet110": 1_730_714,
    "resnet20-noshort": 269_722,
    "resnet56-noshort": 853_018,
    "resnet110-noshort": 1_727_962,
    "wrn56-2": 3_412_394,
    "wrn56-4": 13_628_234,
    "wrn56-8": 54_470_282,
    "wrn56-2-noshort": 3_401_770,
    "wrn56-4-noshort": 13_586_506,
    "wrn56-8-noshort": 54_304_906,
    "preresnet110": 1_146_842,
    "preresnet164": 1_703_258,
    "wrn28-10": 36_489_290,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_the_published_size(name):
    with torch.device("meta"):
        module = build_model(name)
    assert sum(parameter.numel() for parameter in module.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("vgg9", {"width": 0.125}, (3, 32, 32)),
        ("vgg", {"depth": 11, "width": 0.125, "batch_norm": True}, (1, 32, 32)),
        ("vgg16", {"width": 0.05}, (3, 64, 32)),
        ("resnet", {"depth": 8, "width": 2}, (1, 28, 28)),
        ("resnet", {"depth": 8, "width": 0.5}, (1, 28, 28)),
        ("resnet20-noshort", {}, (3, 32, 32)),
        ("preresnet", {"depth": 11}, (3, 16, 16)),
        ("wrn28-10", {"depth": 10, "width": 1, "dropout": 0.3}, (3, 32, 32)),
    ],
)
def test_any_depth_and_width_scores_images_and_can_be_trained(name, arguments, shape):
    module = build_model(name, num_classes=7, input_shape=shape, **arguments)
    output = module(torch.randn(4, *shape))
    assert output.shape == (4, 7) and output.isfinite().all()
    output.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize(("given", "shortcut"), [("False", False), ("no", False), (False, False), ("true", True)])
def test_arguments_as_text_mean_what_they_say(given, shortcut):
    assert (build_model("resnet", depth=8, shortcut=given).layer1[0].shortcut is not None) is shortcut


def test_a_shortcut_adds_the_input_and_is_all_that_differs():
    with_, without = (build_model(name, seed=0).layer1[0] for name in ("resnet20", "resnet20-noshort"))
    without.load_state_dict(with_.state_dict())
    torch.nn.init.zeros_(with_.bn2.weight)
    torch.nn.init.zeros_(without.bn2.weight)
    x = torch.rand(2, 16, 8, 8)
    assert torch.equal(with_(x), x) and not without(x).any()


def test_initial_weights_come_from_the_seed_alone():
    before = torch.get_rng_state()
    first, second, third = (build_model("mlp", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.layers[0].weight, second.layers[0].weight)
    assert not torch.equal(first.layers[0].weight, third.layers[0].weight)


def test_torchvision_and_ones_own_by_name(tmp_path, monkeypatch):
    (tmp_path / "own_nets.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Linear):\n"
        "    def __init__(self, num_classes, inputs=5):\n"
        "        super().__init__(inputs, num_classes)\n"
    )
    monkeypatch.chdir(tmp_path)
    own = build_model("own_nets:Net", num_classes=3, inputs=7)
    assert own.weight.shape == (3, 7)
    assert build_model("torchvision:squeezenet1_1", num_classes=4)(torch.randn(2, 3, 64, 64)).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("convnett", {}, "unknown model `convnett`; did you mean `convnet`"),
        ("torchvision:resnet19", {}, "unknown torchvision model `resnet19`; did you mean `resnet1"),
        ("torch.nn:Linea", {}, "cannot import `torch.nn:Linea`"),
        ("resnet", {"depth": 21}, "model `resnet` cannot be built: depth must be 6 n [+] 2, such as 20, .* got 21"),
        ("preresnet", {"depth": 21}, r"depth must be 9 n [+] 2, got 21"),
        ("vgg", {"depth": 10}, "depth must be one of 9, 11, 13, 16, 19, got 10"),
        ("vgg16", {"input_shape": (3, 16, 16)}, "images of 16 x 16 are too small for 5 stages"),
        ("mlp", {"width": 3}, "model `mlp` cannot be built: width: Unexpected keyword argument, got 3"),
        ("resnet", {"width": 0.01}, "width must leave a channel, got 0.01"),
        ("vgg9", {"width": 0.001}, "width must leave a channel, got 0.001"),
        ("resnet", {"shortcut": "maybe"}, "shortcut: should be a valid boolean.*, got 'maybe'"),
        ("mlp", {"input_shape": 3}, "input_shape: .*Sequence.*, got 3"),
        ("math:sqrt", {"x": 4}, "model `math:sqrt`"),
        ("convnet", {"widths": [-1]}, "model `convnet` cannot be built"),
        ("builtins:dict", {}, "must give a torch.nn.Module, got dict"),
    ],
)
def test_mistakes_are_named(name, arguments, words, without_shapes):
    with pytest.raises(PathfinderError, match=words):
        build_model(name, **arguments)
