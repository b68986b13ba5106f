"""Locks: one process at a time works in a folder, on whichever host that sees it.

A lock is flock(2) on an open file. On a local disk it holds within the host. Hosts that share a folder see it too:
Linux turns it into a lock of the whole file at the NFS server (since 2.6.12; see flock(2)), and Lustre with its option
`flock` holds it on all clients. Where the file system has no flock, the lock is one of fcntl(2), which NFS has too;
where it has neither, the work is refused. Where a folder is mounted for locks of one's own host alone (`local_lock` of
NFS, `localflock` of Lustre), other hosts are not kept out, and no program can tell.
"""

import errno
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


_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)  # answers of a file system without locks


@contextmanager
def hold_lock(path: Path, what: str) -> Generator[None, None, None]:
    """Hold a lock file, which says who holds it; the kernel frees the lock when its holder ends, even if it is killed.

    If the holder's host dies, the file server frees it, after the time it gives a host that is silent.

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
        if error.errno in _NO_LOCKS:
            raise PathfinderError(
                f"a lock must keep other processes out, but the file system of {path} has none ({error.strerror}); "
                "choose a folder elsewhere."
            ) from error
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
            _lock(handle, fcntl)
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


def _lock(handle: int, fcntl: ModuleType) -> None:
    """Lock an open file by flock, or by fcntl on a file system without flock.

    flock comes first, since fcntl's locks keep only other processes out, and end as soon as their process closes any
    handle of the file.

    Raises:
        BlockingIOError: if somebody else holds the lock.
    """
    how = fcntl.LOCK_EX | fcntl.LOCK_NB
    try:
        fcntl.flock(handle, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        try:
            fcntl.lockf(handle, how)
        except PermissionError as held:  # POSIX lets a system answer EACCES instead of EAGAIN
            raise BlockingIOError(errno.EAGAIN, held.strerror) from held
