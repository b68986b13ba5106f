"""What a config says of the network: `[model]`."""

from typing import Any

from pydantic import ConfigDict, model_validator

from pathfinder.settings import Checked


class Model(Checked):
    """`name` as for `build_model`; further keys go to the builder."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="after")
    def _keeps_seeds_apart(self) -> "Model":
        if "seed" in self.arguments:
            raise ValueError("a model takes no seed; set init_seed of the minimum")
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys beside the name."""
        return dict(self.model_extra or {})
