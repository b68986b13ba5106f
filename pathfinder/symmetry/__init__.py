"""Hidden units that can be exchanged without changing what a network computes."""

from pathfinder.symmetry.alignment import Alignment
from pathfinder.symmetry.matching import match_activations, match_weights
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.structure import ProvedStructure, Structure

__all__ = ["Alignment", "ProvedStructure", "Repair", "Structure", "match_activations", "match_weights"]
