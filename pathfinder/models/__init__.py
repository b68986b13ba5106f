"""Networks by name. They are ordinary modules that know nothing of paths."""

from pathfinder.models.build import MODELS, build_model

__all__ = ["MODELS", "build_model"]
