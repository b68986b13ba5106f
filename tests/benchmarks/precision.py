"""What bfloat16 changes of trained networks' scores.

    uv run python tests/benchmarks/precision.py FILE... [--out FILE.csv]

The same weights and running statistics score the test split in float32 and under autocast.
"""

import argparse

import pandas as pd
import torch

from pathfinder import Evaluator, Line, WeightSpace
from pathfinder.data.settings import Data
from pathfinder.data.sources import Source
from pathfinder.experiment.network import data_in, network_in
from pathfinder.scoring.losses import as_logits, classification_error
from pathfinder.storage import read_checkpoint
from pathfinder.tables.csv_files import write_table


def predicted(output: object, target: torch.Tensor) -> torch.Tensor:
    """The class with the largest logit."""
    return as_logits(output).argmax(1)


def scored(space: WeightSpace, test: Source, precision: str) -> dict[str, torch.Tensor]:
    """Loss, error and predicted class of every example at the module's own weights."""
    metrics = {"error": classification_error, "class": predicted}
    evaluator = Evaluator(space, {"test": test}, batch_norm="stored", metrics=metrics, precision=precision)
    theta = space.vector(space.network)
    scores = evaluator.score(Line(theta, theta), torch.zeros(1))
    return {metric: values[0] for (metric, _), values in scores.per_example.items()}


def main() -> None:
    """Score twice, compare, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", help="weights written by pathfinder")
    parser.add_argument("--out", help="CSV file for the table")
    arguments = parser.parse_args()
    rows = []
    for file in arguments.files:
        checkpoint = read_checkpoint(file)
        network = network_in(checkpoint, data_in(checkpoint) or {})
        test = Data.parse(network.data).load()["test"]
        space = WeightSpace(network.build(checkpoint=checkpoint))
        high, low = (scored(space, test, precision) for precision in ("fp32", "bf16"))
        row = {"file": file.rpartition("/")[2], "network": network.name, "examples": len(test)}
        for metric in ("loss", "error"):
            row |= {f"{metric}_fp32": high[metric].mean(), f"{metric}_bf16": low[metric].mean()}
        row |= {
            "loss_ratio": row["loss_bf16"] / row["loss_fp32"],
            "flipped": int((low["class"] != high["class"]).sum()),
        }
        rows.append(row)
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    if arguments.out:
        write_table(arguments.out, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
