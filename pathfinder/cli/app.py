"""The command line: `main` runs it. A user's mistake ends in one line on stderr and exit code 2."""

import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pathfinder.cli import curvature, score
from pathfinder.cli.align import align
from pathfinder.cli.compare import compare
from pathfinder.cli.connect import connect
from pathfinder.cli.export import export
from pathfinder.cli.listing import list_names
from pathfinder.cli.plot import plot, vtk
from pathfinder.cli.run import race, run
from pathfinder.cli.train import train
from pathfinder.cli.words import Words
from pathfinder.errors import (
    FailedWorkError,
    PathfinderError,
    PathfinderWarning,
    describe_error,
    out_of_memory,
    users_line,
)
from pathfinder.interrupts import handle_signals

app = typer.Typer(cls=Words, pretty_exceptions_enable=False)
app.command()(run)
app.command()(race)
app.command()(train)
app.command()(connect)
app.add_typer(score.app, name="score")
app.add_typer(curvature.app, name="curvature")
app.command()(align)
app.command()(export)
app.command()(plot)
app.command()(vtk)
app.command()(compare)
app.command("list")(list_names)


def _print_version(wanted: bool) -> bool:
    if wanted:
        import pathfinder

        typer.echo(f"pathfinder {pathfinder.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def describe(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Find low-loss paths between trained networks, and see the landscape between them."""


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr and exit code 2."""
    with handle_signals(), warnings.catch_warnings():
        warnings.simplefilter("always", PathfinderWarning)
        warnings.filterwarnings("ignore", "Initializing zero-element")  # a width of 0 is refused later
        warnings.showwarning = _show_warning(warnings.showwarning)  # ty: ignore[invalid-assignment]
        try:
            code = app(args=sys.argv[1:], standalone_mode=False) or 0
        except (Exception, SystemExit) as error:  # the user's code may call sys.exit anywhere
            message = _explain(error)
            if message is None:
                raise
            print(f"error: {' '.join(message.split())}", file=sys.stderr)
            sys.exit(1 if isinstance(error, FailedWorkError) else 2)
        sys.exit(code)


def _explain(error: BaseException) -> str | None:
    """What to tell the user; nothing where the error is a defect of ours."""
    if (message := out_of_memory(error)) is not None:
        return message
    if isinstance(error, PathfinderError):
        return str(error)
    if callable(describe := getattr(error, "format_message", None)):  # typer's own
        said = describe().replace("Value error, ", "").removeprefix("Invalid value: ").rstrip(".")
        return f"{said}. You typed: {' '.join(sys.argv[1:])}; see --help."
    if users_line(error) is not None:
        return f"your code stopped the command: {describe_error(error)}; fix it there."
    return None


def _show_warning(others: Callable[..., None]) -> Callable[..., None]:
    """What shows a warning: ours once, as one line; any other as before."""
    shown = set()

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if not issubclass(category, PathfinderWarning):
            others(message, category, *place)
        elif str(message) not in shown:
            shown.add(str(message))
            print(f"note: {' '.join(str(message).split())}", file=sys.stderr)

    return show
