"""Where and how precisely to compute."""

from contextlib import AbstractContextManager, nullcontext

import torch

from pathfinder.errors import PathfinderError
from pathfinder.lookup import unknown

PRECISIONS = ("fp32", "bf16")


def device_named(name: str | torch.device) -> torch.device:
    """The device `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        PathfinderError: if there is no such device here.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise unknown("device", name, ("cpu", "cuda", "mps")) from error
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(device.type, False):
        available = ", ".join(kind for kind, there in here.items() if there)
        raise PathfinderError(f"device `{name}` is not available here; choose from: {available}.")
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The context in which a module computes its outputs: bfloat16 where it is safe, or as the module is."""
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, dtype=torch.bfloat16)
