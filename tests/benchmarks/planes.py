"""Points that the losses choose over a plane, against an equal grid of as many.

    uv run python tests/benchmarks/planes.py FOLDER... [--points 100 200 400] [--out FILE.csv]

Each full grid of surfaces.csv and planes.csv in the folders of runs stands in for the network: a bicubic spline
through log(loss + 0.01). From the points chosen, and by a bicubic spline from the equal grid, that is interpolated at
the nodes of the full grid and clipped at 10 nats. `error` is the 95th percentile of what it is off by, `error_grid`
that of the equal grid; `gap` and `converged` are what a user would see, at the default tolerance.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.interpolate import RectBivariateSpline

from pathfinder.scoring.adaptive_plane import CLIP, FLOOR, ROUND, TOLERANCE, ask, heights_of, interpolate, judge
from pathfinder.tables.csv_files import read_table, write_table
from pathfinder.tables.scattered import is_grid

_SHARE = 95  # percent of the nodes are known better


class Landscape:
    """Heights between the nodes of a grid.

    Args:
        grid: losses by y (rows) and x (columns).
    """

    def __init__(self, grid: pd.DataFrame) -> None:
        self._x, self._y = grid.columns.to_numpy(), grid.index.to_numpy()
        self._heights = heights_of(grid.to_numpy().ravel()).reshape(grid.shape)
        self._spline = RectBivariateSpline(self._y, self._x, self._heights)
        self.bounds = tuple((float(axis[0]), float(axis[-1])) for axis in (self._x, self._y))
        self._nodes = np.stack(np.meshgrid(self._x, self._y), axis=-1).reshape(-1, 2)

    def losses(self, t: np.ndarray) -> np.ndarray:
        """Losses at points."""
        return np.exp(self._spline(t[:, 1], t[:, 0], grid=False)) - FLOOR

    def error(self, heights: np.ndarray) -> float:
        """By how much interpolated heights at the nodes are off."""
        highest = np.log(CLIP + FLOOR)
        return float(np.percentile(np.abs(heights.clip(max=highest) - self._heights.ravel().clip(max=highest)), _SHARE))

    def by_grid(self, points: int) -> float:
        """The error of a spline through an equal grid of so many points, or a few less."""
        x, y = (np.linspace(*ends, int(points**0.5)) for ends in self.bounds)
        known = heights_of(self.losses(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)))
        return self.error(RectBivariateSpline(y, x, known.reshape(len(y), len(x)))(self._y, self._x).ravel())

    def by_choice(self, points: int) -> list[dict[str, float]]:
        """What is known after each round of chosen points."""
        found, losses = [], np.zeros(0)
        while len(losses) < points:
            t = ask(self.bounds, losses)
            losses = self.losses(t.numpy())
            known = judge(t, losses, TOLERANCE)
            error = self.error(interpolate(t.numpy(), heights_of(losses), self._nodes))
            found.append({"points": len(t), "error": error, "gap": known.error, "converged": known.reached})
        return found


def landscapes(folder: Path) -> dict[str, Landscape]:
    """All full grids of a run over two axes, by name."""
    found = {}
    for table, keys in (("surfaces", ["pair", "name", "surface"]), ("planes", ["pair", "plane"])):
        if not (folder / f"{table}.csv").is_file():
            continue
        rows = read_table(folder / f"{table}.csv").dropna(subset="y")
        for name, part in rows.groupby(keys, sort=False):
            if is_grid(part) and len(part) > ROUND:
                grid = part.pivot(index="y", columns="x", values="train_loss")
                found[f"{folder.name} {table[:-1]} {'-'.join(dict.fromkeys(map(str, name)))}"] = Landscape(grid)
    return found


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="of runs")
    parser.add_argument("--points", nargs="+", type=int, default=[100, 200, 400])
    parser.add_argument("--out", help="CSV file for the table")
    given = parser.parse_args()
    rows = []
    for folder in given.folders:
        for name, landscape in landscapes(folder).items():
            for row in landscape.by_choice(max(given.points)):
                if row["points"] in given.points:
                    grid = landscape.by_grid(int(row["points"]))
                    rows.append({"landscape": name, **row, "error_grid": grid, "ratio": row["error"] / grid})
                    print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    if given.out:
        write_table(given.out, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
