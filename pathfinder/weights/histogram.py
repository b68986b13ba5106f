"""The histogram of a module's weights."""

import numpy as np
import pandas as pd
import torch
from torch import nn


def weight_histogram(module: nn.Module, bins: int = 101) -> pd.DataFrame:
    """The histogram of a module's weights: a row per bin, with columns low, high, weights (a count) and density.

    Only tensors of two or more dimensions count: biases and norm parameters are distributed differently. Equal bins,
    symmetric about zero, cover the middle 99.9 %; one more on each side covers the rest.

    Args:
        module: the network.
        bins: the number of equal bins.
    """
    tensors = [p.detach().cpu().double().flatten() for p in module.parameters() if p.ndim > 1]
    values = torch.cat(tensors).numpy() if tensors else np.zeros(0)
    if len(values) == 0:
        return pd.DataFrame(columns=["low", "high", "weights", "density"])
    reach = float(np.quantile(np.abs(values), 0.999)) or 1.0
    edges = np.linspace(-reach, reach, bins + 1)
    edges = np.concatenate([[min(values.min(), -reach * 1.001)], edges, [max(values.max(), reach * 1.001)]])
    counts = np.histogram(values, edges)[0]
    density = counts / len(values) / np.diff(edges)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "weights": counts, "density": density})
