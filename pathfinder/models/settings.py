"""Settings of `[model]` in a config."""

from typing import Any

from pydantic import ConfigDict, model_validator

from pathfinder.settings import Checked


class Model(Checked):
    """The name of a network, as for `build_model`, and arguments of its builder."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="after")
    def _check_seed(self) -> "Model":
        if "seed" in self.arguments:
            raise ValueError("a model takes no seed; set init_seed of the minimum")
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the builder."""
        return dict(self.model_extra or {})
