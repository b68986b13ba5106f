"""Draw the figures of a run from its CSV files alone, so that they can be redrawn years later."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style as mpl_style
import pandas as pd
from matplotlib.figure import Figure

from pathfinder.errors import PathfinderError, list_names
from pathfinder.figures.barriers import barrier_figures
from pathfinder.figures.curvature import curvature_figures
from pathfinder.figures.image_files import as_pdf, as_png
from pathfinder.figures.levels import LevelChoice, Scale
from pathfinder.figures.paths import path_figures
from pathfinder.figures.planes import plane_figures
from pathfinder.figures.race import race_figures
from pathfinder.figures.style import CLIP, DARK, STYLE
from pathfinder.figures.surfaces import surface_figures
from pathfinder.figures.training import training_figures
from pathfinder.figures.weights import weight_figures
from pathfinder.storage import write
from pathfinder.tables.csv_files import check_file_names, existing_folder, read_table
from pathfinder.tables.drawn import KINDS, kinds_in, remove_others
from pathfinder.tables.schema import (
    CURVATURE,
    MINIMA,
    PATHS,
    PLANE_MARKERS,
    PLANE_PATHS,
    POINT,
    RACE_METHODS,
    RESCORED,
    SUMMARY,
    SURFACES,
    TABLES,
    TRAINING,
    TRAJECTORY,
)  # fmt: skip
from pathfinder.tables.table import Table

_STYLE = ["default", STYLE]  # not the user's own, or the same tables would not give the same bytes


def draw(
    folder: str | Path,
    clip: float = CLIP,
    log: bool = True,
    pdf: bool = False,
    levels: LevelChoice = "paper",
    kinds: Sequence[str] | None = None,
    points: bool = False,
) -> list[Path]:
    """Draw every figure for which a run has tables, into its folder `figures`.

    Args:
        folder: of the run.
        clip: losses above this are drawn as this one in landscapes, in nats.
        log: whether the levels of landscapes are evenly spaced in the logarithm.
        pdf: whether a PDF file is written next to each PNG file; those that are there are always drawn again.
        levels: of contour lines: `paper`, from 0.1 to 10 in steps of 0.5 (Li et al. 2018), or `log`.
        kinds: of figures, some of `kinds_in`; if not given, all are drawn, and those without a table are removed.
        points: whether the scored points are marked on maps.

    Returns:
        The files written.

    Raises:
        PathfinderError: if the folder holds no table to draw, or a damaged one.
    """
    folder = existing_folder(folder)
    with mpl_style.context(_STYLE), _blame([folder]):
        figures: dict[str, Figure] = {}
        for kind in kinds_in(folder) if kinds is None else kinds:
            figures |= _figures_of(folder, kind, Scale(clip, log, levels, points))
        if not figures and not any(_path(folder, table).exists() for table in (CURVATURE, POINT)):  # they have none
            raise _no_run(folder)
        drawn = _save(figures, folder, pdf)
    if kinds is None:
        remove_others(folder, drawn)
    return drawn


def draw_together(
    folders: Sequence[str | Path],
    out: str | Path,
    clip: float = CLIP,
    log: bool = True,
    pdf: bool = False,
    levels: LevelChoice = "paper",
    surfaces: Sequence[str] = (),
    dark: bool = False,
    points: bool = False,
) -> list[Path]:
    """Draw the landscapes of several runs side by side on one scale; surfaces of the same name share a figure.

    Args:
        folders: of the runs.
        out: the folder in whose folder `figures` they are drawn.
        clip, log, pdf, levels, points: as for `draw`.
        surfaces: the names of the surfaces to draw, all in one figure; all surfaces if none is named.
        dark: whether letters are light and the page is dark.

    Returns:
        The files written.

    Raises:
        PathfinderError: if one of the runs has neither surfaces nor curvature, or a table is damaged.
    """
    folders = [existing_folder(folder) for folder in folders]
    for folder in folders:
        if not any(_path(folder, table).exists() for table in (SURFACES, CURVATURE)):
            raise PathfinderError(
                f"{folder} has no table surfaces.csv and no curvature.csv, so no landscape to draw with others; make "
                "one with `pathfinder score surface` or `pathfinder curvature surface`."
            )
    with mpl_style.context([*_STYLE, DARK] if dark else _STYLE), _blame(folders):
        figures = _figures_of_landscapes(folders, Scale(clip, log, levels, points), surfaces)
        if not figures:
            raise PathfinderError(
                f"{list_names(map(str, folders))} hold no surface and no curvature along paths or over surfaces; make "
                "some with `pathfinder score surface`."
            )
        return _save(figures, Path(out), pdf)


def _figures_of(folder: Path, kind: str, scale: Scale) -> dict[str, Figure]:
    """The figures of a kind; none if the tables have no rows."""
    if kind == "landscapes":
        return _figures_of_landscapes([folder], scale)
    rows = _read(folder, KINDS[kind][0])
    if not len(rows):
        return {}
    summary = _read(folder, SUMMARY).drop_duplicates("pair")
    groups = dict(zip(summary["pair"], summary["group"], strict=True))
    if kind == "paths":
        return path_figures(rows, _read(folder, RESCORED), groups)
    if kind == "planes":
        return plane_figures(rows, _read(folder, PLANE_MARKERS), _read(folder, PLANE_PATHS), scale.points)
    if kind == "training":
        return training_figures(rows, groups)
    if kind == "barriers":
        return barrier_figures(rows)
    if kind == "race":
        return race_figures(rows, _read(folder, RACE_METHODS))
    return weight_figures(rows, _read(folder, TRAINING), _read(folder, MINIMA), _read(folder, PATHS), groups)


def _figures_of_landscapes(folders: Sequence[Path], scale: Scale, chosen: Sequence[str] = ()) -> dict[str, Figure]:
    """The figures of what lies around minima, those of several runs together, and of curvature."""
    surfaces, trajectory, curvature, minima = (
        pd.concat([_read_titled(folder, table, title) for folder, title in _titles(folders).items()], ignore_index=True)
        for table in (SURFACES, TRAJECTORY, CURVATURE, MINIMA)
    )
    curvature = curvature.reindex(columns=list(dict.fromkeys([*curvature.columns, "t"])))
    if chosen:
        found = {*surfaces["surface"], *curvature["along"][curvature["t"].isna()]}  # t is that of paths
        if missing := [name for name in chosen if name not in found]:
            raise PathfinderError(
                f"{list_names(map(str, folders))} hold no surface named {list_names(missing)}; they hold "
                f"{list_names(sorted(map(str, found))) or 'none'}."
            )
        surfaces, curvature = surfaces[surfaces["surface"].isin(chosen)], curvature[curvature["along"].isin(chosen)]
    minima = minima.drop_duplicates("name").set_index("name")
    figures = surface_figures(surfaces, trajectory, minima, scale, bool(chosen)) if len(surfaces) else {}
    return {**figures, **(curvature_figures(curvature, minima, scale.points) if len(curvature) else {})}


def _titles(folders: Sequence[Path]) -> dict[Path, str]:
    """What to write before the names of each run: nothing for one, else its folder, as much of it as is needed."""
    several = list(dict.fromkeys(folders))
    distinct = len({folder.name for folder in several}) == len(several)
    return {f: "" if len(several) == 1 else f"{f.name if distinct else f} " for f in several}


def _read_titled(folder: Path, table: Table, title: str) -> pd.DataFrame:
    """A table of a run with the run's title before every name."""
    rows = _read(folder, table)
    return rows.assign(pair=title + rows["pair"], name=title + rows["name"].fillna("")) if len(rows) else rows


