"""Training: a minimum, or the bends of a curve."""
