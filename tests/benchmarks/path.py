"""The table of a curve, against what the reference implementation passes through the network for its own.

    uv run python tests/benchmarks/path.py CURVE [--truth FOLDER] [--repeats 3] [--threads 1] [--out FILE.csv]

Ours: `pathfinder score curve` with points, examples and the examples that re-estimate BatchNorm chosen by the losses,
the worst points and the ends on all examples, from reading the file to the last table and figure. The reference
(dnn-mode-connectivity) passes all training images at 61 points to update BatchNorm, then all training and test images
to score. Here that is the bare module on some of the images in batches of 128, without gradients, and its seconds are
multiplied up. Both take turns. `--truth` is a folder whose paths.csv has the curve at equal points on all examples: the
table is compared with it.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from timing import in_turns

from pathfinder.cli import main as command
from pathfinder.cli.inputs import CurveInput, open_curve
from pathfinder.cli.options import Origin
from pathfinder.memory import keep_freed_memory
from pathfinder.tables.csv_files import read_table, write_table
from pathfinder.tables.summary import read_off

_POINTS, _BATCH = 61, 128  # of the reference implementation
_AUTO = ["--points", "auto", "--examples", "auto", "--batch-norm-examples", "auto", "--workers", "1"]


def score(file: Path, out: Path, threads: int) -> None:
    """Score the curve by the command."""
    sys.argv = ["pathfinder", "score", "curve", str(file), "-o", str(out), *_AUTO, "--threads", str(threads)]
    try:
        command()
    except SystemExit as stop:
        if stop.code:
            raise


def bare_passes(curve: CurveInput, images: torch.Tensor, share: float) -> None:
    """A pass of all images to score, and one of the share that the training images are, to update BatchNorm."""
    module = curve.space.network
    with torch.no_grad():
        for training, count in ((True, round(share * len(images))), (False, len(images))):
            module.train(training)
            for batch in images[:count].split(_BATCH):
                module(batch)
    module.eval()


def conclusions(ours: Path, truth: Path, name: str) -> dict[str, float]:
    """How far largest loss, barrier and integral of the train loss are from those of a table of equal points.

    Those of the chosen examples alone are compared too, as `sample_max_off` and `sample_integral_off`.
    """
    found = read_table(ours / "summary.csv").query("split == 'train' and metric == 'loss'").iloc[0]
    wanted, sample = (_alone(folder, name) for folder in (truth, ours))
    inside = found["barrier_low"] <= wanted["barrier"] <= found["barrier_high"]
    off = {f"{key}_off": found[key] / wanted[key] - 1 for key in ("max", "integral")}
    off |= {f"sample_{key}_off": sample[key] / wanted[key] - 1 for key in ("max", "integral")}
    return {
        "truth_points": len(_path(truth, name)),
        **off,
        "barrier": found["barrier"],
        "barrier_low": found["barrier_low"],
        "barrier_high": found["barrier_high"],
        "barrier_truth": wanted["barrier"],
        "barrier_within": inside,
    }


def _path(folder: Path, name: str) -> pd.DataFrame:
    """The points of a path that were scored."""
    return read_table(folder / "paths.csv").query(f"path == '{name}'").reset_index(drop=True)


def _alone(folder: Path, name: str) -> pd.Series:
    """The summary of the train loss that follows from these points alone."""
    table = _path(folder, name)
    t, walked, values = (table[column].to_numpy() for column in ("t", "arc_length", "train_loss"))
    return pd.Series(read_off(t, walked, values, given=np.allclose(np.diff(t), t[1])))


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a curve written by pathfinder")
    parser.add_argument("--truth", type=Path, help="a folder with paths.csv of the same curve")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=6000, help="that are passed in place of all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", help="CSV file for the table")
    given = parser.parse_args()
    keep_freed_memory()  # as commands do
    torch.set_num_threads(given.threads)
    opened = open_curve(given.file, Origin())
    train, test = (opened.data[split] for split in ("train", "test"))
    images = next(iter(train.subset(given.images, 0).batches(given.images)))[0]
    share = len(train) / (len(train) + len(test))
    times = _POINTS * (len(train) + len(test)) / len(images)
    with tempfile.TemporaryDirectory() as folder:
        outs = iter(Path(folder) / str(i) for i in range(given.repeats))
        turns = in_turns(
            lambda: score(given.file, next(outs), given.threads),
            lambda: bare_passes(opened, images, share),
            given.repeats,
            warm_up=False,
        )
        ours = Path(folder) / "0"
        row = {
            "network": opened.network.name,
            "repeats": given.repeats,
            "points": len(read_table(ours / "paths.csv")),
            **read_table(ours / "paths.csv").filter(like="_examples").iloc[0].to_dict(),
            "rescored_points": len(read_table(ours / "rescored.csv")),
            "all_train_examples": len(train),
            "all_test_examples": len(test),
            "seconds": statistics.median(own for own, _ in turns),
            "seconds_reference": times * statistics.median(other for _, other in turns),
            "ratio": statistics.median(other * times / own for own, other in turns),
        }
        if given.truth:
            row |= conclusions(ours, given.truth, opened.path.kind())
    print(", ".join(f"{key} {value}" for key, value in row.items()))
    if given.out:
        write_table(given.out, pd.DataFrame([row]))


if __name__ == "__main__":
    main()
