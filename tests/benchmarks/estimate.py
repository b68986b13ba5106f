"""What `pathfinder run --plan` estimates, and how long the run then takes.

    uv run python tests/benchmarks/estimate.py [NAME ...] [--repeats 3] [--out FILE.csv]

The estimate and the run take turns, each in a process of its own, the run in an empty folder and in one process. Both
leave imports and figures out. `ratio` is the run's time over the estimate before it; medians. `plan_seconds` is what
the estimate itself took. `memory` is the estimate of the bytes of a process, `peak_memory` what the run held at most.
`cifar10` needs PATHFINDER_DATA. Measure on quiet cores.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.run import Experiment
from pathfinder.memory import keep_freed_memory, peak_memory
from pathfinder.tables.csv_files import write_table

_CONFIGS = Path(__file__).parents[2] / "configs"
_FEW = [
    "data.examples=2000", "minimum.epochs=3", "curve.epochs=3", "score.points=11", "score.examples=1000",
    "score.batch_norm_examples=1000", "planes.points=5", "planes.examples=500", "planes.batch_norm_examples=500",
    "precision='fp32'",
]  # fmt: skip
_CASES = {
    "digits-bn": ("digits-bn.toml", None, []),
    "digits-pairs": ("digits-pairs.toml", None, []),
    "cifar10": ("connect-resnet20.toml", "small", _FEW),
}


def step(name: str, what: str, folder: str) -> None:
    """Print the seconds that one step says: `plan` estimates, `run` measures."""
    keep_freed_memory()  # as commands do
    file, scale, changes = _CASES[name]
    experiment = Experiment(load_config(_CONFIGS / file, changes, scale), folder)
    if what == "plan":
        began = time.perf_counter()
        found = experiment.estimate()
        took = time.perf_counter() - began
        print(json.dumps({"estimate": found.total, "plan_seconds": took, "memory": found.memory}))
        return
    experiment.draw = lambda engine: None
    experiment.run()
    seconds = json.loads((Path(folder) / "run.json").read_text("utf-8"))["seconds"]
    print(json.dumps({"seconds": sum(seconds.values()), "peak_memory": peak_memory()}))


def once(name: str) -> dict[str, float]:
    """An estimate and the run after it."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for what in ("plan", "run"):
            command = [sys.executable, __file__, "--step", name, what, folder + "/run"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found |= json.loads(done.stdout.splitlines()[-1])
    return found


def measured(names: list[str], repeats: int) -> pd.DataFrame:
    """Medians of each case, a row each."""
    rows = []
    for name in names:
        turns = [once(name) for _ in range(repeats)]
        print(name, turns, flush=True)
        row = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        ratio = statistics.median(turn["seconds"] / turn["estimate"] for turn in turns)
        rows.append({"experiment": name, "repeats": repeats, **row, "ratio": ratio})
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(_CASES), help="experiments; all if not given")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", help="CSV file for the table")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(*given.step)
        return
    table = measured(given.names, given.repeats)
    print(table.to_string(index=False, float_format="{:.3f}".format))
    if given.out:
        write_table(given.out, table)


if __name__ == "__main__":
    main()
