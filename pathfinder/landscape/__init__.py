"""The loss around a point: directions, surfaces, curvature."""
