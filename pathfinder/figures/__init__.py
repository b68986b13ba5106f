"""Figures: drawn from the CSV files of a run alone, so that they can be redrawn years later."""

from pathfinder.figures.draw import draw, draw_together

__all__ = ["draw", "draw_together"]
