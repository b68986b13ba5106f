"""Files: written whole and renamed into place, read without ever running what they contain."""

import glob
import hashlib
import json
import math
import os
import pickle
import platform
import re
import secrets
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pathfinder import interrupt
from pathfinder.errors import PathfinderError, brief, listed, reason
from pathfinder.keys import maker

try:
    import fcntl
except ImportError:
    fcntl = None

_WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net")
_DEEPEST = 9  # wrappings that are taken off; a pickle may hold itself
_CHEAP = 0.08  # seconds; a save that takes longer is made less often in proportion
_PREFIXES = ("module.", "_orig_mod.")
_METADATA = "pathfinder"  # the entry of a safetensors file that holds ours


def write(path: str | Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a temporary file beside `path`, then rename it: a reader sees the old file or the new one.

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
            f"cannot write {path}: {_failure(error)}; free some space or choose another place."
        ) from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def is_scratch(path: Path) -> bool:
    """Whether a file is what `write` leaves behind when it is killed, of a file with one of our suffixes."""
    return re.fullmatch(r"\..+\.(csv|json|pt|safetensors|png|vts)\.[a-z0-9_]{8}\.tmp", path.name) is not None and (
        path.is_file() and not path.is_symlink()
    )


def _failure(error: BaseException) -> str:
    """Why a file could not be written, in the words of the operating system where they are to be had."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return reason(error)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file, which says who holds it; the kernel frees the lock when its holder ends, however it ends.

    Args:
        path: the lock file; it is removed at the end.
        what: what it protects, for the error.

    Raises:
        PathfinderError: if another process holds it, or it cannot be made.
    """
    if fcntl is None:  # Windows has no such lock
        yield
        return
    try:
        handle = _locked_handle(path)
    except OSError as error:
        raise PathfinderError(f"cannot write {path}: {error.strerror}; choose another place.") from error
    if handle is None:
        with suppress(OSError):
            holder = path.read_text(encoding="utf-8", errors="replace")[:200].split("\n")[0]
            what += f" by {holder}" if holder else ""
        raise PathfinderError(f"{what}; wait until it has ended, or choose another place with --out.")
    try:
        began = time.strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError):  # a full disk does not make the lock less of one
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {platform.node()} since {began}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock is free: whoever waits notices that the file is another
        os.close(handle)


def _locked_handle(path: Path) -> int | None:
    """An open, locked file at the path; nothing if somebody else holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.lstat(path)):
                return handle
        os.close(handle)  # its last holder removed it meanwhile


def digest(path: str | Path) -> str:
    """A short name for what a file holds."""
    with existing_file(path, "file").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def not_an_input(path: Path, inputs: Sequence[Path]) -> Path:
    """The path of an output, if it is none of the inputs.

    Raises:
        PathfinderError: if it is.
    """
    if any(path.exists() and one.exists() and path.samefile(one) for one in inputs):
        raise PathfinderError(f"--out must be a new file, but {path} is one of the inputs; choose another.")
    return path


def can_be_written(path: Path) -> None:
    """Check that a file could be made, before the work that fills it.

    Raises:
        PathfinderError: if its name is too long, or the nearest folder that exists is a file or may not be changed.
    """
    place = path
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        lost = place != path and not (place.is_dir() and os.access(place, os.W_OK | os.X_OK))
    except OSError as error:
        raise PathfinderError(f"cannot write {brief(path)}: {error.strerror}; choose another --out.") from error
    if lost:
        raise PathfinderError(f"cannot write {path}: {place} is no folder to write in; choose another --out.")


def replaces(path: Path) -> PathfinderError:
    """The error for an output that would replace a file that the same command did not make."""
    return PathfinderError(
        f"{path} exists, and is not what this command with these settings made; choose another file, or replace it "
        "with --force."
    )


def remove_scratch(path: Path) -> None:
    """Remove what `write` left of this file when it was killed."""
    for entry in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        if entry.is_file():
            entry.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole."""
    write(path, lambda scratch: scratch.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: str | Path, value: object) -> None:
    """Write a value as indented JSON."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def existing_file(path: str | Path, what: str) -> Path:
    """The path, if it is a file that exists.

    Raises:
        PathfinderError: if nothing is there, a folder is, or it may not be read.
    """
    path = Path(path)
    try:
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name too long, say
        problem = getattr(error, "strerror", None) or reason(error)
        raise PathfinderError(f"{what} {brief(path)} cannot be read ({problem}); check the spelling.") from error
    if folder:
        raise PathfinderError(f"{what} must be a file, but {path} is a folder; name a file in it.")
    if not there:
        raise PathfinderError(f"{what} {brief(path)} does not exist; check the spelling and the folder you are in.")
    if not os.access(path, os.R_OK):
        raise PathfinderError(f"{what} {path} may not be read; check its permissions.")
    return path


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Write tensors as safetensors; the same tensors and metadata give the same bytes.

    The metadata is one entry of sorted JSON: the order in which safetensors writes several entries is random.
    """
    own = {name: _apart(tensor.detach().cpu()) for name, tensor in tensors.items()}
    text = {_METADATA: json.dumps(metadata, sort_keys=True)}
    write(path, lambda scratch: save_file(own, scratch, text))


