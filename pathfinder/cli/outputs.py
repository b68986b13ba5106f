"""Files of weights that commands write."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pathfinder.errors import PathfinderError
from pathfinder.storage import check_not_input, check_writable, load_header, replacement_error


def weights_file(path: Path, inputs: Sequence[Path] = ()) -> Path:
    """The path, if weights can be written there and read again.

    Raises:
        PathfinderError: if it is a folder, one of the inputs, does not end in .safetensors, or lies where nothing can
            be written.
    """
    check_writable(path)
    if path.is_dir():
        raise PathfinderError(
            f"--out must be a file, but {path} is a folder; name a file in it, such as a.safetensors."
        )
    if path.suffix != ".safetensors":
        raise PathfinderError(f"--out must end in .safetensors, got {path}; weights are written in that format.")
    return check_not_input(path, inputs)


def may_replace(path: Path, own: Mapping[str, Any], force: bool) -> None:
    """Check that weights written to a path replace nothing but what the same command made.

    Args:
        path: where weights are to be written.
        own: entries of the metadata by which the command knows its own file.
        force: whether anything may be replaced.

    Raises:
        PathfinderError: if there is another file.
    """
    if force or not path.exists():
        return
    try:
        found = load_header(path)[1]
    except PathfinderError:
        found = {}
    if any(found.get(key) != value for key, value in own.items()):
        raise replacement_error(path)