@contextmanager
def _blame(folders: Sequence[Path]) -> Generator[None, None, None]:
    """Turn an error while drawing into one line: tables that are whole one by one may not fit together."""
    try:
        yield
    except PathfinderError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PathfinderError(
            f"the tables of {list_names(map(str, folders))} do not fit together and cannot be drawn ({reason}); "
            "run the experiment again."
        ) from error


def _save(figures: dict[str, Figure], folder: Path, pdf: bool) -> list[Path]:
    """Write the figures, once all are drawn."""
    contents = {}
    for name, figure in figures.items():
        file = name.replace("/", "-").replace("\\", "-")  # the name of a pair may begin with the folder of its run
        path = folder / "figures" / f"{file}.png"
        contents[path] = as_png(figure)
        if pdf or path.with_suffix(".pdf").is_file():  # one from before would show other numbers
            contents[path.with_suffix(".pdf")] = as_pdf(figure)
    for path, content in contents.items():
        write(path, lambda scratch, content=content: scratch.write_bytes(content))
    return list(contents)


def _no_run(folder: Path) -> PathfinderError:
    """The error for a folder without tables, naming a run in it if there is one."""
    runs = sorted(path.parent for name in TABLES for path in folder.glob(f"*/{name}.csv"))
    example = f", such as {runs[0]}" if runs else ""
    return PathfinderError(
        f"{folder} holds no table to draw, such as paths.csv or surfaces.csv, which `pathfinder run`, `connect` or "
        f"`score` makes; give the folder of a run{example}."
    )


def _path(folder: Path, table: Table) -> Path:
    return folder / f"{table.name}.csv"


def _read(folder: Path, table: Table) -> pd.DataFrame:
    """A table of a run, or one without rows if the run does not have it."""
    path = _path(folder, table)
    if not path.exists():
        return pd.DataFrame(columns=list(table.needed))
    rows = read_table(path, table)
    check_file_names(rows, path)
    return rows
