"""`pathfinder plot` and `pathfinder vtk`: figures and grids from the CSV files of a run."""

from pathlib import Path
from typing import Annotated

import typer

from pathfinder.cli.options import Clip, Linear


def plot(
    folders: Annotated[list[Path], typer.Argument(help="Folder of a run; several with --out.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder in which to draw several runs side by side.")
    ] = None,
    clip: Clip = 10.0,
    linear: Linear = False,
) -> None:
    """Redraw the figures of a run from its CSV files, or the landscapes of several runs on one scale."""
    from pathfinder.figures import draw, draw_together

    if out is None and len(folders) > 1:
        raise typer.BadParameter("several runs need a folder to draw into; name it with --out.")
    drawn = draw(folders[0], clip, not linear) if out is None else draw_together(folders, out, clip, not linear)
    for path in drawn:
        typer.echo(str(path))


def vtk(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that has surfaces.")],
    clip: Clip = 10.0,
    linear: Linear = False,
) -> None:
    """Write the surfaces of a run as .vts files for ParaView (needs pyvista)."""
    from pathfinder.figures.vtk import export_surfaces

    for path in export_surfaces(folder, clip, not linear):
        typer.echo(str(path))
