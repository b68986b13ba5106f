"""Where and how torch computes: device, precision, kernels, determinism, random draws."""

import copy
import os
import random
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from pathfinder.errors import PathfinderError, unknown

PRECISIONS = ("fp32", "bf16")
_NO_FLOAT64 = frozenset({"mps"})  # types of devices without float64


def find_device(name: str | torch.device) -> torch.device:
    """The device `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        PathfinderError: if this computer has no such device.
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
    return with_index(device)


def _here() -> dict[str, bool]:
    """Whether this computer has a device of each type."""
    return {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The context in which a module computes its outputs: `bf16` uses bfloat16 where that is safe."""
    return nullcontext() if check_precision(precision) == "fp32" else torch.autocast(device.type, dtype=torch.bfloat16)


def check_precision(precision: str) -> str:
    """The precision `fp32` or `bf16`.

    Raises:
        PathfinderError: if it is called anything else.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    return precision


def with_index(device: str | torch.device) -> torch.device:
    """The device with its number, as tensors name it: `cuda` becomes the current one, such as `cuda:0`."""
    device = torch.device(device)
    if device.type not in ("cuda", "mps") or device.index is not None:
        return device
    return torch.device(device.type, torch.cuda.current_device() if device.type == "cuda" else 0)


def peak_gpu_memory(device: str | torch.device) -> int | None:
    """The most bytes of a CUDA device that torch has held for this process so far; None of any other device."""
    device = find_device(device)
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None


def has_float64(device: torch.device) -> bool:
    """Whether a device supports float64."""
    return device.type not in _NO_FLOAT64


def accumulator(device: torch.device) -> torch.dtype:
    """The dtype of sums on a device: float64 if it supports that."""
    return torch.float64 if has_float64(device) else torch.float32


def to_float64(tensor: Tensor) -> Tensor:
    """A tensor in float64: on its own device, or on the CPU if the device has no float64."""
    return (tensor if has_float64(tensor.device) else tensor.cpu()).double()


def check_float64(device: torch.device, what: str, tensors: Iterable[Tensor]) -> None:
    """Check that a device can hold these tensors.

    Raises:
        PathfinderError: if one is float64 and the device has none.
    """
    if not has_float64(device) and any(tensor.dtype in (torch.float64, torch.complex128) for tensor in tensors):
        raise PathfinderError(
            f"{what} must not be float64 on `{device}`, which has none, but some are; convert them with .float(), or "
            "compute on the cpu."
        )


def _inexact(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether tensors on one device are free of NaN and infinity, as a tensor, so that nothing waits for the device."""
    peaks = [torch.linalg.vector_norm(t.detach(), torch.inf).isfinite() for t in tensors if t.numel() and _inexact(t)]
    return torch.stack(peaks).all() if peaks else torch.ones((), dtype=torch.bool)


Placed = TypeVar("Placed", bound=nn.Module)


@contextmanager
def lend(module: nn.Module, device: torch.device) -> Generator[None, None, None]:
    """Move a module to a device to train it there; at the end, and on errors, each tensor returns to its own device."""
    homes = {}
    for layer in module.modules():
        tensors = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
        homes |= {(layer, name): tensor.device for name, tensor in tensors}
    try:
        module.to(device)
        yield
    finally:
        _returned(module, homes)


def _returned(module: nn.Module, homes: dict[tuple[nn.Module, str], torch.device]) -> None:
    places = set(homes.values())
    if len(places) == 1:
        module.to(places.pop())
        return
    for layer in module.modules():  # the parts of the module lie on several devices
        for name, parameter in layer.named_parameters(recurse=False):
            parameter.data = parameter.data.to(homes[layer, name])
        for name, buffer in list(layer.named_buffers(recurse=False)):
            setattr(layer, name, buffer.to(homes.get((layer, name), buffer.device)))


