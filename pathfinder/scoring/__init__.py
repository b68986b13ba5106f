"""Loss and error at any point of a weight space."""

from pathfinder.scoring.batch_norm import Interpolate, Reestimate, Stored
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.losses import classification_error, cross_entropy
from pathfinder.scoring.scores import Scores
from pathfinder.scoring.weighted import Weighted

__all__ = [
    "Evaluator",
    "Interpolate",
    "Reestimate",
    "Scores",
    "Stored",
    "Weighted",
    "classification_error",
    "cross_entropy",
]
