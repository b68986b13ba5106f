"""The command line."""

from pathfinder.cli.app import app, main

__all__ = ["app", "main"]
