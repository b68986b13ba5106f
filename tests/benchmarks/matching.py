"""Time and memory of weight matching two minima, and how many random orders recover a permuted copy.

    uv run python tests/benchmarks/matching.py A.safetensors B.safetensors ... [--out FILE.csv]

Files come in pairs. Memory is what the tensors of matching hold at most beyond the two networks themselves, in copies
of one network's weights.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from pathfinder import WeightSpace, match_weights
from pathfinder.experiment.network import network_in
from pathfinder.storage import read_checkpoint
from pathfinder.symmetry.matching import structure_of
from pathfinder.tables.csv_files import write_table

ORDERS = 5


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", help="CSV file for the table")
    asked = parser.parse_args()
    rows = []
    for first, second in zip(asked.files[::2], asked.files[1::2], strict=True):
        checkpoints = read_checkpoint(first), read_checkpoint(second)
        network = network_in(checkpoints[0], {})
        space = WeightSpace(network.build(checkpoint=checkpoints[0]))
        a, b = (space.vector(checkpoint.state) for checkpoint in checkpoints)
        inputs = torch.randn(2, *network.arguments["input_shape"])
        start = time.perf_counter()
        structure = structure_of(space, inputs)
        found_in = time.perf_counter() - start
        start = time.perf_counter()
        found = match_weights(space, a, b, structure=structure, orders=ORDERS)
        matched_in = time.perf_counter() - start
        moved = structure.permute(space.parts(a), structure.random_permutations(0))
        copy = space.join(moved)
        orders = match_weights(space, a, copy, structure=structure, orders=10).orders
        exact = float(a.double() @ a.double())
        rows.append(
            {
                "network": network.name,
                "weights": space.size,
                "groups": len(structure.groups),
                "structure_seconds": found_in,
                "orders": ORDERS,
                "matching_seconds": matched_in,
                "sweeps": len(found.objective) - 1,
                "copies": _peak(space, a, b, structure) / (a.numel() * a.element_size()),
                "recovered_of_10": sum(order >= exact * (1 - 1e-9) for order in orders),
            }
        )
        print(rows[-1])
    if asked.out:
        write_table(asked.out, pd.DataFrame(rows))


def _peak(space: WeightSpace, a: torch.Tensor, b: torch.Tensor, structure: object) -> int:
    """The most bytes that tensors made while matching held at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        match_weights(space, a, b, structure=structure, orders=1)
    held = most = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


if __name__ == "__main__":
    main()
