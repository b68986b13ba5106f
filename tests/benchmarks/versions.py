"""The README's first command with this version and with another one, in turn, on quiet cores and beside busy processes.

    git worktree add ../before COMMIT
    uv run python tests/benchmarks/versions.py ../before [--repeats 5] [--busy 0 2] [--threads 1] [--out FILE.csv]

`pathfinder run digits`, on the digits that come with scikit-learn, each run in an empty folder, after one of each that
warms up. Medians; `ratio` is this version's time over that of its neighbour, `cpu_ratio` the same of the processors.
`same` says whether all runs of a version gave the same tables. Measure on quiet cores; the busy processes are the
benchmark's own.
"""

import argparse
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from pathfinder.tables.csv_files import write_table

_OWN = Path(__file__).parents[2]
_CHOICES = ("MALLOC_", "GLIBC_TUNABLES", "OMP_NUM_THREADS", "PYTHONPATH", "PATHFINDER_DATA")
_CHOICES += ("PYTHONDONTWRITEBYTECODE",)  # users import compiled modules


def once(code: Path, threads: int | None) -> dict[str, float | str]:
    """Seconds of a run, of the processors in it, and what its tables are."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_CHOICES)}
    environment["PYTHONPATH"] = str(code)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pathfinder", "run", "digits", "--out", folder + "/run"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        tables = b"".join(path.read_bytes() for path in sorted(Path(folder, "run").glob("*.csv")))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "tables": hashlib.sha256(tables).hexdigest()}


@contextmanager
def busy(count: int) -> Generator[None, None, None]:
    """So many processes that compute all the time."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measured(other: Path, repeats: int, loads: list[int], threads: int | None) -> pd.DataFrame:
    """Medians of both versions, a row for each and for each load."""
    versions = {"this": _OWN, "other": other.resolve()}
    for code in versions.values():
        once(code, threads)
    rows = []
    for load in loads:
        turns = []
        with busy(load):
            for turn in range(repeats):
                order = sorted(versions, reverse=bool(turn % 2))
                turns.append({name: once(versions[name], threads) for name in order})
                print({name: round(found["seconds"], 1) for name, found in turns[-1].items()}, flush=True)
        for name in versions:
            row = {"version": name, "busy_processes": load, "repeats": repeats}
            for what, ratio in (("seconds", "ratio"), ("cpu_seconds", "cpu_ratio")):
                row[what] = statistics.median(turn[name][what] for turn in turns)
                row[ratio] = statistics.median(turn[name][what] / turn["other"][what] for turn in turns)
            rows.append({**row, "same": len({turn[name]["tables"] for turn in turns}) == 1})
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the folder of a checkout of the other version")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2], help="busy processes beside the runs")
    parser.add_argument("--threads", type=int, help="OMP_NUM_THREADS of both; not set if not given")
    parser.add_argument("--out", help="CSV file for the table")
    given = parser.parse_args()
    table = measured(given.other, given.repeats, given.busy, given.threads)
    print(table.to_string(index=False, float_format="{:.3f}".format))
    if given.out:
        write_table(given.out, table)


if __name__ == "__main__":
    main()
