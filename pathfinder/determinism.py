"""Determinism: what the commands switch on for their time, and what a run says of how its numbers were computed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # read as CUDA makes its first product; with it products are the same each time


@contextmanager
def reproducible() -> Iterator[None]:
    """Torch's deterministic algorithms where there are such, a warning where not, and no kernels chosen by the clock.

    For the time of a command, and before it begins to compute on CUDA: all is put back at the end. Called from Python,
    the library leaves these settings to the user.
    """
    workspace = os.environ.get(_CUBLAS)
    mode, search = torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark
    filled = torch.utils.deterministic.fill_uninitialized_memory
    os.environ.setdefault(_CUBLAS, ":4096:8")
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms would also load a compiler, for seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # which would only find errors, at some cost
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.utils.deterministic.fill_uninitialized_memory = filled
        torch.backends.cudnn.benchmark = search
        if workspace is None:
            del os.environ[_CUBLAS]


def compute_settings() -> dict[str, Any]:
    """The settings of torch, as they are now, on which the last bits of a GPU's numbers depend."""
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
    """Whether float32 is computed as TF32: by the older switch, or where the user mixed both, by the newer's name."""
    try:
        return backend.allow_tf32
    except RuntimeError:
        return str(backend.fp32_precision)
