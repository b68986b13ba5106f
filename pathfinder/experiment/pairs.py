"""What training passes on to scoring: minima, the ends of a pair, and the paths between them."""

from dataclasses import dataclass

from torch import Tensor, nn

from pathfinder.experiment.network import Network
from pathfinder.experiment.plan import Plan
from pathfinder.geometry.curves import Curve
from pathfinder.symmetry.repair import Repair
from pathfinder.training.settings import Minimum
from pathfinder.weights.space import WeightSpace


@dataclass(frozen=True)
class End:
    """A minimum before its training; the module and the digest of a checkpoint where it comes from one.

    All work with its network takes `threads` threads.
    """

    settings: Minimum
    network: Network
    module: nn.Module | None = None
    digest: str | None = None
    threads: int = 1


@dataclass(frozen=True)
class Ends:
    """Two minima to be connected, a and b, in the weight space of a; b as it was trained, or aligned."""

    space: WeightSpace
    network: Network
    thetas: tuple[Tensor, Tensor]
    statistics: list[Tensor]
    keys: list[str]


@dataclass(frozen=True)
class PairPath:
    """A path between two minima, with what it depends on."""

    curve: Curve
    statistics: list[Tensor]  # of BatchNorm, at the ends
    key: str
    epochs: int = 0  # it was trained for
    repair: Repair | None = None


@dataclass(frozen=True)
class Pair:
    """Two minima and the paths between them by name."""

    plan: Plan
    space: WeightSpace
    paths: dict[str, PairPath]

    @property
    def curves(self) -> dict[str, Curve]:
        """The geometry of each path."""
        return {name: path.curve for name, path in self.paths.items()}


@dataclass(frozen=True)
class Trained:
    """A minimum, and the key of what it depends on."""

    name: str
    module: nn.Module
    key: str
