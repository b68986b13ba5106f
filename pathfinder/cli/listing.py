"""`pathfinder list`: the models, datasets, curves and configs there are."""

from typing import Annotated, get_args

import typer

from pathfinder.cli.choices import Listed


def list_names(
    what: Annotated[Listed | None, typer.Argument(help="What to list.", show_default="all of them")] = None,
) -> None:
    """List the models, datasets, curves or configs that can be named."""
    for one in get_args(Listed) if what is None else [what]:
        if what is None:
            typer.echo(f"{one}:" if one == "models" else f"\n{one}:")
        for name, meaning in _names(one).items():
            typer.echo(f"{'' if what else '  '}{name:20} {meaning}")


def _names(what: Listed) -> dict[str, str]:
    """Each name with a line that explains it."""
    from pathfinder.cli.configs import describe_configs
    from pathfinder.data.load import DATASETS
    from pathfinder.geometry import Curve
    from pathfinder.geometry.base import kinds
    from pathfinder.models.build import MODELS

    if what == "configs":
        return describe_configs()
    if what == "curves":
        return {kind: (cls.__doc__ or kind).strip().splitlines()[0] for kind, cls in kinds(Curve).items()}
    return MODELS if what == "models" else DATASETS
