"""What a training step of ResNet-20 spends on its data, and what bfloat16 saves of it.

    uv run python tests/benchmarks/training.py [--out FILE.csv]

Data: drawing, cropping, flipping and normalising a batch of 128 images of 32 x 32 against the whole step. bfloat16: the
step in float32 against the step under autocast. Each pair takes turns in one process; medians of 15.
"""

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from timing import compared, in_turns

from pathfinder import Split, build_model, fit_minimum
from pathfinder.memory import keep_freed_memory
from pathfinder.tables.csv_files import write_table

REPEATS, STEPS, BATCH = 15, 4, 128


def images() -> Split:
    """Enough images for a few steps; what they show does not matter."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 256, (STEPS * BATCH, 3, 32, 32), dtype=np.uint8))
    y = torch.from_numpy(rng.integers(0, 10, len(x)))
    return Split(x, y, 10, torch.full((3,), 0.5), torch.full((3,), 0.25)).augmented(crop=4, flip=True)


def steps(data: Split, precision: str) -> Callable[[], object]:
    """A few training steps."""
    module = build_model("resnet20", seed=0)
    return lambda: fit_minimum(
        module, data, epochs=1, lr=1e-3, batch_size=BATCH, schedule="constant", precision=precision
    )


def preparation(data: Split) -> Callable[[], object]:
    """The data of as many steps."""
    return lambda: [None for _ in data.epoch(BATCH, np.random.default_rng(0))]


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="CSV file for the table")
    out = parser.parse_args().out
    data, rows = images(), []
    for what, first, second in (
        ("data / float32 step", preparation(data), steps(data, "fp32")),
        ("data / bfloat16 step", preparation(data), steps(data, "bf16")),
        ("float32 step / bfloat16 step", steps(data, "fp32"), steps(data, "bf16")),
    ):
        rows.append({"what": what, "threads": torch.get_num_threads(), **compared(in_turns(first, second, REPEATS))})
        print("{what:30} ratio {ratio:.4f} ({ratio_min:.4f} to {ratio_max:.4f})".format(**rows[-1]))
    if out:
        write_table(out, pd.DataFrame(rows))


if __name__ == "__main__":
    keep_freed_memory()  # as commands do
    main()
