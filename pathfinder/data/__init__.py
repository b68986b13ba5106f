"""Examples: in memory or streamed, by name or the user's own, and how a batch of them is prepared."""

from pathfinder.data.load import DATASETS, load_data
from pathfinder.data.sources import Source, as_source
from pathfinder.data.split import Split
from pathfinder.data.stream import Stream

__all__ = ["DATASETS", "Source", "Split", "Stream", "as_source", "load_data"]
