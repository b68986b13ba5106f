"""Errors that a user can fix. Each says in one line what was needed, what came, and what to do."""

import re
import sysconfig
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb


class PathfinderError(ValueError):
    """An error the user can fix. The command line prints it as one line and exits with code 2.

    >>> from pathfinder import load_data
    >>> load_data("digit")
    Traceback (most recent call last):
    pathfinder.errors.PathfinderError: unknown data `digit`; did you mean `digits`? choose from: digits, cifar10, \
cifar100, mnist, fashion-mnist, folder:PATH, npz:PATH, module:function.
    """


class FailedWorkError(PathfinderError):
    """Work that failed after it had begun, as a training that diverges; the command exits with code 1."""


class PathfinderWarning(UserWarning):
    """A warning that a number may not mean what the user thinks. The command line prints it as one line."""


def out_of_memory(error: BaseException) -> str | None:
    """The message for an error that means too little memory, of the computer or the device; None for others.

    torch has an error class for devices only: on the CPU its allocators raise a RuntimeError.
    """
    said = " ".join(str(error).split()).lower()
    of_torch = isinstance(error, RuntimeError) and any(words in said for words in _NO_MEMORY)
    if not isinstance(error, MemoryError) and not of_torch:
        return None
    found = re.search(r"(?:unable to allocate|tried to allocate) ([\d.]+ ?[a-z]+)", said)
    asked = f", where {found[1]} more were needed" if found else ""
    return (
        f"out of memory{asked}; lower batch_size (in training micro_batch_size), or the number of examples or points."
    )


_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "cannot allocate memory")


def brief(text: object, most: int = 200) -> str:
    """Text from outside for a message: one line of printable characters, shortened if it is long."""
    start = str(text)[: 2 * most]
    line = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    return line if len(line) <= most and len(str(text)) <= 2 * most else f"{line[:most]}..."


def reason(error: BaseException) -> str:
    """The first line of another library's error message, shortened if it is long, or the class of the error."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return brief(lines[0]) if lines else type(error).__name__


def list_names(names: Iterable[str], most: int = 4) -> str:
    """The first few names in backticks, and the number of further ones."""
    names = list(names)
    shown = ", ".join(f"`{brief(name, 80)}`" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


_SHOWN = 16  # names in one message
_LONGEST = 80  # letters of a name that are shown and compared


def unknown(kind: str, name: object, choices: Iterable[str]) -> PathfinderError:
    """The error for a name that is not among `choices`, with the nearest one as a suggestion."""
    choices, name = list(choices), brief(name, _LONGEST)
    near = get_close_matches(name, choices, n=_SHOWN, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near else ""
    shown = choices if len(choices) <= _SHOWN else [*near, *(c for c in choices if c not in near)][:_SHOWN]
    more = f" and {len(choices) - len(shown)} more" if len(choices) > len(shown) else ""
    return PathfinderError(f"unknown {kind} `{name}`; {hint}choose from: {', '.join(shown)}{more}.")


@contextmanager
def users_code(what: str, remedy: str) -> Generator[None, None, None]:
    """Turn any error of the user's own code, `sys.exit` included, into one line that says what failed, and where.

    Args:
        what: what failed.
        remedy: what to do about it.

    Raises:
        PathfinderError: if the code raises anything but Ctrl-C.
    """
    try:
        yield
    except PathfinderError:
        raise
    except (Exception, SystemExit) as error:
        raise PathfinderError(f"{what}: {describe_error(error)}; {remedy}.") from error


def describe_error(error: BaseException) -> str:
    """An error of the user's code in words: its class, its message, and the line of their code that raised it."""
    said, kind, place = reason(error), type(error).__name__, users_line(error)
    plain = place is None and isinstance(error, TypeError | ValueError | RuntimeError | ImportError | AttributeError)
    words = said if plain or said == kind else f"{kind}: {said}"
    return words if place is None else f"{words} ({place})"


def users_line(error: BaseException) -> str | None:
    """The innermost line of the user's own code in the traceback of an error, as file:line; None if there is none."""
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        file = Path(frame.f_code.co_filename)
        if file.is_absolute() and not _is_installed(file):
            return f"{file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}:{line}"
    return None


def _is_installed(file: Path) -> bool:
    """Whether a file belongs to pathfinder, an installed package or Python itself."""
    folders = (Path(__file__).parent, *(Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib")))
    return "site-packages" in file.parts or "dist-packages" in file.parts or any(map(file.is_relative_to, folders))
