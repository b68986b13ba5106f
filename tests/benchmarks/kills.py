"""Whether a run on a cluster ends with the same bytes when a worker, or the run itself, is killed at a random moment.

    uv run python tests/benchmarks/kills.py [--kills 20] [--out FILE.csv]

A real Dask scheduler and two `dask worker` processes do a reduced digits experiment with figures, again and again, each
time in an empty folder. After a random share of the time that a whole run takes, a worker or the run's own process gets
SIGKILL, in turn; a run that was killed is started again. `pieces_kept` were begun at that moment, of `pieces`; `same`
says whether all tables have the bytes of a run in one process that nobody killed.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil

from pathfinder.tables.csv_files import write_table

sys.path.insert(0, str(Path(__file__).parents[1]))  # what tests and this script share
from clusters import cluster

_CHANGES = [
    "minimum.epochs=4", "curve.epochs=4", "score.points=11", "planes.points=7", "threads=1",
]  # fmt: skip


def _command(folder: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "pathfinder", "run", "digits", "--out", str(folder), *more]
    return [*words, *(f"--set={change}" for change in _CHANGES)]


def _tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def _killed(
    command: list[str], folder: Path, victim: str, after: float, workers: list[subprocess.Popen]
) -> dict[str, object]:
    """Kill a worker or the run so many seconds after its start; start it again until it ends by itself."""
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    kept = len([*(folder / ".work").glob("*.pt")])
    if victim == "run":
        run.kill()
    else:
        for child in psutil.Process(workers[0].pid).children():
            os.kill(child.pid, signal.SIGKILL)
    code = run.wait()
    if victim == "run":
        code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
    return {"killed": victim, "seconds": after, "pieces_kept": kept, "exit_code": code}


def measured(kills: int, seed: int = 0) -> pd.DataFrame:
    """A row for each kill."""
    chance, rows = random.Random(seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(_command(folder / "alone"), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wanted = _tables(folder / "alone")
        with cluster(folder) as (address, workers):
            began = time.perf_counter()
            subprocess.run(_command(folder / "whole", "--scheduler", address), check=True, stdout=subprocess.DEVNULL)
            whole = time.perf_counter() - began
            assert _tables(folder / "whole") == wanted
            pieces = len([*(folder / "whole" / ".work").glob("*.pt")])
            for turn in range(kills):
                path, after = folder / f"run-{turn}", chance.uniform(0.2, 1) * whole
                victim = "run" if turn % 2 else "worker"
                row = _killed(_command(path, "--scheduler", address), path, victim, after, workers)
                rows.append({**row, "pieces": pieces, "same": _tables(path) == wanted})
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Kill, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", help="CSV file for the table")
    given = parser.parse_args()
    table = measured(given.kills)
    print(f"{table['same'].sum()} of {len(table)} with the same bytes")
    if given.out:
        write_table(given.out, table)


if __name__ == "__main__":
    main()
