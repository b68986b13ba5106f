"""pathfinder: connects two trained networks by low-loss paths and shows the landscape between them."""

from importlib import import_module
from typing import Any

_HOMES = {
    "WeightSpace": "weights.space",
    "Line": "geometry.curves",
    "PolyChain": "geometry.curves",
    "Bezier": "geometry.curves",
    "Plane": "geometry.planes",
    "Ray": "geometry.planes",
    "Hessian": "landscape.hessian",
    "hessian_extremes": "landscape.hessian",
    "random_directions": "landscape.directions",
    "principal_directions": "landscape.directions",
    "match_weights": "symmetry.matching",
    "match_activations": "symmetry.matching",
    "Structure": "symmetry.structure",
    "Curve": "geometry.curves",
    "Geometry": "geometry.base",
    "Evaluator": "scoring.evaluator",
    "Scores": "scoring.scores",
    "fit_minimum": "training.fit",
    "fit_curve": "training.fit",
    "build_model": "models.build",
    "Split": "data.split",
    "Stream": "data.stream",
    "load_data": "data.load",
    "summarize": "tables.summary",
    "PathfinderError": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that `pathfinder --help` does not wait for torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("pathfinder")
    if name not in _HOMES:
        raise AttributeError(f"module 'pathfinder' has no attribute '{name}'")
    return getattr(import_module(f"pathfinder.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
