"""The progress of pieces of work: one for all that do parts of the same."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from threading import Lock

from pathfinder.experiment.pieces import Piece
from pathfinder.progress import WORKERS, Progress, Report


class SharedProgress:
    """Shows the progress of pieces.

    Args:
        report: gives the progress function of each work by its name.
        pieces: all pieces.
    """

    def __init__(self, report: Report, pieces: Iterable[Piece]) -> None:
        self._report = report
        self._totals = Counter[str]()
        for piece in pieces:
            self._totals[piece.title] += piece.points
        self._lock = Lock()  # messages of workers come in a thread of their own
        self._points: dict[str, dict[str, int]] = {}  # done, of each piece of a work
        self._shown: dict[str, Progress] = {}

    def of(self, piece: Piece) -> Progress:
        """What shows the progress of a piece."""
        return partial(self._show, piece)

    def workers(self, at_work: int, count: int) -> None:
        """Show how many of the workers are at work."""
        with self._lock:
            if WORKERS not in self._shown:
                self._shown[WORKERS] = self._report(WORKERS)
            self._shown[WORKERS](at_work, count)

    def _show(self, piece: Piece, done: int, total: int) -> None:
        with self._lock:
            if piece.points:
                points = self._points.setdefault(piece.title, {})
                points[piece.name] = done
                done, total = sum(points.values()), self._totals[piece.title]
            if piece.title not in self._shown:
                self._shown[piece.title] = self._report(f"{piece.title} (kept)" if done >= total else piece.title)
            self._shown[piece.title](done, total)
