"""Figures: drawn from the CSV files of a run alone, so that they can be redrawn years later."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.errors import PathfinderError, listed
from pathfinder.figures.barriers import barrier_figures
from pathfinder.figures.contours import Scale
from pathfinder.figures.curvature import curvature_figures
from pathfinder.figures.paths import path_figures
from pathfinder.figures.planes import plane_figures
from pathfinder.figures.style import CLIP, STYLE
from pathfinder.figures.surfaces import surface_figures
from pathfinder.figures.training import training_figures
from pathfinder.figures.weights import weight_figures
from pathfinder.storage import write
from pathfinder.tables.csv_files import check_file_names, read_table

# What figures are called, before .png
_OURS = re.compile(
    r"(paths|plane|training|profile|contours|filled|relief|curvature|ratio|barriers)-\w[\w.+:-]*|weights(-\d+)?"
)
_COLUMNS = {
    "paths": ["pair", "path", "t"],
    **{name: ["pair", "plane", "x", "y"] for name in ("planes", "plane_markers", "plane_paths")},
    "training": ["pair", "fit", "epoch"],
    "weights": ["pair", "name", "low", "high", "density"],
    "minima": ["pair", "name"],
    "surfaces": ["pair", "name", "surface", "x", "y", "train_loss"],
    "trajectory": ["pair", "name", "surface", "x", "y"],
    "curvature": ["pair", "name", "along", "ratio", "converged"],
    "summary": ["pair", "group"],
    "barriers": ["group", "a", "b", "method", "train_loss_barrier"],
}
_EMPTY = {"curvature": ["name"]}  # a path leads through no minimum
_ROW = {"surfaces": ["pair", "name", "surface", "x", "y"], "planes": ["pair", "plane", "x", "y"]}


def draw(folder: str | Path, clip: float = CLIP, log: bool = True) -> list[Path]:
    """Draw every figure the tables of a run allow into its `figures` folder.

    Args:
        folder: of the run.
        clip: nats above which landscapes are drawn flat.
        log: whether their levels are even in the logarithm.

    Returns:
        The files written.

    Raises:
        PathfinderError: if the folder holds no table to draw.
    """
    folder = _existing(folder)
    groups = _groups(folder)
    has = {path.stem for path in folder.glob("*.csv")}
    with mpl.rc_context(STYLE), _from([folder]):
        figures = _of_paths(folder, has, groups) | _of_landscapes([folder], Scale(clip, log))
        if "training" in has:
            figures |= training_figures(_table(folder, "training"), groups)
        if "barriers" in has:
            figures |= barrier_figures(_table(folder, "barriers"))
        if "weights" in has:
            tables = [_table(folder, name) for name in ("weights", "training", "minima", "paths")]
            figures |= weight_figures(*tables, groups)
        if not figures and "curvature" not in has:
            raise PathfinderError(f"{folder} holds no table to draw, such as paths.csv; give the folder of a run.")
        drawn = _save(figures, folder)
    if (folder / "run.json").is_file():  # else the folder may be anybody's
        for path in set((folder / "figures").glob("*.png")) - set(drawn):
            if _OURS.fullmatch(path.stem) and path.is_file() and not path.is_symlink():  # its table is no longer there
                path.unlink()
    return drawn


def draw_together(folders: Sequence[str | Path], out: str | Path, clip: float = CLIP, log: bool = True) -> list[Path]:
    """Draw the profiles, surfaces and curvature of several runs side by side, on one scale, into `figures` of a folder.

    Surfaces of one name share a figure.

    Raises:
        PathfinderError: if none of the folders holds a table of these.
    """
    folders = [_existing(folder) for folder in folders]
    with mpl.rc_context(STYLE), _from(folders):
        figures = _of_landscapes(folders, Scale(clip, log))
        if not figures:
            raise PathfinderError(f"{listed(map(str, folders))} hold no surfaces.csv and no curvature.csv; score some.")
        return _save(figures, Path(out))


def _of_paths(folder: Path, has: set[str], groups: dict[str, str]) -> dict[str, Figure]:
    figures = path_figures(_table(folder, "paths"), groups) if "paths" in has else {}
    if "planes" in has:
        figures |= plane_figures(*(_table(folder, name) for name in ("planes", "plane_markers", "plane_paths")))
    return figures


def _of_landscapes(folders: Sequence[Path], scale: Scale) -> dict[str, Figure]:
    called = _called(folders)
    surfaces, trajectory, curvature = (
        pd.concat([_named(folder, name, title) for folder, title in called.items()], ignore_index=True)
        for name in ("surfaces", "trajectory", "curvature")
    )
    figures = surface_figures(surfaces, trajectory, scale) if len(surfaces) else {}
    return {**figures, **(curvature_figures(curvature) if len(curvature) else {})}


def _called(folders: Sequence[Path]) -> dict[Path, str]:
    """What to put before the names of each run, if there are several: its folder, with what is above it if need be."""
    several = list(dict.fromkeys(folders))
    alone = len({folder.name for folder in several}) == len(several)
    return {f: "" if len(several) == 1 else f"{f.name if alone else f} " for f in several}


def _named(folder: Path, name: str, title: str) -> pd.DataFrame:
    """A table of a run with its title before every name, and what a minimum scores behind its own."""
    table, minima = _table(folder, name), _table(folder, "minima")
    if table.empty:
        return table
    scores = dict(zip(minima["name"], minima["test_error"], strict=True)) if "test_error" in minima else {}
    scored = {one: f"{one}, test error {error:.1f} %" for one, error in scores.items()}
    names = ["" if pd.isna(one) else one for one in table["name"]]
    return table.assign(pair=title + table["pair"], name=[title + scored.get(one, one) for one in names])


@contextmanager
def _from(folders: Sequence[Path]) -> Iterator[None]:
    """What goes wrong while tables are drawn, where each was fine by itself, is the tables' fault, in one line."""
    try:
        yield
    except PathfinderError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PathfinderError(
            f"the tables of {listed(map(str, folders))} do not fit together and cannot be drawn ({reason}); "
            "run the experiment again."
        ) from error


def _save(figures: dict[str, Figure], folder: Path) -> list[Path]:
    """Write the figures; all are drawn before the first is written."""
    contents = {folder / "figures" / f"{_file_name(name)}.png": _png(figure) for name, figure in figures.items()}
    for path, content in contents.items():
        write(path, lambda scratch, content=content: scratch.write_bytes(content))
    return list(contents)


def _file_name(name: str) -> str:
    """A figure's name, with the folder of its run in it where there are several, as the name of a file."""
    return name.replace("/", "-").replace("\\", "-")


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _groups(folder: Path) -> dict[str, str]:
    """The group of each pair, as the summary says."""
    summary = _table(folder, "summary").drop_duplicates("pair")
    return dict(zip(summary["pair"], summary["group"], strict=True))


def _existing(folder: str | Path) -> Path:
    if not Path(folder).is_dir():
        raise PathfinderError(f"{folder} is no folder; give the folder of a run, with its CSV files.")
    return Path(folder)


def _table(folder: Path, name: str) -> pd.DataFrame:
    """A table of a run with the columns its figures need, or one without rows."""
    path, columns = folder / f"{name}.csv", _COLUMNS[name]
    if not path.exists():
        return pd.DataFrame(columns=columns)
    table = read_table(path, columns, _EMPTY.get(name, ()), _ROW.get(name, ()))
    check_file_names(table, path)
    return table
