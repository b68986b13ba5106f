"""A module's tensors, and one vector of them."""

from pathfinder.weights.histogram import weight_histogram
from pathfinder.weights.space import WeightSpace

__all__ = ["WeightSpace", "weight_histogram"]
