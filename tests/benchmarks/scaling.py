"""What several workers change of the time of an experiment, and nothing else.

    uv run python tests/benchmarks/scaling.py [--repeats 3] [--only tiny-surface] [--out FILE.csv]

Two experiments take turns in one process and with Dask workers of one thread each: configs/digits-pairs.toml with two
workers, and a surface of 51 x 51 points of a tiny network with one, whose difference is what Dask costs. Every run
starts in an empty folder, and all tables must have the same bytes. `pieces` is from the start of the first piece to the
end of the last, figures included; `start` is until the workers are there and have loaded the data; `total` adds the
imports, the data of the first process and the end of the workers. All processes keep the memory that they free, as
those of commands do. `limit` is what the computer allows: how much faster the pieces of as many whole runs are done
when these run at once, a process each, than one after another. Medians; ratios are those of one turn. Measure on quiet
cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from pathfinder.experiment.config import Config
from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.engines import make_engine
from pathfinder.experiment.run import Experiment
from pathfinder.memory import keep_freed_memory
from pathfinder.tables.csv_files import write_table

_PAIRS = Path(__file__).parents[2] / "configs" / "digits-pairs.toml"
_TINY = {
    "name": "tiny-surface",
    "threads": 1,
    "data": {"name": "digits"},
    "minima": [{"model": {"name": "mlp", "widths": [16]}, "epochs": 5}],
    "surfaces": [{"points": 51}],
}
_CASES = {"digits-pairs": 2, "tiny-surface": 1}  # workers


def run(name: str, workers: int, folder: str) -> None:
    """Run an experiment, 0 workers for this process, and print the seconds of its start and of its pieces."""
    keep_freed_memory()
    config = load_config(_PAIRS, ["threads=1"]) if name == "digits-pairs" else Config.parse(_TINY)
    experiment = Experiment(config, folder)
    engine = make_engine(experiment.place) if workers == 0 else _cluster(experiment, workers)
    work, stamps = engine.run, []

    def timed(*given):
        stamps.append(time.perf_counter())
        lost = work(*given)
        stamps.append(time.perf_counter())
        return lost

    engine.run = timed  # once for the pieces of the plan, once for figures
    began = time.perf_counter()
    experiment.run_with(engine)
    seconds = {"start": stamps[0] - began, "pieces": stamps[-1] - stamps[0]}
    print(json.dumps({**seconds, "count": len(experiment.plan.pieces)}))


def _cluster(experiment: Experiment, workers: int):
    from pathfinder.experiment.cluster import Cluster

    return Cluster(experiment.place, workers)


def once(name: str, workers: int) -> tuple[dict[str, float], dict[str, bytes]]:
    """Seconds of a run, and its tables."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, __file__, "--once", name, str(workers), folder + "/run"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        total = time.perf_counter() - began
        tables = {path.name: path.read_bytes() for path in sorted(Path(folder, "run").glob("*.csv"))}
    return {**json.loads(done.stdout.splitlines()[-1]), "total": total}, tables


def limit(name: str, processes: int, alone: float) -> float:
    """How much faster so many runs in one process each are done at once than one after another, over their pieces."""
    if processes == 1:
        return 1.0
    with ThreadPoolExecutor(processes) as at_once:
        found = list(at_once.map(lambda _: once(name, 0)[0]["pieces"], range(processes)))
    return processes * alone / statistics.mean(found)


def measured(repeats: int, names: list[str]) -> pd.DataFrame:
    """Medians of each case, a row for each number of workers."""
    rows = []
    for name in names:
        workers = _CASES[name]
        turns: list[dict] = []
        limits: list[float] = []
        wanted = None
        for turn in range(repeats):
            found = {}
            for count in (0, workers) if turn % 2 == 0 else (workers, 0):
                found[count], tables = once(name, count)
                wanted = wanted or tables
                assert tables == wanted, f"{name} with {count} workers has other tables"
            turns.append(found)
            limits.append(limit(name, workers, found[0]["pieces"]))
            print(name, found, limits[-1], flush=True)
        for count in (0, workers):
            row = {"experiment": name, "workers": count, "repeats": repeats, "pieces_of_work": turns[0][count]["count"]}
            row["start_seconds"] = statistics.median(turn[count]["start"] for turn in turns)
            for what in ("pieces", "total"):
                row[f"{what}_seconds"] = statistics.median(turn[count][what] for turn in turns)
                row[f"{what}_speed"] = statistics.median(turn[0][what] / turn[count][what] for turn in turns)
            row["limit"] = statistics.median(limits) if count else 1.0
            rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=_CASES, nargs="+", default=list(_CASES), help="the experiments to measure")
    parser.add_argument("--out", help="CSV file for the table")
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        run(given.once[0], int(given.once[1]), given.once[2])
        return
    table = measured(given.repeats, given.only).assign(load_average=os.getloadavg()[0])
    print(table.to_string(index=False, float_format="{:.3f}".format))
    if given.out:
        write_table(given.out, table)


if __name__ == "__main__":
    main()
