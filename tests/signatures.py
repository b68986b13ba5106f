"""Write the signatures of all public names to tests/signatures.txt: `python tests/signatures.py`."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pathfinder

FILE = Path(__file__).with_suffix(".txt")


def signatures() -> str:
    """A line for each public name, and for each public method and property of the classes among them."""
    return "\n".join(line for name in pathfinder.__all__ for line in _lines(name, getattr(pathfinder, name))) + "\n"


def _lines(name: str, thing: Any) -> Iterator[str]:
    yield f"{name}{_arguments(thing)}"
    if inspect.isclass(thing):
        for key in sorted(key for key in dir(thing) if not key.startswith("_")):
            member = inspect.getattr_static(thing, key)
            owner = next(cls for cls in thing.__mro__ if key in vars(cls))
            if not owner.__module__.startswith("pathfinder"):
                continue
            if callable(getattr(thing, key)) or isinstance(member, classmethod | staticmethod):
                yield f"  .{key}{_arguments(getattr(thing, key))}"
            else:
                yield f"  .{key}"


def _arguments(thing: Any) -> str:
    """The arguments without their annotations, whose texts depend on versions of other packages."""
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return ""
    signature = inspect.signature(thing)
    kept = [p.replace(annotation=p.empty, default=_shown(p.default)) for p in signature.parameters.values()]
    return str(signature.replace(parameters=kept, return_annotation=signature.empty))


class _Default:
    """A default as it is shown: a function or an object by its name, where its own text holds an address."""

    def __init__(self, value: Any) -> None:
        text = repr(value)
        self.text = getattr(value, "__name__", type(value).__name__) if " at 0x" in text else text

    def __repr__(self) -> str:
        return self.text


def _shown(default: Any) -> Any:
    return default if default is inspect.Parameter.empty else _Default(default)


if __name__ == "__main__":
    FILE.write_text(signatures(), encoding="utf-8")
