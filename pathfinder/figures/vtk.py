"""Surfaces as files for ParaView and other viewers of VTK: one structured grid for each, its height the loss."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pathfinder.errors import PathfinderError
from pathfinder.figures.contours import Scale
from pathfinder.figures.style import CLIP
from pathfinder.storage import write
from pathfinder.tables.csv_files import check_file_names, read_table


def export_surfaces(folder: str | Path, clip: float = CLIP, log: bool = True) -> list[Path]:
    """Write every surface of a run as FOLDER/vtk/SURFACE-MINIMUM.vts.

    Points are (x, y, height), where the height is the train loss, its logarithm to base 10 if `log`, of at most `clip`
    nats. Every scored column is an array over the points, unclipped.

    Returns:
        The files written.

    Raises:
        PathfinderError: if pyvista is not installed, or the run has no surface.
    """
    source = Path(folder) / "surfaces.csv"
    keys = ["surface", "name"]
    table = read_table(source, [*keys, "x", "y", "train_loss"], row=[*keys, "x", "y"])
    check_file_names(table, source, keys)
    scale = Scale(clip, log)
    surfaces = table[table["y"].notna()].groupby(keys, sort=False)
    contents = {"-".join(key): _bytes(_grid(rows, scale, source)) for key, rows in surfaces}
    if not contents:
        raise PathfinderError(f"{folder} holds profiles only; score a surface over two axes first.")
    written = {Path(folder) / "vtk" / f"{name}.vts": content for name, content in contents.items()}
    for path, content in written.items():  # all made before the first is written
        write(path, lambda scratch, content=content: scratch.write_bytes(content))
    return list(written)


def _grid(rows: pd.DataFrame, scale: Scale, source: Path) -> Any:
    try:
        import pyvista
    except ImportError as error:
        raise PathfinderError("files for VTK need pyvista; install pathfinder[vtk].") from error
    if len(rows) != rows["x"].nunique() * rows["y"].nunique():
        raise PathfinderError(f"table {source} is damaged: a surface lacks points; run the experiment again.")
    rows = rows.sort_values(["y", "x"])  # VTK counts x fastest
    heights = scale.height(rows["train_loss"].clip(np.finfo(float).tiny if scale.log else None, scale.clip))
    grid = pyvista.StructuredGrid()
    grid.points = np.column_stack([rows["x"], rows["y"], heights])
    grid.dimensions = [rows["x"].nunique(), rows["y"].nunique(), 1]
    for column in rows.columns[rows.columns.get_loc("y") + 1 :]:
        if pd.api.types.is_numeric_dtype(rows[column]):
            grid.point_data[column] = rows[column].to_numpy()
    return grid


def _bytes(grid: Any) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "surface.vts"  # the ending decides the format
        grid.save(file)
        return file.read_bytes()
