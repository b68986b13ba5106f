"""Figures: drawn from the CSV files of a run alone, so that they can be redrawn years later."""
