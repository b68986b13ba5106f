"""python -m pathfinder."""

from pathfinder.cli import main

main()
