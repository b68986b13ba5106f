"""Locks: one process at a time works in a folder."""

import os
import platform
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from pathfinder.errors import PathfinderError

try:
    import fcntl
except ImportError:
    fcntl = None


@contextmanager
def hold_lock(path: Path, what: str) -> Generator[None, None, None]:
    """Hold a lock file, which says who holds it; the kernel frees the lock when its holder ends, even if it is killed.

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
        handle = _take_lock(path, fcntl)
    except OSError as error:
        raise PathfinderError(f"cannot write {path}: {error.strerror}; choose another folder.") from error
    if handle is None:
        with suppress(OSError):
            holder = path.read_text(encoding="utf-8", errors="replace")[:200].split("\n")[0]
            what += f" by {holder}" if holder else ""
        raise PathfinderError(f"{what}; wait until it ends, or choose another folder with --out.")
    try:
        began = time.strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError):  # the lock holds on a full disk too
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {platform.node()} since {began}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # while the lock is held, so that no one else can lock the removed file
        os.close(handle)


def _take_lock(path: Path, fcntl: ModuleType) -> int | None:
    """Open the file at the path and lock it; None if somebody else holds it."""
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
        os.close(handle)  # its last holder removed it in the meantime
