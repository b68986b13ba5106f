"""Settings of alignment: `[align]` of a config."""

from typing import Annotated, Any, Literal

from pydantic import Field

from pathfinder.settings import Checked


class Align(Checked):
    """How b's hidden units are permuted to match a's; every path is then found to the aligned b as well.

    Attributes:
        method: `weights` or `activations`.
        orders: random restarts of weight matching.
        examples: training examples whose activations are compared.
        structure: the groups of units as a table, see `Structure.by_hand`, for networks where they cannot be found.
        every_pair: whether to score the line between every two minima of a group, or of `[[minima]]` of one network, as
            they are and aligned.
        repair: whether to score the aligned line with REPAIR too, for networks without BatchNorm.
    """

    method: Literal["weights", "activations"] = "weights"
    orders: Annotated[int, Field(ge=1, le=10_000)] = 5
    examples: Annotated[int, Field(ge=2)] = 1000
    structure: Annotated[dict[str, list[str]], Field(min_length=1)] | None = None
    every_pair: bool = False
    repair: bool = False

    @property
    def matching(self) -> dict[str, Any]:
        """The settings that the aligned weights depend on."""
        return self.model_dump(include={"method", "orders", "examples", "structure"})