def _apart(tensor: Tensor) -> Tensor:
    """The tensor with storage of its own, contiguous; itself if it has that."""
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


def load_tensors(path: str | Path, what: str = "checkpoint") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        PathfinderError: if the file is missing, a folder, cut short or of another kind.
    """
    with _opened(path, what) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, _metadata(file)


def load_header(path: str | Path, what: str = "checkpoint") -> tuple[int, dict[str, Any]]:
    """How many values all tensors of a safetensors file hold together, and its metadata; no tensor is read.

    Raises:
        PathfinderError: if the file is missing, a folder, cut short or of another kind.
    """
    with _opened(path, what) as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys()), _metadata(file)  # noqa: SIM118


@contextmanager
def _opened(path: str | Path, what: str) -> Iterator[Any]:
    path = existing_file(path, what)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise PathfinderError(
            f"{what} {path} is damaged or no safetensors file ({reason(error)}); make it anew."
        ) from error


def _metadata(file: Any) -> dict[str, Any]:
    """The metadata of a file: one entry of ours, or an entry for each value, as others and earlier versions write."""
    found = {key: _parsed(value) for key, value in (file.metadata() or {}).items()}
    own = found.pop(_METADATA, None)
    return {**found, **(own if isinstance(own, dict) else {})}


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """A state dict from anybody's checkpoint. Nothing in it is run: neither pickled code nor what it names.

    Takes safetensors, and torch files (`.pt`, `.pth`, `.th`, `.t7`) read with `weights_only=True`; the usual
    wrappings (`state_dict`, `model`, ...) and prefixes (`module.`, `_orig_mod.`) are taken off.

    Raises:
        PathfinderError: if the file is missing, damaged, holds code, or holds no plain tensors by name.
    """
    path = existing_file(path, "checkpoint")
    content = load_tensors(path)[0] if path.suffix == ".safetensors" else _load_torch(path)
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        inner = [content[key] for key in _WRAPPINGS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not any(
        isinstance(value, Tensor) and isinstance(name, str) for name, value in content.items()
    ):
        keys = listed(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise PathfinderError(
            f"checkpoint {path} holds no state dict but {keys or 'nothing'}; save model.state_dict()."
        )
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor) and isinstance(name, str)}
    for prefix in _PREFIXES * 2:  # put there by wrappers of the whole network, so on every name
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    for name, value in tensors.items():
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            kind = "quantized" if value.is_quantized else brief(value.layout if value.device.type == "cpu" else "empty")
            raise PathfinderError(
                f"checkpoint {path}: `{brief(name)}` is {kind} ({brief(value.dtype)}); save plain tensors with values."
            )
    return tensors


def _load_torch(path: Path) -> Any:
    try:
        check_unpacked(path)
        with warnings.catch_warnings(action="ignore"):  # torch muses about old pickles; they are refused or read
            return torch.load(path, map_location="cpu", weights_only=True)
    except PathfinderError:
        raise
    except pickle.UnpicklingError as error:
        raise PathfinderError(
            f"checkpoint {path} is damaged or holds more than tensors, and is not unpickled because that could "
            "run its code; save model.state_dict() with torch.save or as safetensors."
        ) from error
    except Exception as error:  # whatever a damaged file makes the reader raise: IndexError, struct.error and others
        raise PathfinderError(f"checkpoint {path} cannot be read ({reason(error)}); is it cut short?") from error


_DENSEST, _HARMLESS = 500, 2**28  # bytes out of one that is packed, where more than 256 MiB come out


def check_unpacked(path: Path) -> None:
    """Look at the table of an archive, before anything is unpacked, for one that is made to fill the memory.

    Raises:
        PathfinderError: if it is small itself and would unpack to hundreds of times its size.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    packed = path.stat().st_size
    if unpacked > _HARMLESS and unpacked > _DENSEST * packed:
        raise PathfinderError(
            f"{path} would unpack {packed / 2**20:.3g} MiB to {unpacked / 2**30:.3g} GiB, which no real file does; "
            "it is not read."
        )


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # metadata written by others is plain text
        return value


