"""Data sets by name, the user's own data, and how a batch of examples is prepared."""

from pathfinder.data.load import DATASETS, load_data
from pathfinder.data.normalization import describe_normalization
from pathfinder.data.sources import Source, as_source
from pathfinder.data.split import Split
from pathfinder.data.stream import Stream

__all__ = ["DATASETS", "Source", "Split", "Stream", "as_source", "describe_normalization", "load_data"]
