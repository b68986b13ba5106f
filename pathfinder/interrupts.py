"""When long work may be interrupted.

A first signal (Ctrl-C, SIGTERM) waits until the state of the work is consistent, or until the end of an import; a
second one does not wait. Only the command line installs the handlers.
"""

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

LINE = "Interrupted; rerun the same command to resume."
WAIT = "Saving what is done; press Ctrl-C again to stop at once."
_MOMENT = 0.05  # seconds until a signal within an import is sent again
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is missing on Windows
_requested: int | None = None  # the signal that is waiting
_timer: threading.Timer | None = None  # sends a signal once more that came within an import
_sent_again = False  # whether the next signal is that one
_waiting = 0  # how many `defer_interrupts` are open


class Interrupted(BaseException):
    """A signal to stop. It is not an Exception, so that no handler takes it for a failure of the work."""

    def __init__(self, number: int) -> None:
        super().__init__(LINE)
        self.code = 128 + number


@contextmanager
def handle_signals() -> Generator[None, None, None]:
    """End the command on SIGINT, SIGTERM and SIGHUP with one line and the exit code 128 plus the signal's number.

    A signal that was ignored (as under nohup) stays ignored; the previous handlers are restored at the end.
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
        _cancel()
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def interrupt_requested() -> bool:
    """Whether a signal is waiting until the state is consistent."""
    return _requested is not None


def check_interrupt() -> None:
    """Raise if a signal is waiting; call this where all work so far has been saved."""
    if _requested is not None:
        _raise(_requested)


@contextmanager
def defer_interrupts() -> Generator[None, None, None]:
    """Make a first signal wait until `check_interrupt` is called, or until the end."""
    global _waiting
    _waiting += 1
    try:
        yield
    finally:
        _waiting -= 1
    check_interrupt()


def _handle(number: int, frame: FrameType | None) -> None:
    global _requested, _timer, _sent_again
    again, _sent_again = _sent_again, False
    if _importing(frame) and (again or _timer is None):  # an import that is broken off leaves modules half made
        _timer = threading.Timer(_MOMENT, _send_again, (number,))
        _timer.daemon = True
        _timer.start()
    elif _waiting and _requested is None:
        _requested = number
        if sys.stderr.isatty():
            os.write(2, f"{WAIT}\n".encode())  # print may be interrupted within itself
    else:
        _raise(number)


def _send_again(number: int) -> None:
    global _sent_again
    _sent_again = True
    os.kill(os.getpid(), number)


def _cancel() -> None:
    global _timer, _sent_again
    if _timer is not None:
        _timer.cancel()
        _timer, _sent_again = None, False


def _importing(frame: FrameType | None) -> bool:
    """Whether a frame is within an import."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _raise(number: int) -> NoReturn:
    global _requested
    _requested = None
    _cancel()
    raise Interrupted(number)
