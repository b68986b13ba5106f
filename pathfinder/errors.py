"""Mistakes of a user, in the user's words: what was needed, what came, what to do."""

from collections.abc import Iterable


class PathfinderError(ValueError):
    """A mistake the user can mend. The command line prints it as one line and exits with code 2."""


class PathfinderWarning(UserWarning):
    """Something that makes a number other than the user may think. The command line prints it as one line."""


def reason(error: BaseException) -> str:
    """The first line of what another library's error says, or its kind."""
    return (str(error) or type(error).__name__).splitlines()[0]


def listed(names: Iterable[str], most: int = 4) -> str:
    """The first few names in backticks, and how many more there are."""
    names = list(names)
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
