"""What a plan must know of the data and the networks before any work."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pathfinder.storage.keys import key_of


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of the network of a minimum before any work.

    Attributes:
        identity: what work with it depends on.
        digest: of its checkpoint, if it comes from one.
        weights: how many it has.
        has_statistics: whether it has BatchNorm.
        threads: that work with it takes.
    """

    identity: Mapping[str, Any]
    digest: str | None
    weights: int
    has_statistics: bool
    threads: int = 1


@dataclass(frozen=True)
class Facts:
    """What a plan must know besides the config.

    Attributes:
        digests: of the splits, and of the code of the data.
        augmentation: how training inputs are prepared.
        examples: how many each split has.
        networks: of the minima, by their names.
    """

    digests: Mapping[str, str | None]
    augmentation: tuple[Any, ...]
    examples: Mapping[str, int]
    networks: Mapping[str, NetworkFacts]

    def alike(self, minima: Iterable[str]) -> list[list[str]]:
        """Some minima, those of the same network together."""
        groups: dict[str, list[str]] = {}
        for name in minima:
            groups.setdefault(key_of(self.networks[name].identity), []).append(name)
        return list(groups.values())
