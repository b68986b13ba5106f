"""Mistakes of a user, in the user's words: what was needed, what came, what to do."""

import re
from collections.abc import Iterable


class PathfinderError(ValueError):
    """A mistake the user can mend. The command line prints it as one line and exits with code 2."""


class PathfinderWarning(UserWarning):
    """Something that makes a number other than the user may think. The command line prints it as one line."""


def out_of_memory(error: BaseException) -> str | None:
    """What to tell a user whose memory, or that of their device, did not suffice; nothing for any other error.

    torch has an error of its own for devices only: on the CPU its allocators raise a RuntimeError.
    """
    said = " ".join(str(error).split()).lower()
    of_torch = isinstance(error, RuntimeError) and any(words in said for words in _NO_MEMORY)
    if not isinstance(error, MemoryError) and not of_torch:
        return None
    found = re.search(r"(?:unable to allocate|tried to allocate) ([\d.]+ ?[a-z]+)", said)
    asked = f", where {found[1]} more were needed" if found else ""
    return (
        f"out of memory{asked}; lower batch_size, or micro_batch_size where it is a training that does not fit, the "
        "examples, or the points that are scored."
    )


_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "cannot allocate memory")


def brief(text: object, most: int = 200) -> str:
    """Foreign text for a message: one line of printable characters, cut where it is long."""
    start = str(text)[: 2 * most]
    line = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    return line if len(line) <= most and len(str(text)) <= 2 * most else f"{line[:most]}..."


def reason(error: BaseException) -> str:
    """The first line of what another library's error says, cut where it is long, or its kind."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return brief(lines[0]) if lines else type(error).__name__


def listed(names: Iterable[str], most: int = 4) -> str:
    """The first few names in backticks, and how many more there are."""
    names = list(names)
    shown = ", ".join(f"`{brief(name, 80)}`" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
