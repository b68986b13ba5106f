"""What the commands do that need no whole experiment."""

from pathfinder.cli.commands.align import align
from pathfinder.cli.commands.curvature import curvature
from pathfinder.cli.commands.lists import compare, names
from pathfinder.cli.commands.opened import Asked
from pathfinder.cli.commands.score import export, score
from pathfinder.cli.commands.shown import show
from pathfinder.cli.commands.train import train

__all__ = ["Asked", "align", "compare", "curvature", "export", "names", "score", "show", "train"]
