"""Progress on the terminal: bars with the time left, or a line now and then where there is no terminal."""

import sys
import time
from collections import Counter
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from pathfinder.experiment.pieces import kind_of
from pathfinder.progress import WORKERS, Progress

_SHOWN = 2  # works that are named next to the bar of their kind


class _Count(ProgressColumn):
    """How many are done of all, whole ones."""

    def render(self, task: Task) -> Text:
        """As `3/21`."""
        return Text(f"{int(task.completed)}/{'?' if task.total is None else int(task.total)}")


class _Bars(Bars):
    """Bars, and a line on who works for them."""

    _workers = ""

    def show_workers(self, at_work: int, count: int) -> None:
        """Say how many of all workers are at work."""
        self._workers = _of_workers(at_work, count)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, and below them the workers where there are any."""
        yield from super().get_renderables()
        if self._workers:
            yield Text(self._workers)


class Reporter:
    """Shows the progress of named works: on a terminal a bar for each, or one for all works of a kind."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._expected = Counter[str]()
        self._kinds: dict[str, tuple[TaskID, dict[str, float]]] = {}  # the bar of each kind, and the shares done
        columns = [TextColumn("{task.description}"), BarColumn(), _Count()]
        self._bars = _Bars(
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
        """The progress function of the work called `name`."""
        if not self._console.is_terminal:
            return _worker_lines() if name == WORKERS else _lines(name)
        if name == WORKERS:
            return self._bars.show_workers
        kind = kind_of(name)
        return self._share(kind, name) if self._expected[kind] > 1 else self._bar(name)

    def expect(self, names: Iterable[str]) -> None:
        """Say which works will come, so that those of a kind share a bar."""
        self._expected = Counter(kind_of(name) for name in dict.fromkeys(names))

    def _bar(self, name: str) -> Progress:
        task = self._bars.add_task(name, total=None)
        return lambda done, total: self._bars.update(task, completed=done, total=total)

    def _share(self, kind: str, name: str) -> Progress:
        """The bar of a kind of work, which moves with the shares of its works that are done."""
        if kind not in self._kinds:
            self._kinds[kind] = self._bars.add_task(kind, total=self._expected[kind]), {}
        task, shares = self._kinds[kind]

        def progress(done: int, total: int) -> None:
            shares[name] = done / max(total, 1)
            at_work = [f"{one.removeprefix(kind).strip()} {share:.0%}" for one, share in shares.items() if share < 1]
            more = f" and {len(at_work) - _SHOWN} more" if len(at_work) > _SHOWN else ""
            self._bars.update(
                task, completed=sum(shares.values()), description=" ".join([kind, ", ".join(at_work[:_SHOWN]) + more])
            )

        return progress


def _of_workers(at_work: int, count: int) -> str:
    return f"{count} worker{'s' * (count != 1)}, {at_work} at work"


def _worker_lines(seconds: float = 60.0) -> Progress:
    """A line when the number of workers changes, and after that at most one each minute."""
    shown, last = -1, 0.0

    def progress(at_work: int, count: int) -> None:
        nonlocal shown, last
        now = time.monotonic()
        if at_work and (count != shown or now - last >= seconds):
            print(_of_workers(at_work, count), file=sys.stderr, flush=True)
            shown, last = count, now

    return progress


def _lines(name: str, share: float = 0.05, seconds: float = 10.0) -> Progress:
    """A line at the end, and on the way at most one for each `share` of the work and each `seconds`."""
    first: tuple[float, int] | None = None  # when it was heard of, and what was done by then: it may be resumed
    last = shown = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal first, last, shown
        now = time.monotonic()
        if first is None:
            first, last = (now, done), now
        ended = done >= total > 0 and shown < 1  # said once, though each part of the work may say it
        if ended or (done / max(total, 1) >= shown + share and now - last >= seconds):
            left = (now - first[0]) * (total - done) / max(done - first[1], 1)
            print(f"{name}: {done}/{total}, {left:.0f} s left", file=sys.stderr, flush=True)
            last, shown = now, done / max(total, 1)

    return progress
