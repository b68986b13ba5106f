"""Memory a call takes beyond what was there, in copies of the weights.

    uv run python tests/benchmarks/memory.py [--only ROW ...] [--out FILE.csv]

Each row runs in a process of its own, first on a small network, so that what libraries set aside once does not count.
Then the kernel's mark of the largest resident set is put back to what is in use (Linux: 5 to /proc/self/clear_refs),
and read after the call. An allocator that maps every large block for itself gives freed memory back at once, so the
mark is that of what was held, without sampling.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from pathfinder import Bezier, Evaluator, Line, Plane, Split, WeightSpace, fit_curve, fit_minimum
from pathfinder import principal_directions as principal
from pathfinder import random_directions as drawn
from pathfinder.landscape.hessian import Hessian
from pathfinder.storage import save_tensors
from pathfinder.symmetry.matching import match_weights
from pathfinder.tables.csv_files import write_table

BATCH, CLASSES, INPUTS = 64, 10, 64
_MAP_LARGE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "OMP_NUM_THREADS": "1"}

Call = Callable[[], object]


class Case:
    """A network of many weights, data for one batch, and as many weight vectors as a row asks for."""

    def __init__(self, width: int) -> None:
        torch.manual_seed(0)
        layers: list[nn.Module] = [nn.Linear(INPUTS, width), nn.ReLU()]
        for _ in range(6):
            layers += [nn.Linear(width, width), nn.ReLU()]
        self.module = nn.Sequential(*layers, nn.Linear(width, CLASSES))
        self.space = WeightSpace(self.module)
        self.data = Split(torch.randn(2 * BATCH, INPUTS), torch.randint(CLASSES, (2 * BATCH,)), CLASSES)

    def vectors(self, count: int) -> list[torch.Tensor]:
        """Weight vectors near the module's own."""
        own = self.space.vector(self.module)
        return [own + 0.01 * torch.randn(self.space.size) for _ in range(count)]


def _fit_minimum(case: Case) -> Call:
    return lambda: fit_minimum(case.module, case.data, epochs=6, lr=1e-3, momentum=0.9, batch_size=BATCH)


def _fit_curve(case: Case) -> Call:
    curve = Bezier(*case.vectors(2))
    return lambda: fit_curve(curve, case.space, case.data, epochs=6, lr=1e-3, momentum=0.9, batch_size=BATCH)


def _five(case: Case) -> Bezier:
    a, b, *bends = case.vectors(5)
    return Bezier(a, b, bends=torch.stack(bends))


def _norm(case: Case) -> Call:
    curve = _five(case)
    return lambda: curve.norm(torch.linspace(0, 1, 61, dtype=torch.float64))


def _length(case: Case) -> Call:
    return _five(case).length


def _line(case: Case) -> Call:
    line = Line(*case.vectors(2))
    evaluator = Evaluator(case.space, {"train": case.data}, batch_size=BATCH)
    return lambda: evaluator.score(line, 3)


def _plane(case: Case) -> Call:
    plane = Plane.around(*case.vectors(1), *drawn(case.space, *case.vectors(1)))
    evaluator = Evaluator(case.space, {"train": case.data}, batch_size=BATCH)
    return lambda: evaluator.score(plane, plane.grid(2, span=1.0))


def _through(case: Case) -> Call:
    points = case.vectors(3)
    return lambda: Plane.through(*points)


def _random(case: Case) -> Call:
    (theta,) = case.vectors(1)
    return lambda: drawn(case.space, theta, 2)


def _principal(case: Case) -> Call:
    thetas = case.vectors(6)
    return lambda: principal(thetas)


def _product(case: Case) -> Call:
    (theta, vector) = case.vectors(2)
    hessian = Hessian(case.space, theta, case.data, batch_size=BATCH)
    return lambda: hessian.product(vector)


def _extremes(case: Case) -> Call:
    (theta,) = case.vectors(1)
    hessian = Hessian(case.space, theta, case.data, batch_size=BATCH)
    return lambda: hessian.extremes(tolerance=0.5, most=20)


def _match(case: Case) -> Call:
    a, b = case.vectors(2)
    return lambda: match_weights(case.space, a, b, inputs=case.data.x[:2], orders=1, sweeps=2)


def _save(case: Case) -> Call:
    (theta,) = case.vectors(1)
    path = Path(tempfile.mkdtemp(), "weights.safetensors")
    return lambda: (save_tensors(path, {"theta": theta}, {}), path.unlink())


ROWS: dict[str, tuple[Callable[[Case], Call], float]] = {  # and how many copies are needed
    "fit_minimum, SGD with momentum": (_fit_minimum, 3),
    "fit_curve, one bend": (_fit_curve, 5),
    "curve.norm, 5 anchors": (_norm, 0),
    "curve.length, 5 anchors": (_length, 0),
    "score line": (_line, 2),
    "score plane": (_plane, 2),
    "Plane.through": (_through, 3),
    "random_directions, two": (_random, 2),
    "principal_directions, 6 checkpoints": (_principal, 2),
    "Hessian.product": (_product, 3),
    "Hessian.extremes": (_extremes, 40),
    "match_weights": (_match, 3),
    "save_tensors": (_save, 0),
}


def resident(mark: str) -> int:
    """Bytes in use (VmRSS), or the most there were (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{mark}:"))


def measured(row: str, width: int) -> dict[str, float]:
    """What a row takes, here."""
    prepare, needed = ROWS[row]
    prepare(Case(32))()
    case = Case(width)
    call = prepare(case)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    kept = call()
    beyond = resident("VmHWM") - before
    del kept
    return {"weights": case.space.size, "copies": round(beyond / (4 * case.space.size), 2), "needed": needed}


def main() -> None:
    """Measure all rows, print them and write them as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=ROWS, default=list(ROWS), help="rows to measure")
    parser.add_argument("--width", type=int, default=2048, help="of the network's seven hidden layers")
    parser.add_argument("--out", help="CSV file for the table")
    parser.add_argument("--here", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measured(arguments.here, arguments.width)))
        return
    rows = []
    for row in arguments.only:
        command = [sys.executable, __file__, "--here", row, "--width", str(arguments.width)]
        done = subprocess.run(command, env={**os.environ, **_MAP_LARGE}, capture_output=True, text=True, check=True)
        rows.append({"call": row, **json.loads(done.stdout.splitlines()[-1])})
        print("{call:38} {copies:6.2f} copies, {needed} needed".format(**rows[-1]))
    if arguments.out:
        write_table(arguments.out, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
