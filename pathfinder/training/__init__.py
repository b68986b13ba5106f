"""Training: a minimum, or the bends of a curve."""

from pathfinder.training.fit import fit_curve, fit_minimum
from pathfinder.training.recipe import CurveRecipe, Recipe

__all__ = ["CurveRecipe", "Recipe", "fit_curve", "fit_minimum"]
