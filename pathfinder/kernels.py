"""Which kernels compute attention and recurrent layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def plain_kernels(module: nn.Module) -> Iterator[None]:
    """Attention and recurrent layers as sums and products: the fused kernels have no second derivatives."""
    fast, fused = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.set_flags(None)[0]
    cudnn = torch.backends.cudnn.enabled  # alone: cudnn.flags would also set the user's precision and determinism
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
