"""Things by name: the nearest known name for a misspelt one, and the user's own by import path."""

import importlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb
from typing import Any

from pathfinder.errors import PathfinderError, brief, reason

_SHOWN = 16  # names in one message
_LONGEST = 80  # letters of a name that are shown, and compared with known ones


def unknown(kind: str, name: object, choices: Iterable[str]) -> PathfinderError:
    """The error for a name that is none of `choices`, with the nearest of them as a suggestion."""
    choices, name = list(choices), brief(name, _LONGEST)
    near = get_close_matches(name, choices, n=_SHOWN, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near else ""
    shown = choices if len(choices) <= _SHOWN else [*near, *(c for c in choices if c not in near)][:_SHOWN]
    more = f" and {len(choices) - len(shown)} more" if len(choices) > len(shown) else ""
    return PathfinderError(f"unknown {kind} `{name}`; {hint}choose from: {', '.join(shown)}{more}.")


def by_import_path(path: str) -> Any:
    """The object that `package.module:name` means; the current folder is searched as well.

    It runs the module, so the path must come from the user: a command line, a config or Python, never from a file of
    weights.

    Raises:
        PathfinderError: if the module or the name in it does not exist, or the module raises.
    """
    module_name, _, name = path.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    with users_code(f"cannot import `{path}`", "write package.module:name"):
        return getattr(importlib.import_module(module_name), name)


@contextmanager
def users_code(what: str, remedy: str) -> Iterator[None]:
    """Turn whatever code of the user's raises, `sys.exit` included, into one line that says what, and where.

    Args:
        what: what could not be done.
        remedy: what to do about it.

    Raises:
        PathfinderError: if anything is raised but Ctrl-C.
    """
    try:
        yield
    except PathfinderError:
        raise
    except (Exception, SystemExit) as error:
        raise PathfinderError(f"{what}: {raised(error)}; {remedy}.") from error


def raised(error: BaseException) -> str:
    """An error of the user's code in words: its kind, what it says, and the line of their code that it came from."""
    said, kind, place = reason(error), type(error).__name__, users_line(error)
    plain = place is None and isinstance(error, TypeError | ValueError | RuntimeError | ImportError | AttributeError)
    words = said if plain or said == kind else f"{kind}: {said}"
    return words if place is None else f"{words} ({place})"


def users_line(error: BaseException) -> str | None:
    """The innermost line of the user's own code that an error came through, as file:line; nothing if there is none."""
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        file = Path(frame.f_code.co_filename)
        if file.is_absolute() and not _is_installed(file):
            return f"{file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}:{line}"
    return None


def _is_installed(file: Path) -> bool:
    """Whether a file is ours, of an installed package or of Python itself."""
    folders = (Path(__file__).parent, *(Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib")))
    return "site-packages" in file.parts or "dist-packages" in file.parts or any(map(file.is_relative_to, folders))
