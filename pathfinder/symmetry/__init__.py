"""Hidden units that can be exchanged without changing what a network computes."""

from pathfinder.symmetry.matching import Alignment, match_activations, match_weights
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.structure import Structure

__all__ = ["Alignment", "Repair", "Structure", "match_activations", "match_weights"]
