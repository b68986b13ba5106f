"""What kept memory and the number of threads change of the README's first command.

    uv run python tests/benchmarks/job.py [--repeats 5] [--set minimum.epochs=1 ...] [--out FILE.csv]

`pathfinder run digits`, on the digits that come with scikit-learn, takes turns with 1 thread and with all, and each of
these with and without the memory that commands keep; every run starts in an empty folder. A first turn that warms up is
left out. Medians; a ratio is that of neighbours, to the run with 1 thread and kept memory. Measure on quiet cores, or
next to known load, and say which.
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from pathfinder.tables.csv_files import write_table

_ALLOCATOR = ("MALLOC_", "GLIBC_TUNABLES", "OMP_NUM_THREADS")
_USERS_OWN = {"MALLOC_ARENA_TEST": "8"}  # the default on 64 bits: commands keep nothing then, and no more is changed


def once(threads: int, kept: bool, changes: list[str]) -> dict[str, float]:
    """Seconds of one run, of the processor in it, and its page faults."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_ALLOCATOR)}
    environment = own if kept else own | _USERS_OWN
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "pathfinder", "run", "digits", "--threads", str(threads)]
        words += ["--out", str(Path(folder) / "run"), *(f"--set={change}" for change in changes)]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "user_seconds": after.ru_utime - before.ru_utime,
        "system_seconds": after.ru_stime - before.ru_stime,
        "page_faults": after.ru_minflt - before.ru_minflt,
    }


def measured(repeats: int, changes: list[str]) -> pd.DataFrame:
    """Medians of each case, a row each."""
    cases = list(itertools.product(dict.fromkeys([1, os.cpu_count() or 1]), (True, False)))
    turns = []
    for turn in range(repeats + 1):
        order = cases if turn % 2 else cases[::-1]
        turns.append({case: once(*case, changes) for case in order})
    rows = []
    for case in cases:
        found = [turn[case] for turn in turns[1:]]
        medians = {name: statistics.median(one[name] for one in found) for name in found[0]}
        ratios = [turn[case]["seconds"] / turn[cases[0]]["seconds"] for turn in turns[1:]]
        ends = {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
        rows.append({"threads": case[0], "kept_memory": case[1], **medians, **ends})
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="changes", help="as for `pathfinder run`")
    parser.add_argument("--out", help="CSV file for the table")
    given = parser.parse_args()
    table = measured(given.repeats, given.changes).assign(load_average=os.getloadavg()[0])
    print(table.to_string(index=False, float_format="{:.3f}".format))
    if given.out:
        write_table(given.out, table)


if __name__ == "__main__":
    main()
