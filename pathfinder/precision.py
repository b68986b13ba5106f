"""Where and how precisely to compute."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.lookup import unknown

PRECISIONS = ("fp32", "bf16")
_NO_FLOAT64 = frozenset({"mps"})  # types of devices that cannot hold it

_BLOCK = 1 << 20  # numbers that are squared in float64 at a time


def device_named(name: str | torch.device) -> torch.device:
    """The device `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        PathfinderError: if there is no such device here.
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise unknown("device", name, ("cpu", "cuda", "mps")) from error
    here = _here()
    if not here.get(device.type, False):
        available = ", ".join(kind for kind, there in here.items() if there)
        raise PathfinderError(f"device `{name}` is not available here; choose from: {available}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise PathfinderError(
            f"device `{name}` is not available here; the last is cuda:{torch.cuda.device_count() - 1}."
        )
    return indexed(device)


def _here() -> dict[str, bool]:
    """The types of devices, and whether there is one."""
    return {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The context in which a module computes its outputs: bfloat16 where it is safe, or as the module is."""
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, dtype=torch.bfloat16)


def indexed(device: str | torch.device) -> torch.device:
    """The device by its number, as tensors name it: `cuda` is the current one, whichever that is."""
    device = torch.device(device)
    if device.type not in ("cuda", "mps") or device.index is not None:
        return device
    return torch.device(device.type, torch.cuda.current_device() if device.type == "cuda" else 0)


def has_float64(device: torch.device) -> bool:
    """Whether a device can hold numbers in float64."""
    return device.type not in _NO_FLOAT64


def accumulator(device: torch.device) -> torch.dtype:
    """The type in which sums are kept on a device: float64 where it has it."""
    return torch.float64 if has_float64(device) else torch.float32


def to_float64(tensor: Tensor) -> Tensor:
    """A tensor in float64: where it lies, or on the CPU if its device has no float64."""
    return (tensor if has_float64(tensor.device) else tensor.cpu()).double()


def fitting(device: torch.device, what: str, tensors: Iterable[Tensor]) -> None:
    """Check that a device can hold these tensors.

    Raises:
        PathfinderError: if one is float64 and the device has none.
    """
    if not has_float64(device) and any(tensor.dtype in (torch.float64, torch.complex128) for tensor in tensors):
        raise PathfinderError(
            f"{what} must not be float64 on `{device}`, which has none, but some are; convert them with .float(), or "
            "compute on the cpu."
        )


def length(tensors: Iterable[Tensor]) -> float:
    """The Euclidean norm of all numbers of some tensors, summed in float64 block by block and fetched at once."""
    blocks = (block for tensor in tensors for block in tensor.detach().reshape(-1).split(_BLOCK))
    squares = [torch.dot(block, block) for block in map(to_float64, blocks)]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0


def _inexact(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether tensors on one device hold neither NaN nor infinity, as a tensor: nothing waits for a device here."""
    peaks = [torch.linalg.vector_norm(t.detach(), torch.inf).isfinite() for t in tensors if t.numel() and _inexact(t)]
    return torch.stack(peaks).all() if peaks else torch.ones((), dtype=torch.bool)
