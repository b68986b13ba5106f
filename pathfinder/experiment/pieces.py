"""Pieces of work: what a plan is made of."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pathfinder.scoring.adaptive_plane import MOST, ROUND
from pathfinder.scoring.settings import Scoring
from pathfinder.storage.keys import key_of

Target = tuple[str, ...]  # what is scored: `path`, `plane`, `surface` or `minimum`; whose it is; its name
CHOICE = "examples"  # before the name of a path: the piece that chooses how many it needs
_SCORES = "minimum scores"  # before the name of a minimum
_TOGETHER = 64  # points of a piece
_LOAD = 1.5e9  # weights times examples of a piece, roughly; some seconds on one core


@dataclass(frozen=True)
class Piece:
    """A piece of work.

    Attributes:
        name: its name, by which others need it and the folder keeps its result.
        work: the function of `pathfinder.experiment.work` that does it.
        arguments: what the function takes: names, numbers, targets.
        key: of what its result depends on.
        needs: the names of the pieces that must be done before.
        whole: what progress and the record call it, together with the other parts of the same work.
        points: how many points of the whole it does; 0 if it is the whole.
        threads: how many compute it; the last bits depend on that.
        lasting: whether its result is used whatever made it, once it is finished, as a training is.
    """

    name: str
    work: str
    arguments: tuple[Any, ...]
    key: str
    needs: tuple[str, ...] = ()
    whole: str = ""
    points: int = 0
    threads: int | None = None
    lasting: bool = False

    @property
    def title(self) -> str:
        """What progress and the record call it."""
        return self.whole or self.name


def kind_of(title: str) -> str:
    """The kind of a work, from its name: the first word, or `minimum scores`.

    >>> kind_of("curve resnet20-bezier"), kind_of("minimum scores resnet20-a")
    ('curve', 'minimum scores')
    """
    return _SCORES if title.startswith(f"{_SCORES} ") else title.partition(" ")[0]


def scores_of(minimum: str) -> str:
    """The name of the piece that scores a minimum."""
    return f"{_SCORES} {minimum}"


def split_points(
    whole: str, work: str, target: Target, points: int, load: float, key: str, needs: Sequence[str] = ()
) -> list[Piece]:
    """Pieces for all points of a target; how many points each does follows from the load of one alone.

    Args:
        whole: what the work is called.
        work: the function that does some of the points.
        target: what is scored or measured.
        points: how many it has.
        load: of a point, weights times examples.
        key: of what the points depend on.
        needs: the pieces that each needs.
    """
    size = _size(load, _TOGETHER)
    return [
        Piece(
            whole if size >= points else f"{whole}@{start}",
            work,
            (target, start, min(start + size, points)),
            key_of(key, points, start, size),
            tuple(dict.fromkeys(needs)),
            whole,
            min(size, points - start),
        )
        for start in range(0, points, size)
    ]


def _size(load: float, most: int) -> int:
    """How many points a piece does, from the load of one."""
    return min(max(int(_LOAD / load), 1), most)


def split_rounds(
    whole: str, work: str, target: Target, load: float, key: str, tolerance: float, needs: Sequence[str] = ()
) -> list[Piece]:
    """Pieces for the points of a plane that its values choose: in each round one chooses points, others do them.

    Args:
        whole, work, target, load, key, needs: as for `split_points`.
        tolerance: at which later rounds choose no points.
    """
    size, measured = _size(load, ROUND), work == "measure_points"
    pieces: list[Piece] = []
    before: tuple[str, ...] = ()
    for first in range(0, MOST, ROUND):
        choice, own = round_of(f"{whole}@{first}"), key_of(key, "auto", tolerance, first)
        arguments = target, before, tolerance, measured
        pieces.append(Piece(choice, "choose_points", arguments, own, (*needs, *before), f"points {whole}", 1))
        starts = range(first, first + ROUND, size)
        before = tuple(f"{whole}@{start}" for start in starts)
        for name, start in zip(before, starts, strict=True):
            count = min(size, first + ROUND - start)
            arguments, of_part = (target, start, start + count, choice), key_of(own, start, size)
            pieces.append(Piece(name, work, arguments, of_part, (*needs, choice), whole, count))
    return pieces


def round_of(part: str) -> str:
    """The name of the piece that chooses the points which a part of a plane does.

    >>> round_of("plane a@40")
    'points plane a@25'
    """
    whole, _, start = part.rpartition("@")
    return f"points {whole}@{int(start) // ROUND * ROUND}"


def path_pieces(
    name: str,
    target: Target,
    score: Scoring,
    points: int,
    load: float,
    key: Callable[..., str],
    needs: Sequence[str] = (),
    *,
    compared: str | None,
    rescored: bool,
) -> list[Piece]:
    """Pieces that score a path: how many examples it needs, its points, and its worst points once more.

    Args:
        name: of the path.
        target: the path.
        score: how it is scored.
        points: how many points it has, where its losses do not choose them.
        load: of a point, weights times examples.
        key: gives the key of what depends on the path and on these further parts.
        needs: the pieces that each needs.
        compared: what messages call the path, where bfloat16 is compared with float32 at its worst point.
        rescored: whether its ends and its worst points are scored on all examples.

    Returns:
        Those that score points have the title `score NAME`; the choice of examples, where asked for, is the first.
    """
    needs, pieces = tuple(dict.fromkeys(needs)), list[Piece]()
    if score.chosen_examples:
        own = key("examples", *[score.examples_tolerance] * (score.examples == "auto"))
        arguments = target, score.chosen_examples, score.examples_tolerance
        pieces.append(Piece(f"{CHOICE} {name}", "choose_examples", arguments, own, needs))
        needs, key = (*needs, pieces[0].name), partial(key, own)
    whole = f"score {name}"
    if score.points == "auto":
        own = key("auto", score.tolerance)
        found = [Piece(whole, "explore_path", (target, score.tolerance), own, needs)]
    else:
        found = split_points(whole, "score_points", target, points, load, own := key(points), needs)
    parts = tuple(piece.name for piece in found)
    if compared is not None:
        found.append(
            Piece(f"check worst {name}", "check_precision", (compared, target, parts), key_of(own, "worst"), parts)
        )
    if rescored:
        found.append(Piece(f"rescore {name}", "rescore_points", (target, parts), key_of(own, "rescored"), parts))
    return pieces + found


def grid_size(points: int | tuple[int, ...], axes: int) -> int:
    """The number of points of a grid."""
    return points**axes if isinstance(points, int) else math.prod(points)
