"""What a curve and a score cost next to bare torch: `uv run python tests/benchmarks/overhead.py [--out FILE.csv]`.

Curve step: an epoch of `fit_curve` against the same batches in a hand-written SGD loop on the module itself. Score: one
point of the `Evaluator` against the bare forward passes it consists of (re-estimation, then scores). The two sides take
turns in one process; a row gives both medians and the median of the ratios of neighbours.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from timing import compared, in_turns
from torch import Tensor, nn

from pathfinder import Bezier, Evaluator, Split, WeightSpace, build_model, fit_curve, load_data
from pathfinder.memory import keep_freed_memory
from pathfinder.tables.csv_files import write_table

REPEATS = 15


def resnet20_sized() -> nn.Module:
    """The nineteen 3 x 3 convolutions with BatchNorm of a ResNet-20 and its last layer, without shortcuts."""
    layers: list[nn.Module] = []
    channels = 3
    for width, stride in [(16, 1)] * 7 + [(32, 2)] + [(32, 1)] * 5 + [(64, 2)] + [(64, 1)] * 5:
        layers += [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def cases() -> Iterator[tuple[str, nn.Module, Split]]:
    """Networks and their training data: the one the claim is about, and small ones."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((2000, 3, 32, 32), dtype=np.float32))
    yield "resnet20-sized", resnet20_sized(), Split(images, torch.from_numpy(rng.integers(0, 10, 2000)), 10)
    digits = load_data("digits")["train"]
    for name in ("convnet-bn", "convnet", "mlp"):
        yield name, build_model(name, input_shape=(1, 8, 8), seed=0), digits


def measured(ours: Callable[[], None], bare: Callable[[], None]) -> dict[str, float]:
    """Medians in seconds of both, taking turns, and of their ratio."""
    times = in_turns(ours, bare, REPEATS)
    medians = [statistics.median(side) for side in zip(*times, strict=True)]
    return {"ours_seconds": medians[0], "bare_seconds": medians[1], **compared(times)}


def curve_step(module: nn.Module, data: Split, batch: int) -> dict[str, float]:
    """An epoch of curve training against an epoch of plain SGD."""
    space = WeightSpace(module)
    a = space.vector(module)
    curve = Bezier(a, a.flip(0) * 0.01 + a)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def ours() -> None:
        fit_curve(curve, space, data, epochs=1, lr=1e-3, batch_size=batch, schedule="constant")

    def bare() -> None:
        module.train()
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(data)))
        for index in order.split(batch):
            optimizer.zero_grad()
            output = module(data.x[index])
            loss = F.cross_entropy(output, data.y[index])
            wrong = (output.argmax(1) != data.y[index]).sum()
            loss.backward()
            optimizer.step()
            float(loss.detach()), int(wrong)

    return measured(ours, bare)


@torch.no_grad()
def score(module: nn.Module, data: Split, batch: int) -> dict[str, float]:
    """One scored point against the same forward passes on the module itself."""
    space = WeightSpace(module)
    theta = space.vector(module)
    evaluator = Evaluator(space, {"train": data}, batch_size=batch)

    def ours() -> None:
        evaluator.at(theta)

    def bare() -> None:
        if space.has_statistics:
            module.train()
            for x in data.x.split(batch):
                module(x)
        module.eval()
        losses: list[Tensor] = []
        for x, y in zip(data.x.split(batch), data.y.split(batch), strict=True):
            output = module(x)
            losses += [F.cross_entropy(output, y, reduction="none"), (output.argmax(1) != y).float()]
        torch.cat(losses).mean()

    return measured(ours, bare)


def main() -> None:
    """Measure all cases, print them and write them as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="CSV file for the table")
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    rows = []
    for name, module, data in cases():
        for what, measure in (("curve step", curve_step), ("score", score)):
            torch.manual_seed(0)
            found = measure(module, data, arguments.batch)
            rows.append({"network": name, "what": what, "examples": len(data), "batch": arguments.batch, **found})
            print(
                f"{name:16} {what:11} ratio {found['ratio']:.3f} ({found['ratio_min']:.3f} to {found['ratio_max']:.3f})"
            )
    if arguments.out:
        write_table(arguments.out, pd.DataFrame(rows))


if __name__ == "__main__":
    keep_freed_memory()  # as commands do
    main()
