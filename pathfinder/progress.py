"""Long work: how far it is, and where it may be interrupted.

The library calls `progress(done, total)`; the command line decides what is shown. A first signal (Ctrl-C, SIGTERM)
waits until the state of the work is whole, a second one does not. Only the command line installs the handlers.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """The library's default: say nothing."""


LINE = "Interrupted; rerun the same command to resume."


_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is missing on Windows


_requested: int | None = None  # the signal that waits


_waiting = 0  # open stages


class Interrupted(BaseException):
    """A signal asked the command to stop. Not an Exception, so that nothing takes it for a failure of the work."""

    def __init__(self, number: int) -> None:
        super().__init__(LINE)
        self.code = 128 + number


@contextmanager
def handle_signals() -> Iterator[None]:
    """Within, SIGINT, SIGTERM and SIGHUP end in one line and an exit code of 128 and the signal's number.

    A signal that was ignored (as under nohup) goes on being ignored; the handlers of before are put back at the end.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _handle)
    try:
        yield
    except Interrupted as interrupted:
        print(LINE, file=sys.stderr)
        sys.exit(interrupted.code)
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def interrupt_requested() -> bool:
    """Whether a signal waits for the state to be whole."""
    return _requested is not None


def check_interrupt() -> None:
    """Raise if a signal waits: for places where everything so far is kept."""
    if _requested is not None:
        _raise(_requested)


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Let a first signal wait until `check_interrupt` is called, at the latest at the end."""
    global _waiting
    _waiting += 1
    try:
        yield
    finally:
        _waiting -= 1
    check_interrupt()


def _handle(number: int, frame: FrameType | None) -> None:
    global _requested
    if _waiting and _requested is None:
        _requested = number
    else:
        _raise(number)


def _raise(number: int) -> NoReturn:
    global _requested
    _requested = None
    raise Interrupted(number)


Report = Callable[[str], Progress]


def quiet(name: str) -> Progress:
    """The report of a caller who wants none."""
    return silent
