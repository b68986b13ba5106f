"""Commands in processes of their own, forked from one that has imported what they need: a start takes no seconds."""

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_OURS = ("cli.app", "cli.jobs", "cli.train_job", "experiment.run", "figures.draw")
_OTHERS = ("sklearn.datasets", "torch._dynamo")  # which torch's optimisers import
_CONTEXT.set_forkserver_preload(["processes", *_OTHERS, *(f"pathfinder.{name}" for name in _OURS)])


class Command:
    """A command of pathfinder that runs.

    Args:
        *arguments: what the user types after `pathfinder`.
        patched: a function of this module, called before the command with `given`.
        given: its arguments.
    """

    def __init__(self, *arguments: object, patched: Callable[..., None] | None = None, given: tuple = ()) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._err = Path(self._folder.name) / "stderr"
        words = [str(argument) for argument in arguments]
        self._process = _CONTEXT.Process(target=_run, args=(words, self._err, dict(os.environ), patched, given))
        self._process.start()

    @property
    def pid(self) -> int:
        """Of the process, which must not have ended."""
        assert self._process.is_alive(), self._err.read_text()
        return self._process.pid

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def finish(self) -> tuple[int, list[str]]:
        """The exit code, -N after signal N; and the lines of stderr that are no progress."""
        self._process.join(300)
        with self._folder:
            return self._process.exitcode, [
                line for line in self._err.read_text().splitlines() if " s left" not in line
            ]


def _run(
    words: list[str], err: Path, environment: dict[str, str], patched: Callable[..., None] | None, given: tuple
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((1, os.devnull), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
    sys.argv = ["pathfinder", *words]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if patched:
        patched(*given)
    from pathfinder.__main__ import main

    try:
        main()
    except SystemExit as stop:
        sys.stderr.flush()
        os._exit(stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1)
    os._exit(0)


def limit_files(size: int) -> None:
    """Let no file grow beyond so many bytes, as on a full disk."""
    sys.dont_write_bytecode = True  # Python would keep the first bytes of a module, and fail to import it ever after
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def signal_when_due(number: int, stage: str, calls: int) -> None:
    """Get a signal when a piece of work asks for the nth time whether to save."""
    from pathfinder import storage

    original, count = storage.StageFile.due, 0

    def due(self: storage.StageFile) -> bool:
        nonlocal count
        count += stage in self.path.name
        if count == calls:
            os.kill(os.getpid(), number)
            count += 1
        return original(self)

    storage.StageFile.due = due


def kill_after_save(stage: str, calls: int) -> None:
    """Be killed after the nth save of a piece of work, and save after each step."""
    from pathfinder import storage

    original, count = storage.StageFile.save, 0

    def save(self: storage.StageFile, state: object) -> None:
        nonlocal count
        original(self, state)
        count += stage in self.path.name
        if count == calls:
            os.kill(os.getpid(), signal.SIGKILL)

    storage.StageFile.save, storage.StageFile.due = save, lambda self: True
