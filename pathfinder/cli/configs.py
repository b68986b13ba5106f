"""The configs that come with pathfinder: in the wheel inside the package, in a checkout next to it."""

import re
from itertools import takewhile
from pathlib import Path

from pathfinder.errors import PathfinderError, unknown


def config_folder() -> Path:
    """Where they are.

    Raises:
        PathfinderError: if they were not installed.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "digits.toml").is_file():
            return folder
    raise PathfinderError("the configs of pathfinder are not installed; give the path of a TOML file.")


def find_config(name: str) -> Path:
    """The file of a config: a path, or the name of one that comes with pathfinder. A file of that name wins.

    Raises:
        PathfinderError: if it is a plain name and there is no such config.
    """
    path = Path(name)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    known = {file.stem: file for file in sorted(config_folder().glob("*.toml"))}
    if name not in known:
        raise unknown("config", name, known)
    return known[name]


def describe_configs() -> dict[str, str]:
    """Each config with the first sentence of its comment."""
    return {file.stem: _first_sentence(file) for file in sorted(config_folder().glob("*.toml"))}


def _first_sentence(file: Path) -> str:
    comment = takewhile(lambda line: line.startswith("# "), file.read_text(encoding="utf-8").splitlines())
    return re.split(r"(?<=[^.]{3})[.:](?= |$)", " ".join(line[2:] for line in comment))[0]
