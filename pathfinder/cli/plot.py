"""`pathfinder plot` and `pathfinder vtk`: figures and grids from the CSV files of a run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pathfinder.cli.choices import Format, Lines
from pathfinder.cli.options import Clip, Linear


def plot(
    folders: Annotated[list[Path], typer.Argument(help="Folder of a run; several with --out.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder in which to draw several runs side by side.")
    ] = None,
    clip: Clip = 10.0,
    linear: Linear = False,
    format: Annotated[Format, typer.Option(help="pdf writes vector files next to the PNG files.")] = "png",
    levels: Annotated[
        Lines, typer.Option(help="Contour lines: paper, 0.1 to 10 in steps of 0.5 (Li et al. 2018), or log.")
    ] = "paper",
    surface: Annotated[
        list[str] | None,
        typer.Option(help="Draw only the surface of this name, with --out. Repeat to draw several in one figure."),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Light letters on a dark page, with --out.")] = False,
    points: Annotated[bool, typer.Option("--points", help="Mark the scored points on maps.")] = False,
) -> None:
    """Redraw the figures of a run from its CSV files, or the landscapes of several runs on one scale."""
    from pathfinder.figures import draw, draw_together

    if out is None and len(folders) > 1:
        raise typer.BadParameter("several runs need a folder to draw into; name it with --out.")
    if out is None and surface:
        raise typer.BadParameter("--surface needs a folder to draw into; name it with --out.")
    if out is None and dark:
        raise typer.BadParameter("--dark needs a folder to draw into; name it with --out.")
    style: dict[str, Any] = {"clip": clip, "log": not linear, "pdf": format == "pdf", "levels": levels}
    style["points"] = points
    if out is None:
        drawn = draw(folders[0], **style)
    else:
        drawn = draw_together(folders, out, surfaces=surface or (), dark=dark, **style)
    for path in drawn:
        typer.echo(str(path))


def vtk(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that has surfaces.")],
    clip: Clip = 10.0,
    linear: Linear = False,
    points: Annotated[bool, typer.Option("--points", help="Write the scored points too, as .vtp files.")] = False,
) -> None:
    """Write the surfaces of a run as .vts files for ParaView (needs pyvista)."""
    from pathfinder.figures.vtk import export_surfaces

    for path in export_surfaces(folder, clip, not linear, points):
        typer.echo(str(path))
