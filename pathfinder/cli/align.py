"""`pathfinder align`: permute the hidden units of one network to match another's."""

from pathlib import Path
from typing import Annotated

import typer

from pathfinder.cli.choices import Matching
from pathfinder.cli.options import File, Force, Origin, Seed
from pathfinder.cli.wrapping import deterministic, expand_groups


@expand_groups
@deterministic
def align(
    *,
    a: Annotated[Path, typer.Argument(help="Weights of the minimum to match.")],
    b: Annotated[Path, typer.Argument(help="Weights of the minimum to permute.")],
    out: File,
    method: Annotated[Matching, typer.Option(help="What is compared.")] = "weights",
    orders: Annotated[int | None, typer.Option(help="Weight matching: random restarts.", show_default="5")] = None,
    examples: Annotated[
        int | None,
        typer.Option(help="Activation matching: training examples that are compared.", show_default="1000"),
    ] = None,
    origin: Origin,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Permute B's hidden units to match A's, without changing what B computes."""
    import pandas as pd

    from pathfinder.cli.inputs import open_minima
    from pathfinder.cli.outputs import may_replace, weights_file
    from pathfinder.cli.progress import Reporter
    from pathfinder.symmetry.matching import align as align_weights
    from pathfinder.symmetry.settings import Align

    if orders is not None and method != "weights":
        raise typer.BadParameter("--orders belongs to --method weights; drop it.")
    if examples is not None and method != "activations":
        raise typer.BadParameter("--examples belongs to --method activations; drop it.")
    given = {"method": method, "orders": orders, "examples": examples}
    settings = Align.parse({key: value for key, value in given.items() if value is not None})
    out, own = weights_file(out, [a, b]), {"aligned": {"to": a.name, "method": method}}
    may_replace(out, own, force)
    with Reporter() as report:
        minima = open_minima([a, b], origin)
        a_theta, b_theta = minima.thetas
        found = align_weights(
            minima.space,
            a_theta,
            b_theta,
            minima.data["train"],
            settings,
            minima.statistics,
            seed,
            report("align"),
        )
        minima.network.save(out, minima.space.state_dict(found.vector, found.statistics), **own)
    typer.echo(pd.DataFrame([found.row(a_theta, b_theta)]).to_string(index=False))
    typer.echo(f"weights in {out}")
