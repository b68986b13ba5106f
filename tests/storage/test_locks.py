import errno
import fcntl
import multiprocessing
import os
import time

import pytest

from pathfinder import PathfinderError
from pathfinder.storage import hold_lock

NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP]


def _refuse(code):
    def refused(*_):
        raise OSError(code, os.strerror(code))

    return refused


def _hold(path, held, without_flock):
    if without_flock:
        fcntl.flock = _refuse(errno.ENOLCK)
    with hold_lock(path, "held"):
        held.set()
        time.sleep(60)


def _blocks(path):
    """Whether a lock of fcntl is held at the path by another process, asked without our code."""
    with path.open("r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("code", NO_LOCKS)
def test_a_file_system_without_flock_is_locked_by_fcntl(code, tmp_path, monkeypatch):
    path, context = tmp_path / ".lock", multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(path, held, True))
    other.start()
    assert held.wait(60)
    monkeypatch.setattr(fcntl, "flock", _refuse(code))
    try:
        assert _blocks(path)
        with (
            pytest.raises(PathfinderError, match=rf"^busy by process {other.pid} on .* since \d.*; wait"),
            hold_lock(path, "busy"),
        ):
            pass
    finally:
        other.kill()
        other.join()
    with hold_lock(path, "free again"):  # the kernel frees this lock of the dead too
        assert f"process {os.getpid()} " in path.read_text()
    assert not path.exists()


def test_either_answer_of_posix_says_that_a_lock_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", _refuse(errno.ENOLCK))
    monkeypatch.setattr(fcntl, "lockf", _refuse(errno.EACCES))
    with pytest.raises(PathfinderError, match="^busy; wait until it ends"), hold_lock(tmp_path / ".lock", "busy"):
        pass


@pytest.mark.parametrize("code", NO_LOCKS)
def test_a_file_system_without_any_locks_is_refused_in_one_line(code, tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", _refuse(code))
    monkeypatch.setattr(fcntl, "lockf", _refuse(code))
    wanted = rf"file system of .*\.lock has none \({os.strerror(code)}\); choose a folder elsewhere\.$"
    with pytest.raises(PathfinderError, match=wanted), hold_lock(tmp_path / ".lock", "busy"):
        pass


def test_another_error_is_not_taken_for_a_lack_of_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", _refuse(errno.EIO))
    monkeypatch.setattr(fcntl, "lockf", lambda *_: pytest.fail("lockf was tried"))
    with pytest.raises(PathfinderError, match="cannot write .*Input/output error"), hold_lock(tmp_path / ".l", "x"):
        pass


def test_a_process_with_flock_keeps_itself_out(tmp_path):
    with (
        hold_lock(tmp_path / ".lock", "first"),
        pytest.raises(PathfinderError, match=f"^second by process {os.getpid()} "),
        hold_lock(tmp_path / ".lock", "second"),
    ):
        pass
