"""How many random orders of weight matching find a permuted copy of a network again, for every architecture.

    uv run python tests/benchmarks/recovery.py [NAME ...] [--orders N] [--out FILE.csv]

Each order is tried alone. `recovered` counts those that put every unit back, so that the aligned line is a single point
and has no barrier; `first` is the first of them, from 1; `distance` is what the best order leaves.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
import torch

from pathfinder import WeightSpace, build_model, match_weights
from pathfinder.symmetry.matching import structure_of
from pathfinder.tables.csv_files import write_table

NAMES = [
    "mlp", "convnet", "convnet-bn", "vgg9", "vgg16", "vgg16-bn", "resnet20", "resnet56", "resnet110", "wrn56-2",
    "wrn56-4", "resnet20-noshort", "resnet56-noshort", "resnet110-noshort", "preresnet110", "preresnet164", "wrn28-10",
    "torchvision:resnet18", "torchvision:vgg11",
]  # fmt: skip
DIGITS = ("mlp", "convnet", "convnet-bn")


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, help="networks; all architectures if not given")
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--out", type=Path, help="CSV file for the table; rows of other networks in it are kept")
    asked = parser.parse_args()
    for name in asked.names:
        row = _recovery(name, asked.orders)
        print(row, flush=True)
        if asked.out:
            table = pd.DataFrame([row])
            if asked.out.exists():
                table = pd.concat([pd.read_csv(asked.out).query("network != @name"), table])
            write_table(asked.out, table)


def _recovery(name: str, orders: int) -> dict[str, object]:
    module, shape = _built(name)
    space = WeightSpace(module)
    structure = structure_of(space, torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)))
    a = space.vector(module)
    b = space.join(structure.permute(space.parts(a), structure.random_permutations(1)))
    start = time.perf_counter()
    found = match_weights(space, a, b, structure=structure, orders=orders)
    seconds = time.perf_counter() - start
    most = float(a.double() @ a.double())
    recovered = [order >= most * (1 - 1e-12) for order in found.orders]
    return {
        "network": name,
        "weights": space.size,
        "groups": len(structure.groups),
        "units": sum(len(group) for group in structure.groups),
        "orders": orders,
        "recovered": sum(recovered),
        "first": recovered.index(True) + 1 if any(recovered) else 0,
        "distance_before": float((b - a).double().norm()),
        "distance": float((found.vector - a).double().norm()),
        "seconds": seconds,
    }


def _built(name: str) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """A network as it is initialised, and the shape of its inputs."""
    if name.startswith("torchvision:"):
        return build_model(name, num_classes=1000), (3, 64, 64)
    shape = (1, 8, 8) if name in DIGITS else (3, 32, 32)
    return build_model(name, input_shape=shape, seed=0), shape


if __name__ == "__main__":
    main()
