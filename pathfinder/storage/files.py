"""Files: written whole and renamed into place."""

import glob
import json
import os
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError

from pathfinder.errors import PathfinderError, brief, reason


def write(path: str | Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a temporary file, then rename it to `path`: a reader sees the old file or the new one.

    Raises:
        PathfinderError: if the file cannot be written; what was there before is untouched.
    """
    path = Path(path)
    scratch = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less the user's umask
        scratch = name
        fill(scratch)
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise PathfinderError(
            f"cannot write {path}: {_failure(error)}; free some space or choose another folder."
        ) from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def is_scratch(path: Path) -> bool:
    """Whether a file is one that `write` leaves behind when it is killed."""
    return re.fullmatch(r"\..+\.(csv|json|pt|safetensors|png|vts)\.[a-z0-9_]{8}\.tmp", path.name) is not None and (
        path.is_file() and not path.is_symlink()
    )


def _failure(error: BaseException) -> str:
    """Why a file could not be written, in the words of the operating system if it gave any."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return reason(error)


def check_not_input(path: Path, inputs: Sequence[Path]) -> Path:
    """Return the path of an output after checking that it is not one of the inputs.

    Raises:
        PathfinderError: if it is.
    """
    if any(path.exists() and one.exists() and path.samefile(one) for one in inputs):
        raise PathfinderError(f"--out must be a new file, but {path} is one of the inputs; choose another.")
    return path


def check_writable(path: Path) -> None:
    """Check that a file can be written, before the work that fills it.

    Raises:
        PathfinderError: if its name is too long, or the nearest existing folder is a file or cannot be written to.
    """
    place = path
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        lost = place != path and not (place.is_dir() and os.access(place, os.W_OK | os.X_OK))
    except OSError as error:
        raise PathfinderError(f"cannot write {brief(path)}: {error.strerror}; choose another --out.") from error
    if lost:
        raise PathfinderError(f"cannot write {path}: {place} is not a folder you can write to; choose another --out.")


def replacement_error(path: Path) -> PathfinderError:
    """The error for an output file that exists and was written by something else."""
    return PathfinderError(
        f"{path} exists and was not written by this command with these settings; choose another file, or replace it "
        "with --force."
    )


def remove_scratch(path: Path) -> None:
    """Remove the temporary files that a killed `write` of this file left."""
    for entry in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        if entry.is_file():
            entry.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, as `write` does."""
    write(path, lambda scratch: scratch.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: str | Path, value: object) -> None:
    """Write a value as indented JSON."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def existing_file(path: str | Path, what: str) -> Path:
    """Return the path after checking that it is a file that can be read.

    Args:
        path: the path.
        what: the word for it in errors.

    Raises:
        PathfinderError: if nothing exists there, or a folder, a pipe or a device, or it cannot be read.
    """
    path = Path(path)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # such as a name that is too long
        problem = getattr(error, "strerror", None) or reason(error)
        raise PathfinderError(f"{what} {brief(path)} cannot be read ({problem}); check the spelling.") from error
    if is_folder:
        raise PathfinderError(f"{what} must be a file, but {path} is a folder; name a file in it.")
    if not exists:
        raise PathfinderError(f"{what} {brief(path)} does not exist; check the spelling and the folder you are in.")
    if not path.is_file():  # reading a pipe or a device may never end
        raise PathfinderError(f"{what} must be a file, but {path} is a pipe or a device; name a file.")
    if not os.access(path, os.R_OK):
        raise PathfinderError(f"{what} {path} cannot be read; check its permissions.")
    return path
