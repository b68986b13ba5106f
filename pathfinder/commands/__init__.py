"""What the commands do that need no whole experiment."""

from pathfinder.commands.align import align
from pathfinder.commands.curvature import curvature
from pathfinder.commands.lists import compare, names
from pathfinder.commands.opened import Asked
from pathfinder.commands.score import export, score
from pathfinder.commands.shown import show
from pathfinder.commands.train import train

__all__ = ["Asked", "align", "compare", "curvature", "export", "names", "score", "show", "train"]
