"""What commands are wrapped in: groups of options, and how torch computes."""

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import fields, is_dataclass
from functools import wraps
from operator import getitem
from typing import Annotated, Any, get_args


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are groups of options, such as `Origin`, become these options.

    Those of a group with a `panel` stand under that title in the help.
    """
    declared = inspect.signature(command).parameters
    groups = {name: one.annotation for name, one in declared.items() if is_dataclass(one.annotation)}
    options: list[tuple[str, Any, Any]] = []
    for name, own in declared.items():
        if name not in groups:
            options.append((name, own.default, own.annotation))
            continue
        title = getattr(groups[name], "panel", None)
        options += [(one.name, one.default, _in_panel(one.type, title)) for one in fields(groups[name])]

    @wraps(command)
    def expanded(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{one.name: given.pop(one.name) for one in fields(group)})
        command(**given)

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in options
    ]
    expanded.__dict__["__signature__"] = inspect.Signature(parameters)
    return expanded


def _in_panel(annotation: Any, title: str | None) -> Any:
    """The annotation of an option, whose help then stands under a title."""
    if title is None:
        return annotation
    kind, option = get_args(annotation)
    option = copy(option)
    option.rich_help_panel = title
    return getitem(Annotated, (kind, option))


def deterministic(command: Callable[..., None]) -> Callable[..., None]:
    """A command that computes: the same bytes each time, wherever torch has algorithms for that, in kept memory.

    The number of threads may be set within it; it is restored at the end.
    """

    @wraps(command)
    def wrapped(*given: Any, **named: Any) -> None:
        from pathfinder.memory import keep_freed_memory

        keep_freed_memory()  # before torch allocates
        from pathfinder.compute import reproducible
        from pathfinder.threads import threads

        with reproducible(), threads():
            command(*given, **named)

    return wrapped
