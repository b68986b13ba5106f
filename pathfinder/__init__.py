"""pathfinder: find low-loss paths between trained networks, and see the landscape between them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathfinder.data import Split as Split
    from pathfinder.data import Stream as Stream
    from pathfinder.data import load_data as load_data
    from pathfinder.errors import PathfinderError as PathfinderError
    from pathfinder.geometry import Bezier as Bezier
    from pathfinder.geometry import Curve as Curve
    from pathfinder.geometry import Geometry as Geometry
    from pathfinder.geometry import Line as Line
    from pathfinder.geometry import Plane as Plane
    from pathfinder.geometry import PolyChain as PolyChain
    from pathfinder.geometry import Ray as Ray
    from pathfinder.landscape import Hessian as Hessian
    from pathfinder.landscape import hessian_extremes as hessian_extremes
    from pathfinder.landscape import principal_directions as principal_directions
    from pathfinder.landscape import random_directions as random_directions
    from pathfinder.models import build_model as build_model
    from pathfinder.scoring import Evaluator as Evaluator
    from pathfinder.scoring import Scores as Scores
    from pathfinder.symmetry import Structure as Structure
    from pathfinder.symmetry import match_activations as match_activations
    from pathfinder.symmetry import match_weights as match_weights
    from pathfinder.tables import summarize as summarize
    from pathfinder.training import fit_curve as fit_curve
    from pathfinder.training import fit_minimum as fit_minimum
    from pathfinder.weights import WeightSpace as WeightSpace

_HOMES = {
    # weights and paths
    "WeightSpace": "weights",
    "Bezier": "geometry",
    "Curve": "geometry",
    "Geometry": "geometry",
    "Line": "geometry",
    "Plane": "geometry",
    "PolyChain": "geometry",
    "Ray": "geometry",
    # data and networks
    "Split": "data",
    "Stream": "data",
    "load_data": "data",
    "build_model": "models",
    # training and scoring
    "fit_curve": "training",
    "fit_minimum": "training",
    "Evaluator": "scoring",
    "Scores": "scoring",
    "summarize": "tables",
    # alignment
    "Structure": "symmetry",
    "match_activations": "symmetry",
    "match_weights": "symmetry",
    # landscapes
    "Hessian": "landscape",
    "hessian_extremes": "landscape",
    "principal_directions": "landscape",
    "random_directions": "landscape",
    # errors
    "PathfinderError": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that `pathfinder --help` does not wait for torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("pathfinder-landscapes")
    if name not in _HOMES:
        raise AttributeError(f"module 'pathfinder' has no attribute '{name}'")
    return getattr(import_module(f"pathfinder.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
