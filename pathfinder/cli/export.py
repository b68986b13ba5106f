"""`pathfinder export`: the network at one point of a curve."""

from typing import Annotated

import typer

from pathfinder.cli.options import BatchSize, CurveFile, Device, File, Force, Origin
from pathfinder.cli.wrapping import deterministic, expand_groups


@expand_groups
@deterministic
def export(
    *,
    curve: CurveFile,
    t: Annotated[float, typer.Option("--t", help="Where on the curve, from 0 to 1.")],
    out: File,
    origin: Origin,
    batch_size: BatchSize = 512,
    device: Device = "cpu",
    force: Force = False,
) -> None:
    """Write the weights of one point of a curve, with BatchNorm re-estimated on the training data."""
    import torch

    from pathfinder.cli.inputs import open_curve
    from pathfinder.cli.outputs import may_replace, weights_file
    from pathfinder.errors import PathfinderError
    from pathfinder.scoring import Evaluator

    if not 0 <= t <= 1:
        raise PathfinderError(f"t must be from 0 to 1, got {t}.")
    out, own = weights_file(out, [curve]), {"curve": curve.name, "t": t}
    may_replace(out, own, force)
    opened = open_curve(curve, origin)
    space = opened.space
    evaluator = Evaluator(space, opened.data, batch_size=batch_size, device=device)
    theta = opened.path(torch.tensor([t], dtype=torch.float64))[0].detach()
    statistics = evaluator.reestimate(theta).cpu() if space.has_statistics else None
    opened.network.save(out, space.state_dict(theta, statistics), **own)
    typer.echo(f"weights in {out}")
