"""How the weights of a module are spread."""

import numpy as np
import pandas as pd
import torch
from torch import nn


def weight_histogram(module: nn.Module, bins: int = 101) -> pd.DataFrame:
    """How the weights of a module are spread: a row per bin, columns low, high, weights (a count), density.

    Tensors of two or more dimensions only: biases and norm parameters have laws of their own. The bins divide the
    middle 99.9 % evenly, symmetric about zero; one more on each side holds the rest.
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
