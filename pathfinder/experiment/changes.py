"""What changes when a run starts again with other settings: which differ, what is kept, what is done once more."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pathfinder.errors import PathfinderError, brief
from pathfinder.experiment.kept import WORK, kept_file
from pathfinder.experiment.pieces import Piece, kind_of
from pathfinder.storage.keys import maker
from pathfinder.storage.resume import is_stale, read_kept

_KINDS = {  # the first word of the name of a piece, and what several are called; other pieces are not worth a word
    "minimum": ("minimum", "minima"),
    "align": ("alignment", "alignments"),
    "curve": ("curve", "curves"),
    "score": ("scored path", "scored paths"),
    "direction": ("profile", "profiles"),
    "point": ("scored point", "scored points"),
    "plane": ("plane", "planes"),
    "surface": ("surface", "surfaces"),
    "curvature": ("table of curvature", "tables of curvature"),
    "barrier": ("barrier", "barriers"),
}
_SHOWN = 4  # settings in a message
_LONGEST = 40  # letters of a value


def check_changes(
    folder: Path, pieces: Iterable[Piece], before: Mapping[str, Any], after: Mapping[str, Any], force: bool
) -> str | None:
    """Check that a run that starts again only adds to what its folder holds, or that the user wants it redone.

    Args:
        folder: of the run.
        pieces: the plan.
        before: the settings that the record of the folder names; empty for a new folder.
        after: the settings now.
        force: whether work may be done once more, and tables lose rows.

    Returns:
        A line that says what is redone, because settings or what made it differ; None if nothing is.

    Raises:
        PathfinderError: if something would be, without `force`.
    """
    planned = list(pieces)
    keys, stale = dict[str, str | None](), set[str]()
    for piece in planned:
        found = read_kept(kept_file(folder, piece.name))
        keys[piece.name] = None if found is None else found["key"]
        if found is not None and found["key"] == piece.key and is_stale(found, maker(piece.threads), piece.lasting):
            stale.add(piece.title)
    titles = {kept_file(folder, piece.title).stem: piece.title for piece in planned}
    others = {file.stem for file in (folder / WORK).glob("*.pt")} - {kept_file(folder, name).stem for name in keys}
    wholes = {stem.partition("@")[0] for stem in others}
    split = {titles[stem] for stem in wholes & titles.keys()}  # into other parts
    used = {piece.title for piece in planned if keys[piece.name] == piece.key}
    changed = {piece.title for piece in planned if keys[piece.name] not in (None, piece.key)} | (split - used)
    redone = changed | stale
    dropped, differences = _dropped(wholes - titles.keys()), _differences(before, after)
    if not changed and not (dropped and differences):  # what an earlier run has dropped still lies there
        return _made_otherwise(folder, stale)
    says = f"{folder} holds this run with other settings"
    if differences:
        more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        says += f" ({', '.join(differences[:_SHOWN])}{more})"
    else:
        says = f"{folder} holds this run, made with other data, weights or code of yours"
    counted = ((_count(used - redone), "kept"), (_count(redone), "redone"))
    parts = [f"{count} {verb}" for count, verb in counted if count]
    parts += [f"{_count(dropped)} dropped"] if _count(dropped) else []
    says += f": {', '.join(parts) or 'its scores are redone'}"
    if not force:
        raise PathfinderError(f"{says}; add --force if that is what you want, or choose another folder with --out.")
    return f"{says}."


def _made_otherwise(folder: Path, stale: Iterable[str]) -> str | None:
    """A line on works that are redone because something else made them; None if none is worth a word."""
    if not (counted := _count(stale)):
        return None
    how = "made by another version of pathfinder or torch, or with another number of threads"
    return f"{folder} holds {counted} {how}: they are redone."


def _dropped(unplanned: set[str]) -> set[str]:
    """The names of works that fill tables, of those in the folder that the plan does not have."""
    lost = {name for name in unplanned if not name.startswith("minimum-scores-")}
    return {name.replace("-", " ", 1) for name in lost if name.partition("-")[0] in _KINDS}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Each setting that differs, as `curve.epochs 40 -> 5`."""
    old, new = _flat(before), _flat(json.loads(json.dumps(after, default=str)))  # as the record writes it
    keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    return [f"{key} {_value(old.get(key))} -> {_value(new.get(key))}" for key in keys]


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Settings by their paths, such as `pairs.0.a.seed`."""
    if isinstance(settings, Mapping):
        inner = settings.items()
    elif isinstance(settings, list | tuple) and any(isinstance(one, Mapping) for one in settings):
        inner = ((str(i), one) for i, one in enumerate(settings))
    else:
        return {prefix: list(settings) if isinstance(settings, tuple) else settings}
    return {key: one for name, part in inner for key, one in _flat(part, f"{prefix}.{name}".lstrip(".")).items()}


def _value(value: Any) -> str:
    return "not set" if value is None else brief(value, _LONGEST)


def _count(titles: Iterable[str]) -> str:
    """How many works of each kind: `2 curves and 1 plane`; empty if none is worth a word."""
    kinds = Counter(map(kind_of, titles))
    words = [f"{kinds[kind]} {names[kinds[kind] > 1]}" for kind, names in _KINDS.items() if kinds[kind]]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
