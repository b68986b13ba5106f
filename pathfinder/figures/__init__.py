"""Figures: drawn from the CSV files of a run alone, so that they can be redrawn years later."""

import io
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.errors import PathfinderError
from pathfinder.figures.curvature import curvature_figures
from pathfinder.figures.paths import path_figures
from pathfinder.figures.planes import plane_figures
from pathfinder.figures.style import STYLE
from pathfinder.figures.surfaces import surface_figures
from pathfinder.figures.training import training_figures
from pathfinder.figures.weights import weight_figures
from pathfinder.storage import write
from pathfinder.tables import read_table


def draw(folder: str | Path) -> list[Path]:
    """Draw every figure the tables of a run allow into its `figures` folder.

    Returns:
        The files written.

    Raises:
        PathfinderError: if the folder holds no table to draw.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PathfinderError(f"{folder} is no folder; give the folder of a run, with its CSV files.")
    figures: dict[str, Figure] = {}
    groups = _groups(folder)
    with mpl.rc_context(STYLE):
        if (folder / "paths.csv").exists():
            figures |= path_figures(read_table(folder / "paths.csv", ["pair", "path", "t"]), groups)
        if (folder / "planes.csv").exists():
            names = ("planes", "plane_markers", "plane_paths")
            figures |= plane_figures(
                *(read_table(folder / f"{name}.csv", ["pair", "plane", "x", "y"]) for name in names)
            )
        if (folder / "training.csv").exists():
            figures |= training_figures(read_table(folder / "training.csv", ["pair", "fit", "epoch"]), groups)
        if (folder / "weights.csv").exists():
            weights = read_table(folder / "weights.csv", ["pair", "name", "low", "high", "density"])
            training = _optional(folder / "training.csv", ["pair", "fit", "epoch", "norm"])
            figures |= weight_figures(weights, training, _optional(folder / "minima.csv", ["pair", "name"]), groups)
        if (folder / "surfaces.csv").exists():
            surfaces = read_table(folder / "surfaces.csv", ["pair", "name", "surface", "x", "y", "train_loss"])
            figures |= surface_figures(surfaces, _optional(folder / "trajectory.csv", ["name", "surface", "x", "y"]))
        if (folder / "curvature.csv").exists():
            figures |= curvature_figures(read_table(folder / "curvature.csv", ["pair", "along", "ratio", "converged"]))
        if not figures and not (folder / "curvature.csv").exists():
            raise PathfinderError(f"{folder} holds no table to draw, such as paths.csv; give the folder of a run.")
        drawn = [_saved(figure, folder / "figures" / f"{name}.png") for name, figure in figures.items()]
    for path in set((folder / "figures").glob("*.png")) - set(drawn):  # of tables that are no longer there
        path.unlink()
    return drawn


def _saved(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write(path, lambda scratch: scratch.write_bytes(content.getvalue()))
    return path


def _groups(folder: Path) -> dict[str, str]:
    """The group of each pair, as the summary says."""
    if not (folder / "summary.csv").exists():
        return {}
    summary = read_table(folder / "summary.csv", ["pair", "group"]).drop_duplicates("pair")
    return dict(zip(summary["pair"], summary["group"], strict=True))


def _optional(path: Path, columns: list[str]) -> pd.DataFrame:
    return read_table(path, columns) if path.exists() else pd.DataFrame(columns=columns)
