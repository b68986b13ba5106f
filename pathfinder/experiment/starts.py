"""Where the training of a curve starts, if not on the straight line."""

import torch

from pathfinder.compute import evaluation_mode
from pathfinder.geometry.curves import Curve, Line
from pathfinder.scoring.evaluator import Evaluator


def start_repaired(curve: Curve, evaluator: Evaluator) -> None:
    """Bend a curve through as many points of the line between its ends as it has bends, their hidden units repaired.

    Args:
        curve: its bends are set.
        evaluator: repairs the units.

    Raises:
        PathfinderError: if a layer cannot take a repair into its weights.
    """
    line = Line(curve.start, curve.end)
    repair = evaluator.repaired(line)
    assert repair is not None
    bends = len(curve.bends)
    t = torch.arange(1, bends + 1, dtype=torch.float64) / (bends + 1)
    with torch.no_grad(), evaluation_mode(evaluator.space.network):
        thetas = [line(at)[0] for at in t.split(1)]
        met = torch.stack(
            [repair.at(float(at), theta).fold(evaluator.space, theta) for at, theta in zip(t, thetas, strict=True)]
        )
        c = curve.coefficients(t)
        rest = met.double() - c[:, :1] * curve.start - c[:, -1:] * curve.end
        curve.bends.copy_(torch.linalg.solve(c[:, 1:-1], rest))