class Stage:
    """A resumable piece of work: one file that holds what is done so far, trusted only under the same key.

    A file that is damaged or odd counts as none. So does one that other code, another torch or another number of
    threads made, unless it is a finished training.

    Args:
        path: the file.
        key: what the work depends on; a file written under another key is not used.
        every: seconds between two saves, so that a kill loses little work; more where saving itself takes long.
        lasting: whether the work, once its state says `finished`, is used whatever made it.

    Attributes:
        maker: what made the state that was loaded or saved last, as `keys.maker` says it.
    """

    def __init__(self, path: str | Path, key: str, every: float = 4.0, lasting: bool = False) -> None:
        self.path, self.key, self.every, self.lasting = Path(path), key, every, lasting
        self.maker = self._own = maker()
        self._saved, self._cost = time.monotonic(), 0.0

    @property
    def reused(self) -> bool:
        """Whether what is kept was made by other code, another torch or another number of threads."""
        return self.maker != self._own

    def load(self) -> dict[str, Any] | None:
        """What was saved last under this key, or nothing."""
        content = self._read()
        if content is None:
            return None
        if content["maker"] != self._own and not (self.lasting and content["state"].get("finished") is True):
            return None
        self.maker = content["maker"]
        return content["state"]

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep `state`: nested dicts and lists of tensors, numbers and strings. An interrupt that waits ends here."""
        began = time.monotonic()
        content = {"key": self.key, "maker": self._own, "state": dict(state), "checksum": _checksum(state)}
        write(self.path, lambda scratch: _save_torch(content, scratch))
        self.maker = self._own
        self._saved = time.monotonic()
        self._cost = self._saved - began
        interrupt.check()

    def due(self) -> bool:
        """Whether the last save is long enough ago, or an interrupt waits for one."""
        return interrupt.requested() or time.monotonic() - self._saved >= self.every * max(1.0, self._cost / _CHEAP)

    def _read(self) -> dict[str, Any] | None:
        """The content of the file, if it is whole and was written under this key."""
        try:
            content = _load_torch(self.path) if self.path.is_file() else None
            whole = content is not None and content["checksum"] == _checksum(content["state"])
            return content if whole and content["key"] == self.key and content["maker"].keys() else None
        except Exception:  # torch's reader raises all kinds of errors on a damaged file
            return None


def _save_torch(content: object, path: Path) -> None:
    with path.open("wb") as file:  # through a file of Python's, which knows why a write fails
        torch.save(content, file)


def _checksum(state: Any) -> str:
    """A digest of everything in nested dicts and lists of tensors, numbers and strings."""
    total = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            total.update(f"{value.dtype} {tuple(value.shape)} {value.requires_grad}".encode())
            total.update(memoryview(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
        elif isinstance(value, Mapping):
            total.update(f"dict {len(value)}".encode())
            for key, part in value.items():
                total.update(f"{type(key).__name__} {key!r}".encode())
                add(part)
        elif isinstance(value, list | tuple):
            total.update(f"{type(value).__name__} {len(value)}".encode())
            for part in value:
                add(part)
        else:
            total.update(f"{type(value).__name__} {value!r}".encode())

    add(state)
    return total.hexdigest()
