"""What commands are wrapped in: groups of options, and how torch computes."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are groups of options, such as `Origin`, become these options."""
    declared = inspect.signature(command).parameters
    groups = {name: one.annotation for name, one in declared.items() if is_dataclass(one.annotation)}
    options: list[tuple[str, Any, Any]] = []
    for name, own in declared.items():
        members = [(one.name, one.default, one.type) for one in fields(groups[name])] if name in groups else None
        options += members or [(name, own.default, own.annotation)]

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
