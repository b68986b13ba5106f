"""How often the interval of a barrier holds the truth, and how wide it is.

    uv run python tests/benchmarks/coverage.py [--out FILE.csv]

The truth is known because the examples are drawn, with replacement, from a population: the scores of every digit along
the line and a Bezier curve between two perceptrons trained here, and two paths made up of normal noise, a plateau of 1
nat and one without any barrier, each with wiggles of its own at every point (the worst case: no two points agree). The
width is compared with that of a normal interval at the point found highest, argmax -+ 1.96 standard errors, which knows
nothing of the choice of the point.
"""

import argparse

import numpy as np
import pandas as pd
import torch

from pathfinder import Bezier, Evaluator, Line, WeightSpace, build_model, fit_curve, fit_minimum, load_data
from pathfinder.tables.csv_files import write_table
from pathfinder.tables.intervals import barrier_interval
from pathfinder.tables.summary import read_off

SETS, POINTS, EXAMPLES = 300, 61, (200, 1000)
T = np.linspace(0, 1, POINTS)


def trained() -> dict[str, np.ndarray]:
    """Loss and error of all digits along the line and the curve between two perceptrons, (points, examples) each."""
    data = load_data("digits")
    everything = tuple(torch.cat([getattr(split, axis) for split in data.values()]) for axis in ("x", "y"))
    ends = []
    for seed in (0, 1):
        module = build_model("mlp", seed=seed, input_shape=(1, 8, 8))
        fit_minimum(module, data["train"], epochs=15, lr=0.05, seed=seed)
        ends.append(module)
    space = WeightSpace(ends[0])
    a, b = (space.vector(module) for module in ends)
    curve = Bezier(a, b, bends=1)
    fit_curve(curve, space, data["train"], epochs=15, lr=0.05)
    found = {}
    for name, path in (("line", Line(a, b)), ("bezier", curve)):
        scores = Evaluator(space, {"all": everything}).score(path, POINTS)
        found |= {f"{name}, {metric}": values for (metric, _), values in scores.per_example.items()}
    return found


def made_up(examples: int = 20_000) -> dict[str, np.ndarray]:
    """Losses with the same mean at every point, or at all but the ends, and noise independent from point to point."""
    rng = np.random.default_rng(0)
    paths = {}
    for name, inside in (("plateau", 1.0), ("flat", 0.0)):
        noise = rng.normal(0, 0.1, (POINTS, examples))
        height = np.full((POINTS, 1), inside)
        height[[0, -1]] = 0
        paths[f"{name}, loss"] = height + noise - noise.mean(1, keepdims=True)
    return paths


def excess(values: np.ndarray) -> np.ndarray:
    """Of each example over the straight line between its own ends, (points, examples)."""
    return values - (1 - T[:, None]) * values[0] - T[:, None] * values[-1]


def measured(values: np.ndarray, examples: int) -> dict[str, float]:
    """Intervals of data sets drawn from the population: how many hold its barrier, how many miss it on which side."""
    truth = read_off(T, T, values.mean(1, dtype=np.float64))["barrier"]
    rng = np.random.default_rng(examples)
    found, ends, normal = [], [], []
    for seed in range(SETS):
        drawn = values[:, rng.integers(values.shape[1], size=examples)]
        over = excess(drawn.astype(np.float64))
        top = over.mean(1).argmax()
        found.append(over.mean(1)[top])
        normal.append(2 * 1.96 * over[top].std(ddof=1) / examples**0.5)
        ends.append(barrier_interval(T, drawn, seed))
    low, high = np.array(ends).T
    slack = 1e-9 * max(truth, 1.0)  # of the sums
    below, above = (low > truth + slack).mean(), (high < truth - slack).mean()
    width = float(np.mean(high - low))
    return {
        "examples": examples,
        "truth": truth,
        "mean_found": float(np.mean(found)),
        "covered": 1 - below - above,
        "truth_below": below,
        "truth_above": above,
        "width": width,
        "normal_width": float(np.mean(normal)),
        "width_ratio": width / float(np.mean(normal)),
    }


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="CSV file for the table")
    asked = parser.parse_args()
    rows = []
    for name, values in {**trained(), **made_up()}.items():
        for examples in EXAMPLES:
            rows.append({"population": name, "points": POINTS, "sets": SETS, **measured(values, examples)})
            print(", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items()))
    if asked.out:
        write_table(asked.out, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
