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
    torch.backends.mha.set_fastpath_enabled(False)
    recurrent = any(isinstance(layer, nn.RNNBase) for layer in module.modules())
    if recurrent:
        torch.backends.mkldnn.set_flags(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=not recurrent):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.mkldnn.set_flags(fused)
