"""Progress on the terminal: bars with the time left, or a line now and then where there is no terminal."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from pathfinder.progress import Progress


class Reporter:
    """Shows the progress of named pieces of work."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        self._bars = Bars(
            *columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=self._console
        )

    def __enter__(self) -> "Reporter":
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def __call__(self, name: str) -> Progress:
        """The progress function of the piece of work called `name`."""
        return self._bar(name) if self._console.is_terminal else _lines(name)

    def _bar(self, name: str) -> Progress:
        task = self._bars.add_task(name, total=None)
        return lambda done, total: self._bars.update(task, completed=done, total=total)


def _lines(name: str, share: float = 0.05, seconds: float = 10.0) -> Progress:
    """A line at the end, and on the way at most one for each `share` of the work and each `seconds`."""
    began = last = time.monotonic()
    shown = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last, shown
        now = time.monotonic()
        if done >= total > 0 or (done / max(total, 1) >= shown + share and now - last >= seconds):
            left = (now - began) * (total - done) / max(done, 1)
            print(f"{name}: {done}/{total}, {left:.0f} s left", file=sys.stderr, flush=True)
            last, shown = now, done / max(total, 1)

    return progress
