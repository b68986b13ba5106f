"""The words that options take; those of the settings, which import torch, are the same."""

from typing import Literal

BatchNorm = Literal["training", "reestimate", "stored", "interpolate", "augmented"]
Precision = Literal["fp32", "bf16"]
Normalization = Literal["filter", "layer", "weight", "none"]
Parameters = Literal["all", "matrices"]
Matching = Literal["weights", "activations"]
Format = Literal["png", "pdf"]
Lines = Literal["paper", "log"]
Listed = Literal["models", "data", "curves", "configs"]
