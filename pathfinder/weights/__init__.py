"""A module's tensors as one vector, and their histogram."""

from pathfinder.weights.histogram import weight_histogram
from pathfinder.weights.space import WeightSpace

__all__ = ["WeightSpace", "weight_histogram"]
