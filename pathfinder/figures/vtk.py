"""Write surfaces as VTK files for viewers such as ParaView: one structured grid each, as high as the loss."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pathfinder.errors import PathfinderError
from pathfinder.figures.levels import Scale
from pathfinder.figures.style import CLIP
from pathfinder.storage import write
from pathfinder.tables.csv_files import check_file_names, existing_table, read_table
from pathfinder.tables.scattered import is_grid, on_grid
from pathfinder.tables.schema import SURFACES
from pathfinder.tables.score_names import parse_score_column


def export_surfaces(folder: str | Path, clip: float = CLIP, log: bool = True, points: bool = False) -> list[Path]:
    """Write every surface of a run as FOLDER/vtk/SURFACE-MINIMUM.vts.

    Points are (x, y, height); the height is the train loss, or its logarithm to base 10. Every scored column is an
    array over the points, not clipped.

    Args:
        folder: of the run.
        clip: higher losses have this height, in nats.
        log: whether heights are logarithms.
        points: whether the scored points are written too, as FOLDER/vtk/SURFACE-MINIMUM-points.vtp.

    Returns:
        The files written.

    Raises:
        PathfinderError: if pyvista is not installed, or the run has no surface.
    """
    source = existing_table(folder, SURFACES, "`pathfinder score surface`, or `[[surfaces]]` in the config of a run")
    table, keys = read_table(source, SURFACES), ["surface", "name"]
    check_file_names(table, source, keys)
    scale = Scale(clip, log)
    contents = {}
    for key, rows in table[table["y"].notna()].groupby(keys, sort=False):
        name = "-".join(map(str, key))
        contents[f"{name}.vts"] = _bytes(_grid(rows, scale, source), ".vts")
        if points:
            contents[f"{name}-points.vtp"] = _bytes(_cloud(rows, scale), ".vtp")
    if not contents:
        raise PathfinderError(f"{folder} holds profiles only; score a surface over two axes first.")
    written = {Path(folder) / "vtk" / name: content for name, content in contents.items()}
    for path, content in written.items():  # none is written before all are made
        write(path, lambda scratch, content=content: scratch.write_bytes(content))
    return list(written)


def _grid(rows: pd.DataFrame, scale: Scale, source: Path) -> Any:
    try:
        import pyvista
    except ImportError as error:
        raise PathfinderError("VTK files need pyvista; install pathfinder-landscapes[vtk].") from error
    if not is_grid(rows):
        if "interpolation_gap" not in rows or rows["interpolation_gap"].isna().all():
            raise PathfinderError(f"table {source} is damaged: a surface lacks points; run the experiment again.")
        scored = [column for column in list(rows.columns)[list(rows.columns).index("y") + 1 :] if _is_score(column)]
        grids = {column: on_grid(rows, column) for column in scored}
        x, y = np.meshgrid(grids[scored[0]].columns, grids[scored[0]].index)
        flat = {column: grid.to_numpy().ravel() for column, grid in grids.items()}
        rows = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), **flat})
    rows = rows.sort_values(["y", "x"])  # VTK counts x fastest
    grid = pyvista.StructuredGrid()
    grid.points = _positions(rows, scale)
    grid.dimensions = [rows["x"].nunique(), rows["y"].nunique(), 1]
    return _filled(grid, rows)


def _cloud(rows: pd.DataFrame, scale: Scale) -> Any:
    """The points that were scored, at their heights."""
    import pyvista

    return _filled(pyvista.PolyData(_positions(rows, scale)), rows)


def _positions(rows: pd.DataFrame, scale: Scale) -> np.ndarray:
    """(points, 3): x, y and the height."""
    heights = scale.height(rows["train_loss"].clip(np.finfo(float).tiny if scale.log else None, scale.clip))
    return np.column_stack([rows["x"], rows["y"], heights])


def _filled(mesh: Any, rows: pd.DataFrame) -> Any:
    """The mesh with every number of the table as an array over its points."""
    for column in list(rows.columns)[list(rows.columns).index("y") + 1 :]:
        if pd.api.types.is_numeric_dtype(rows[column]):
            mesh.point_data[column] = rows[column].to_numpy()
    return mesh


def _is_score(column: str) -> bool:
    score = parse_score_column(column)
    return score is not None and score.statistic == "mean"


def _bytes(mesh: Any, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"surface{suffix}"  # which decides the format
        mesh.save(file)
        return file.read_bytes()
