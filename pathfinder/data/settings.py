"""Settings of `[data]` in a config."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pathfinder.data.load import load_labelled
from pathfinder.data.normalization import check_both, read_moment
from pathfinder.data.sources import Source
from pathfinder.settings import Checked, Count, Seed

_Numbers = float | tuple[float, ...] | Literal["none", "data"] | None


class Data(Checked):
    """The arguments of `load_data`."""

    name: str
    crop: Annotated[int, Field(ge=0)] = 0
    flip: bool = False
    validation: Count | None = None
    examples: Count | None = None
    image_size: Count | None = None
    mean: Annotated[_Numbers, BeforeValidator(lambda value: read_moment(value, "mean"))] = None
    std: Annotated[_Numbers, BeforeValidator(lambda value: read_moment(value, "std"))] = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _check_both(self) -> Any:
        check_both(self.mean, self.std)
        return self

    def load(self) -> dict[str, Source]:
        """Load the splits, and check that a classifier can be trained on them."""
        return load_labelled(**self.model_dump())
