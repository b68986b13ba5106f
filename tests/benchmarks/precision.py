"""What bfloat16 changes of trained networks' scores.

    uv run python tests/benchmarks/precision.py FILE... [--examples N] [--out FILE.csv]

The same weights and running statistics score the test split in float32 and under autocast. A file holds weights written
by pathfinder, or is a config whose minima come from checkpoints.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from pathfinder import Evaluator, WeightSpace
from pathfinder.data.settings import Data
from pathfinder.data.sources import Source
from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.network import data_in, network_in
from pathfinder.experiment.workplace import Workplace
from pathfinder.scoring.losses import as_logits, classification_error
from pathfinder.storage import read_checkpoint
from pathfinder.tables.csv_files import write_table


def predicted(output: object, target: torch.Tensor) -> torch.Tensor:
    """The class with the largest logit."""
    return as_logits(output).argmax(1)


def opened(file: str) -> Iterator[tuple[str, str, torch.nn.Module, Source]]:
    """Name, architecture, module and test split of each network of a file."""
    if file.endswith(".toml"):
        with tempfile.TemporaryDirectory() as folder:
            place = Workplace(load_config(file), Path(folder))
            for name in place.minima:
                yield name, place.network(name).name, place.minimum(name), place.data["test"]
        return
    checkpoint = read_checkpoint(file)
    network = network_in(checkpoint, data_in(checkpoint) or {})
    test = Data.parse(network.data).load()["test"]
    yield Path(file).stem, network.name, network.build(checkpoint=checkpoint), test


def scored(module: torch.nn.Module, test: Source, precision: str) -> dict[str, torch.Tensor]:
    """Loss, error and predicted class of every example at the module's own weights."""
    metrics = {"error": classification_error, "class": predicted}
    space = WeightSpace(module)
    evaluator = Evaluator(space, {"test": test}, batch_norm="stored", metrics=metrics, precision=precision)
    return {metric: values for (metric, _), values in evaluator.values(space.vector(module)).items()}


def main() -> None:
    """Score twice, compare, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="weights written by pathfinder, or configs with checkpoints")
    parser.add_argument("--examples", type=int, help="of the test split; all if not given")
    parser.add_argument("--out", help="CSV file for the table")
    arguments = parser.parse_args()
    rows = []
    for file in arguments.files:
        for name, network, module, whole in opened(file):
            test = whole.subset(arguments.examples, 0)
            high, low = (scored(module, test, precision) for precision in ("fp32", "bf16"))
            row = {"name": name, "network": network, "examples": len(test)}
            for metric in ("loss", "error"):
                row |= {f"{metric}_fp32": high[metric].mean(), f"{metric}_bf16": low[metric].mean()}
            row |= {
                "loss_ratio": row["loss_bf16"] / row["loss_fp32"],
                "flipped": int((low["class"] != high["class"]).sum()),
            }
            rows.append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if arguments.out:
        write_table(arguments.out, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
