"""Overrides of a config: `--set key=value`, and the values of `[scales.NAME]`."""

import tomllib
from collections.abc import Iterator
from typing import Any

from pathfinder.errors import PathfinderError, brief, reason


def read_override(text: str, option: str) -> tuple[str, Any]:
    """Split `key=value`; the value is TOML, or text without quotes.

    Raises:
        PathfinderError: if there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise PathfinderError(f"{option} needs key=value, got `{brief(text)}`; for example seed=5.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value
    except (ValueError, RecursionError) as error:
        raise PathfinderError(f"{option} {brief(key.strip())} has no value TOML can hold: {reason(error)}.") from error


def override(raw: dict[str, Any], key: str, value: Any, origin: str) -> None:
    *path, last = key.split(".")
    place: Any = raw
    try:
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        raise PathfinderError(f"{origin}: the config has no `{brief(key)}`; check the key.") from error


def flatten(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables by dotted keys."""
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
