"""Every geometry and every small network once; tests are laws over these lists."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pathfinder import Bezier, Curve, Line, Plane, PolyChain

WEIGHTS = 7


class Arc(Curve):
    """A user's own geometry: half a turn through the bend, with a and b at its ends."""

    def coefficients(self, t: Tensor) -> Tensor:
        angle = torch.pi * t
        along, up = (1 - torch.cos(angle)) / 2, torch.sin(angle)
        return torch.stack([1 - along - up / 2, up, along - up / 2], dim=1)


def _ends(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(WEIGHTS, generator=draw, dtype=dtype) for _ in range(2))


def bent(kind: type[Curve], bends: int, dtype: torch.dtype = torch.float64, fixed_ends: bool = True) -> Curve:
    """A curve whose bends have left the straight line."""
    curve = kind(*_ends(dtype), bends=bends, fixed_ends=fixed_ends)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        curve.bends.add_(torch.randn(curve.bends.shape, generator=draw, dtype=dtype))
    return curve


CURVES: dict[str, Callable[[], Curve]] = {
    "line": lambda: Line(*_ends()),
    "polychain-0": lambda: bent(PolyChain, 0),
    "polychain-1": lambda: bent(PolyChain, 1),
    "polychain-3": lambda: bent(PolyChain, 3),
    "bezier-0": lambda: bent(Bezier, 0),
    "bezier-1": lambda: bent(Bezier, 1),
    "bezier-4": lambda: bent(Bezier, 4),
    "bezier-free-ends": lambda: bent(Bezier, 1, fixed_ends=False),
    "arc": lambda: bent(Arc, 1),
}


def plane() -> Plane:
    """A plane through three points."""
    curve = bent(Bezier, 1)
    return Plane.through(curve.start, curve.bends[0].detach(), curve.end)


class Tied(nn.Module):
    """Two layers that share one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Unused(nn.Module):
    """A layer that no output depends on, a frozen one, and an integer buffer that does matter."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle, self.frozen = nn.Linear(6, 3), nn.Linear(4, 4), nn.Linear(3, 3)
        self.frozen.requires_grad_(False)
        with torch.no_grad():
            self.frozen.weight.copy_(torch.eye(3))
            self.frozen.bias.zero_()
        self.register_buffer("order", torch.tensor([2, 0, 1]))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.frozen(self.used(x))[:, self.order]


class Recurrent(nn.Module):
    """An LSTM over sequences; its output is a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(2, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden, (last, _) = self.lstm(x.view(len(x), 3, 2))
        return self.out(last[-1]), hidden


class Transformer(nn.Module):
    """A small transformer encoder; its output is a dict."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=8, dropout=0.1, batch_first=True)
        self.embed, self.encoder, self.out = nn.Linear(2, 4), nn.TransformerEncoder(layer, 1), nn.Linear(4, 3)
        self.register_buffer("position", torch.arange(3), persistent=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.encoder(self.embed(x.view(len(x), 3, 2)) + self.position[:, None] / 3)
        return {"logits": self.out(hidden.mean(1)), "hidden": hidden}


class Mixed(nn.Module):
    """Weights of two dtypes."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Linear(6, 5).to(torch.bfloat16), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.high(torch.relu(self.low(x.to(torch.bfloat16))).float())


def _convolutional(norm: Callable[[], nn.Module]) -> nn.Module:
    layers = [nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 3, padding=1), norm(), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(24, 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
    "tied": Tied,
    "unused-frozen-integer-buffer": Unused,
    "dropout": lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3)),
    "batchnorm": lambda: _convolutional(lambda: nn.BatchNorm2d(4)),
    "batchnorm-cumulative": lambda: _convolutional(lambda: nn.BatchNorm2d(4, momentum=None)),
    "batchnorm-without-affine": lambda: _convolutional(lambda: nn.BatchNorm2d(4, affine=False)),
    "batchnorm-without-running": lambda: _convolutional(lambda: nn.BatchNorm2d(4, track_running_stats=False)),
    "groupnorm": lambda: _convolutional(lambda: nn.GroupNorm(2, 4)),
    "instancenorm": lambda: _convolutional(lambda: nn.InstanceNorm2d(4, affine=True)),
    "instancenorm-running": lambda: _convolutional(lambda: nn.InstanceNorm2d(4, track_running_stats=True)),
    "lstm": Recurrent,
    "transformer": Transformer,
    "mixed-dtypes": Mixed,
}
WITH_BATCHNORM = [name for name in NETWORKS if name.startswith("batchnorm") and "without-running" not in name]


def network(name: str, seed: int = 0) -> nn.Module:
    """One of NETWORKS with weights by seed, and running statistics that are not the initial ones."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = NETWORKS[name]()
        for key, tensor in module.named_buffers():
            if key.endswith(("running_mean", "running_var")):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return module


def data(examples: int = 50, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs (examples, 6) and labels of three classes that depend on them."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, 6, generator=draw)
    return x, x[:, :3].argmax(1)


@dataclass
class Frozen:
    """What must be the same before and after a call that only reads a module."""

    state: dict[str, Tensor]
    training: list[bool]
    requires_grad: list[bool]
    momenta: list[Any]

    @classmethod
    def of(cls, module: nn.Module) -> "Frozen":
        """The module as it is now."""
        return cls(
            {name: tensor.clone() for name, tensor in module.state_dict().items()},
            [layer.training for layer in module.modules()],
            [parameter.requires_grad for parameter in module.parameters()],
            [getattr(layer, "momentum", None) for layer in module.modules()],
        )

    def check(self, module: nn.Module) -> None:
        """Assert that nothing has changed, bit for bit."""
        now = Frozen.of(module)
        assert (now.training, now.requires_grad, now.momenta) == (self.training, self.requires_grad, self.momenta)
        assert list(now.state) == list(self.state)
        assert all(torch.equal(now.state[name], tensor) for name, tensor in self.state.items())
        assert all(parameter.grad is None for parameter in module.parameters())


class Bowl(nn.Module):
    """A network whose loss is known: with `bowl_loss`, |theta|^2 / 2 plus the example's own height."""

    def __init__(self, weights: int = 3) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(weights))

    def forward(self, x: Tensor) -> Tensor:
        return self.theta.square().sum() / 2 + x[:, 0]


def bowl_loss(output: Tensor, target: Tensor) -> Tensor:
    """The output is the loss already."""
    return output + 0 * target


def plain_loss(module: nn.Module, x: Tensor, y: Tensor) -> float:
    """Mean cross-entropy as anybody would compute it."""
    with torch.no_grad():
        output = copy.deepcopy(module).eval()(x)
    output = output["logits"] if isinstance(output, dict) else output[0] if isinstance(output, tuple) else output
    return float(F.cross_entropy(output.float(), y))


TINY = """
name = "tiny"
[data]
name = "digits"
[model]
name = "convnet-bn"
widths = [4, 4]
[minimum]
epochs = 2
lr = 0.1
[curve]
recipe = "garipov"
epochs = 2
[[curves]]
kind = "bezier"
[score]
points = 5
examples = 200
batch_norm_examples = 300
[planes]
points = 4
"""
