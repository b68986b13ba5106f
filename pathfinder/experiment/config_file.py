"""Config files: TOML, with values for other scales, and changes from the command line."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pathfinder.errors import PathfinderError, brief, reason, unknown
from pathfinder.experiment.config import Config
from pathfinder.experiment.overrides import flatten, override, read_override
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
        for key, value in flatten(scales[scale]):
            override(raw, key, value, f"[scales.{scale}]")
        raw["name"] = f"{raw['name']}-{scale}"
    for change in changes:
        override(raw, *read_override(change, "--set"), f"--set {brief(change)}")
    return Config.parse(raw)
