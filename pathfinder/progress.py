"""Progress of long work: the library calls `progress(done, total)`, the command line decides what to show."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
Report = Callable[[str], Progress]  # gives the progress function of a piece of work by its name
WORKERS = "workers"  # the name under which processes report how many of them are at work, of how many


def silent(done: int, total: int) -> None:
    """Show nothing: the default of the library."""


def quiet(name: str) -> Progress:
    """Report nothing."""
    return silent
