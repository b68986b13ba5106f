"""Draws: the generators that a module draws from, seeded for a while and put back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from pathfinder.precision import indexed


@contextmanager
def own_draws(device: str | torch.device = "cpu") -> Iterator[Callable[[int], None]]:
    """The generators of the CPU and of one device, put back as they were at the end; no other device is touched.

    Gives what seeds both; torch.manual_seed would seed every device there is, and costs more than a small step.
    """
    device = indexed(device)
    before = torch.get_rng_state()
    own = None
    if device.type == "cuda":
        own = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        own = torch.mps.get_rng_state()

    def seed(number: int) -> None:
        torch.default_generator.manual_seed(number)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(number)
        elif device.type == "mps":
            torch.mps.manual_seed(number)

    try:
        yield seed
    finally:
        torch.set_rng_state(before)
        if device.type == "cuda":
            torch.cuda.set_rng_state(own, device)
        elif device.type == "mps":
            torch.mps.set_rng_state(own)
