"""pathfinder: connects two trained networks by low-loss paths and shows the landscape between them."""

from importlib import import_module
from typing import Any

_HOMES = {
    "WeightSpace": "weights",
    "Line": "geometry",
    "PolyChain": "geometry",
    "Bezier": "geometry",
    "Plane": "plane",
    "Ray": "plane",
    "Hessian": "curvature",
    "hessian_extremes": "curvature",
    "random_directions": "directions",
    "principal_directions": "directions",
    "match_weights": "align",
    "match_activations": "align",
    "Structure": "units",
    "Curve": "geometry",
    "Geometry": "geometry",
    "Evaluator": "evaluate",
    "Scores": "scores",
    "fit_minimum": "fit",
    "fit_curve": "fit",
    "build_model": "models",
    "Split": "data",
    "Stream": "stream",
    "load_data": "datasets",
    "summarize": "tables",
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
