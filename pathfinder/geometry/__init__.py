"""Geometries: theta = C(t) @ W, as pure tensors. No modules and no data here."""
