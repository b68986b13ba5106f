"""Config files: TOML, with values for other scales, and changes from the command line."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pathfinder.errors import PathfinderError, brief, reason, unknown
from pathfinder.experiment.config import Config
from pathfinder.storage import existing_file


def load_config(path: str | Path, changes: Sequence[str] = (), scale: str | None = None) -> Config:
    """Read an experiment.

    Args:
        path: the TOML file. It may hold tables `[scales.NAME]` with other values for some keys, such as those for a
            laptop. Tables in them are merged, lists replaced.
        scale: which of these to use; the experiment is then called NAME-SCALE.
        changes: `key=value` with dots in the key, such as `minimum.epochs=5` or `pairs.0.replicates=1`; values as in
            TOML, or text without quotes.

    Raises:
        PathfinderError: if the file is missing or not TOML, a key or the scale is unknown, or a value is out of range.
    """
    file = existing_file(path, "config")
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:  # also a number of thousands of digits
        raise PathfinderError(f"{file} is not valid TOML: {reason(error)}.") from error
    raw.setdefault("name", re.sub(r"[^A-Za-z0-9._+-]+", "-", file.stem).lstrip("._+-") or "experiment")
    scales = raw.pop("scales", {})
    if scale is not None:
        if not isinstance(scales, dict) or not all(isinstance(table, dict) for table in scales.values()):
            raise PathfinderError(f"scales of {file} must be tables [scales.NAME]; rewrite them.")
        if scale not in scales:
            raise unknown("scale", scale, scales) if scales else PathfinderError(f"{file} has no [scales.{scale}].")
        for key, value in _flatten(scales[scale]):
            _override(raw, key, value, f"[scales.{scale}]")
        raw["name"] = f"{raw['name']}-{scale}"
    for change in changes:
        _override(raw, *read_override(change, "--set"), f"--set {brief(change)}")
    return Config.parse(raw)


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


def _override(raw: dict[str, Any], key: str, value: Any, origin: str) -> None:
    *path, last = key.split(".")
    place: Any = raw
    try:
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        raise PathfinderError(f"{origin}: the config has no `{brief(key)}`; check the key.") from error


def _flatten(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables by dotted keys."""
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
