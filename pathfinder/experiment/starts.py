"""Where the training of a curve starts, if not on the straight line."""

import torch

from pathfinder.compute import evaluation_mode, on_device
from pathfinder.geometry.curves import Curve, Line
from pathfinder.scoring.evaluator import Evaluator

_NEAR = 0.1  # of the largest singular value: how a bend moves the curve, if not through bends that nearly cancel


def start_repaired(curve: Curve, evaluator: Evaluator) -> None:
    """Bend a curve through as many points of the line between its ends as it has bends, their hidden units repaired.

    A curve that meets them only with bends far from it, as a Bezier curve of many bends, passes near them instead.

    Args:
        curve: its bends are set; they lie on the straight line.
        evaluator: repairs the units.

    Raises:
        PathfinderError: if a layer cannot take a repair into its weights.
    """
    line = on_device(Line(curve.start, curve.end), evaluator.device)
    repair = evaluator.repaired(line)
    assert repair is not None
    bends = len(curve.bends)
    t = torch.arange(1, bends + 1, dtype=torch.float64) / (bends + 1)
    with torch.no_grad(), evaluation_mode(evaluator.space.network):
        thetas = [line(at)[0] for at in t.split(1)]
        repaired = [
            repair.at(float(at), theta).fold(evaluator.space, theta) for at, theta in zip(t, thetas, strict=True)
        ]
        moves = torch.stack([new - old for new, old in zip(repaired, thetas, strict=True)]).cpu()
        reach = torch.linalg.pinv(curve.coefficients(t)[:, 1:-1], rtol=_NEAR)
        curve.bends.add_((reach @ moves.double()).to(curve.bends.dtype))