def on_device(module: Placed, device: torch.device) -> Placed:
    """The module itself if it lies on the device, else a copy there; the module is not moved.

    A buffer in float64, such as the landmarks of a plane, is not moved to a device without float64.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if all(tensor.device == with_index(device) for tensor in tensors):
        return module
    there = {}
    for tensor in tensors:
        stays = tensor.dtype == torch.float64 and not has_float64(device)
        own = tensor.detach() if stays else tensor.detach().to(device)
        there[id(tensor)] = nn.Parameter(own, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else own
    return copy.deepcopy(module, there)


@contextmanager
def plain_kernels(module: nn.Module) -> Generator[None, None, None]:
    """Compute attention and recurrent layers without fused kernels, which have no second derivatives."""
    fast, fused = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    cudnn = torch.backends.cudnn.enabled  # cudnn.flags would also change the user's precision and determinism
    torch.backends.mha.set_fastpath_enabled(False)
    recurrent = any(isinstance(layer, nn.RNNBase) for layer in module.modules())
    if recurrent:
        torch.backends.mkldnn.set_flags(False)
        torch.backends.cudnn.enabled = False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cudnn.enabled = cudnn
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.mkldnn.set_flags(fused)


_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # read at CUDA's first matrix product; makes products reproducible


@contextmanager
def reproducible() -> Generator[None, None, None]:
    """Use deterministic algorithms of torch, warn where there is none, and do not choose kernels by timing them.

    Commands enter it before they compute on CUDA; all settings are restored at the end. The library itself leaves these
    settings to the user.
    """
    workspace = os.environ.get(_CUBLAS)
    mode, search = torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark
    memory: Any = torch.utils.deterministic  # torch replaces the module by a class with this property
    filled = memory.fill_uninitialized_memory
    os.environ.setdefault(_CUBLAS, ":4096:8")
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms would load a compiler for seconds
    memory.fill_uninitialized_memory = False  # a costly check for errors
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        memory.fill_uninitialized_memory = filled
        torch.backends.cudnn.benchmark = search
        if workspace is None:
            del os.environ[_CUBLAS]


def compute_settings() -> dict[str, Any]:
    """The current settings of torch on which the last bits of a GPU's numbers depend."""
    cudnn = torch.backends.cudnn
    return {
        "deterministic_algorithms": ("off", "warn", "on")[torch.get_deterministic_debug_mode()],
        "cublas_workspace": os.environ.get(_CUBLAS),
        "tf32": {"matmul": _tf32(torch.backends.cuda.matmul), "cudnn": _tf32(cudnn)},
        "cudnn": {
            "version": cudnn.version() if cudnn.is_available() else None,
            "enabled": cudnn.enabled,
            "benchmark": cudnn.benchmark,
            "deterministic": cudnn.deterministic,
        },
    }


def _tf32(backend: Any) -> bool | str:
    """Whether float32 is computed as TF32, by the older switch, or by the newer one if the user has set both."""
    try:
        return backend.allow_tf32
    except RuntimeError:
        return str(backend.fp32_precision)


@contextmanager
def own_draws(device: str | torch.device = "cpu") -> Generator[Callable[[int], None], None, None]:
    """Restore the global random generators of torch on the CPU and one device, of NumPy and of Python at the end.

    Yields a function that seeds them; torch.manual_seed would seed every device, and costs more than a small step.
    """
    device = with_index(device)
    before, numpy_before, python_before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    own = before
    if device.type == "cuda":
        own = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        own = torch.mps.get_rng_state()

    def seed(number: int) -> None:
        torch.default_generator.manual_seed(number)
        np.random.seed(number % 2**32)  # a user's loader may draw crops from it
        random.seed(number)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(number)
        elif device.type == "mps":
            torch.mps.manual_seed(number)

    try:
        yield seed
    finally:
        torch.set_rng_state(before)
        np.random.set_state(numpy_before)
        random.setstate(python_before)
        if device.type == "cuda":
            torch.cuda.set_rng_state(own, device)
        elif device.type == "mps":
            torch.mps.set_rng_state(own)


@contextmanager
def evaluation_mode(module: nn.Module) -> Generator[None, None, None]:
    """Evaluation mode: Dropout is off, BatchNorm uses its running statistics."""
    with _restore_flags(module):
        module.eval()
        yield


@contextmanager
def training_mode(module: nn.Module) -> Generator[None, None, None]:
    """Training mode: Dropout is on, BatchNorm uses the batch's statistics and updates its running ones."""
    with _restore_flags(module):
        module.train()
        yield


@contextmanager
def _restore_flags(module: nn.Module) -> Generator[None, None, None]:
    flags = [(layer, layer.training) for layer in module.modules()]
    try:
        yield
    finally:
        for layer, flag in flags:
            layer.training = flag
