"""What a config says of data: `[data]`."""

from typing import Annotated

from pydantic import Field

from pathfinder.data.load import load_labelled
from pathfinder.data.sources import Source
from pathfinder.settings import Checked, Count, Seed


class Data(Checked):
    """What `load_data` takes: the name, and how the training examples are split, drawn and augmented."""

    name: str
    crop: Annotated[int, Field(ge=0)] = 0
    flip: bool = False
    validation: Count | None = None
    examples: Count | None = None
    image_size: Count | None = None
    seed: Seed = 0

    def load(self) -> dict[str, Source]:
        """The splits, checked to be what a classifier can be trained on."""
        return load_labelled(**self.model_dump())
