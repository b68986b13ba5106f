"""How many threads torch computes with: as many as the user says, or a number that follows from the network's size.

Threads that share the work of a small layer wait for each other longer than they compute, on busy cores by far. The
number is never found by timing, since last bits of sums depend on it.
"""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

from pathfinder.errors import PathfinderError
from pathfinder.settings import MOST_THREADS, whole

SMALL = 100_000  # weights; the project's networks for 8 x 8 images have 15,000 to 30,000, a ResNet-20 has 272,474


def threads_for(module: nn.Module, asked: int | None = None) -> int:
    """The number of threads for the work with a network.

    Args:
        module: the network.
        asked: the number that the user wants.

    Returns:
        That number; without one, 1 for a network of fewer than 100,000 weights, and else the number that torch has now,
        which comes from OMP_NUM_THREADS or the number of cores.

    Raises:
        PathfinderError: if the number asked for is not a whole number from 1 to 1,024.

    >>> threads_for(nn.Linear(8, 8)), threads_for(nn.Linear(8, 8), asked=3)
    (1, 3)
    """
    if asked is not None:
        if whole(asked, "threads", 1) > MOST_THREADS:
            raise PathfinderError(f"threads must be {MOST_THREADS} or fewer, got {asked}; leave it out, or name fewer.")
        return asked
    size = sum(parameter.numel() for parameter in module.parameters())
    return 1 if size < SMALL else torch.get_num_threads()


@contextmanager
def threads(number: int | None = None) -> Generator[None, None, None]:
    """Compute with this many threads; at the end the number is again what it was.

    The number belongs to the calling thread (with OpenMP each thread has its own), so enter this in the thread that
    computes.

    Args:
        number: of threads; None changes nothing, and still restores the number at the end.

    >>> before = torch.get_num_threads()
    >>> with threads(3):
    ...     torch.get_num_threads()
    3
    >>> torch.get_num_threads() == before
    True
    """
    before = torch.get_num_threads()
    try:
        use_threads(before if number is None else number)
        yield
    finally:
        use_threads(before)


def use_threads(number: int) -> None:
    """Compute with this many threads from now on, in the calling thread."""
    if number != torch.get_num_threads():  # setting the same number would still change how MKL chooses its own
        torch.set_num_threads(number)
