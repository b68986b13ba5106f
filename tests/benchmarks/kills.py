"""Whether a run on a cluster ends with the same bytes when a worker, or the run itself, is killed at a random moment.

    uv run python tests/benchmarks/kills.py [--kills 20] [--out FILE.csv]

A real Dask scheduler and two `dask worker` processes do a reduced digits experiment with figures, again and again, each
time in an empty folder. Up to a second after a random number of pieces were begun, a worker or the run's own process
gets SIGKILL, in turn; a run that was killed is started again. `pieces_begun` were begun at that moment, of `pieces`;
`same` says whether all tables have the bytes of a run in one process that nobody killed.
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


def _silently(command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def _begun(folder: Path) -> int:
    """How many pieces have kept something."""
    return len([*(folder / ".work").glob("*.pt")])


def _killed(
    command: list[str], folder: Path, victim: str, begun: int, later: float, worker: subprocess.Popen
) -> dict[str, object]:
    """Kill the worker or the run some seconds after so many pieces were begun; start the run again if it was killed."""
    run = _silently(command)
    while _begun(folder) < begun and run.poll() is None:
        time.sleep(0.01)
    time.sleep(later)
    found = _begun(folder)
    if victim == "run":
        run.kill()
    else:
        for child in psutil.Process(worker.pid).children():
            os.kill(child.pid, signal.SIGKILL)
    code = run.wait()
    if victim == "run":
        code = _silently(command).wait()
    return {"killed": victim, "pieces_begun": found, "exit_code": code}


def measured(kills: int, seed: int = 0) -> pd.DataFrame:
    """A row for each kill."""
    chance, rows = random.Random(seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert _silently(_command(folder / "alone")).wait() == 0
        wanted = _tables(folder / "alone")
        with cluster(folder) as (address, workers):
            assert _silently(_command(folder / "whole", "--scheduler", address)).wait() == 0
            assert _tables(folder / "whole") == wanted
            pieces = _begun(folder / "whole")
            for turn in range(kills):
                path, victim = folder / f"run-{turn}", "run" if turn % 2 else "worker"
                command, begun = _command(path, "--scheduler", address), chance.randrange(pieces)
                row = _killed(command, path, victim, begun, chance.random(), chance.choice(workers))
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
