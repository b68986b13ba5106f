"""Settings of `[data]` in a config."""

from typing import Annotated

from pydantic import Field

from pathfinder.data.load import load_labelled
from pathfinder.data.sources import Source
from pathfinder.settings import Checked, Count, Seed


class Data(Checked):
    """The arguments of `load_data`."""

    name: str
    crop: Annotated[int, Field(ge=0)] = 0
    flip: bool = False
    validation: Count | None = None
    examples: Count | None = None
    image_size: Count | None = None
    seed: Seed = 0

    def load(self) -> dict[str, Source]:
        """Load the splits, and check that a classifier can be trained on them."""
        return load_labelled(**self.model_dump())
