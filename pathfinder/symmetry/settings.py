"""What a config says of alignment: `[align]`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from pathfinder.settings import Checked


class Align(Checked):
    """How b's hidden units are put in the order of a's; all paths are then drawn once more, to the aligned b.

    Attributes:
        method: `weights` or `activations`.
        orders: random orders that weight matching tries.
        examples: training examples whose activations are compared.
        structure: the groups of units by hand, as for `Structure.by_hand`, where they cannot be found.
        every_pair: whether the line between every two minima of a group is scored, as they are and aligned.
        repair: whether the aligned line is scored once more, REPAIRed, where the network has no BatchNorm.
    """

    method: Literal["weights", "activations"] = "weights"
    orders: Annotated[int, Field(ge=1, le=10_000)] = 5
    examples: Annotated[int, Field(ge=2)] = 1000
    structure: Annotated[dict[str, list[str]], Field(min_length=1)] | None = None
    every_pair: bool = False
    repair: bool = False

    @property
    def matching(self) -> dict[str, Any]:
        """What the aligned weights depend on."""
        return self.model_dump(include={"method", "orders", "examples", "structure"})
