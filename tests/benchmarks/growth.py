"""How much memory the processes of an experiment hold as the points of a surface grow in number.

    uv run python tests/benchmarks/growth.py [--out FILE.csv]

51 x 51 points around a ResNet-56 as it is initialised, on 16 of the digits that come with scikit-learn: once in one
process, and once with a Dask worker, whose main process plans, collects and writes the tables. A row holds the resident
memory of a process when so many points were scored, in MiB; the last one is that after the tables were written.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import psutil

from pathfinder.experiment.config import Config
from pathfinder.experiment.engines import make_engine
from pathfinder.experiment.run import Experiment
from pathfinder.tables.csv_files import write_table

_SURFACE = {
    "name": "growth",
    "threads": 1,
    "data": {"name": "digits", "examples": 16},
    "minima": [{"model": {"name": "resnet56"}, "epochs": 0}],
    "surfaces": [{"points": 51, "splits": ["train"]}],
}
_EVERY = 650  # points between two rows
_MIB = 2**20


def run(workers: int, folder: str) -> None:
    """Run the experiment, and print a row for each process and number of points."""
    from pathfinder.experiment.cluster import Cluster

    rows: list[dict] = []

    def note(points: int) -> None:
        own = psutil.Process()
        sizes = {"main": own.memory_info().rss}
        if workers:
            sizes["worker"] = max(child.memory_info().rss for child in own.children(recursive=True))
        rows.extend(
            {"workers": workers, "process": name, "points": points, "mib": size / _MIB} for name, size in sizes.items()
        )

    def report(name: str):
        after = [_EVERY]

        def progress(done: int, total: int) -> None:
            if total > _EVERY and done >= after[0]:
                note(done)
                after[0] += _EVERY

        return progress

    experiment = Experiment(Config.parse(_SURFACE), folder, report)
    engine = Cluster(experiment.place, workers) if workers else make_engine(experiment.place)
    experiment.draw = lambda engine: note(51 * 51)  # after the tables; figures are pieces of their own
    experiment.run_with(engine)
    print(json.dumps(rows))


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="CSV file for the table")
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        run(int(given.once[0]), given.once[1])
        return
    rows: list[dict] = []
    for workers in (0, 1):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--once", str(workers), str(Path(folder) / "run")]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows += json.loads(done.stdout.splitlines()[-1])
    table = pd.DataFrame(rows).round({"mib": 1})
    print(table.to_string(index=False))
    if given.out:
        write_table(given.out, table)


if __name__ == "__main__":
    main()
