"""Things by name: the nearest known name for a misspelt one, and the user's own by import path."""

import importlib
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pathfinder.errors import PathfinderError

_SHOWN = 16  # names in one message


def unknown(kind: str, name: object, choices: Iterable[str]) -> PathfinderError:
    """The error for a name that is none of `choices`, with the nearest of them as a suggestion."""
    choices = list(choices)
    near = get_close_matches(str(name), choices, n=_SHOWN, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near else ""
    shown = choices if len(choices) <= _SHOWN else [*near, *(c for c in choices if c not in near)][:_SHOWN]
    more = f" and {len(choices) - len(shown)} more" if len(choices) > len(shown) else ""
    return PathfinderError(f"unknown {kind} `{name}`; {hint}choose from: {', '.join(shown)}{more}.")


def by_import_path(path: str) -> Any:
    """The object that `package.module:name` means; the current folder is searched as well.

    Raises:
        PathfinderError: if the module or the name in it does not exist.
    """
    module_name, _, name = path.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError, TypeError, SyntaxError) as error:
        raise PathfinderError(f"cannot import `{path}`: {error}; write package.module:name.") from error
