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
        ("mlp", {"width": 3}, "model `mlp` cannot be built: .*unexpected keyword argument 'width'"),
        ("math:sqrt", {"x": 4}, "model `math:sqrt`"),
        ("convnet", {"widths": [-1]}, "model `convnet` cannot be built"),
        ("builtins:dict", {}, "must give a torch.nn.Module, got dict"),
    ],
)
def test_mistakes_are_named(name, arguments, words):
    with pytest.raises(PathfinderError, match=words):
        build_model(name, **arguments)
