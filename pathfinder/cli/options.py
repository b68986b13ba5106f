"""Options of the command line that several commands share: each, and each group of them, written once."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

Changes = Annotated[list[str] | None, typer.Option("--set", help="Change a setting, key=value; dots enter tables.")]
Recipe = Annotated[list[str] | None, typer.Option("--set", help="Setting of the recipe, as epochs=60.")]
ModelArgs = Annotated[list[str] | None, typer.Option("--model-arg", help="Argument of the network, key=value.")]
DataArgs = Annotated[list[str] | None, typer.Option("--data-arg", help="Setting of the data, as crop=4.")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option(help="fp32, or bf16 for autocast.")]
Seed = Annotated[int, typer.Option(min=0, max=2**62 - 1, help="Seed of all that is drawn.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for tables and figures.")]
File = Annotated[Path, typer.Option("--out", "-o", help="File for the weights, safetensors.")]
BatchSize = Annotated[int, typer.Option(help="Examples per forward pass when scoring.")]
Examples = Annotated[int | None, typer.Option(help="Examples of each split to score; all if not given.")]
Normalize = Annotated[str, typer.Option(help="Directions: normalised by filter, layer, weight or none.")]
Span = Annotated[
    str | None, typer.Option(help="Reach of a direction or surface [1]; or two ends, -1:2, or -1:2,-0.5:0.5.")
]
Clip = Annotated[float, typer.Option(help="Nats above which landscapes are flat.")]
Linear = Annotated[bool, typer.Option("--linear", help="Heights of landscapes in the loss, not its logarithm.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that this command did not make.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Use nothing that an earlier, even interrupted run kept.")]
Weights = Annotated[Path, typer.Argument(help="Weights of a minimum.")]


@dataclass(frozen=True)
class Named:
    """Data and network, where the files of weights do not say them."""

    data: Annotated[
        str | None, typer.Option(help="Data set; as the weights say if not given. One of yours must be given.")
    ] = None
    data_arg: DataArgs = None
    model: Annotated[
        str | None, typer.Option(help="Network; as the weights say if not given. One of yours must be given.")
    ] = None
    model_arg: ModelArgs = None

    def asked(self) -> Any:
        """The same with its arguments read, as commands take it."""
        from pathfinder.cli.commands import Asked

        data, model = settings_in(self.data_arg, "--data-arg"), settings_in(self.model_arg, "--model-arg")
        if model and self.model is None:
            raise typer.BadParameter(
                "--model-arg needs --model; the network a file names comes with arguments of its own"
            )
        return Asked(self.data, data, self.model, model)


@dataclass(frozen=True)
class Scored:
    """How anything is scored."""

    batch_norm: Annotated[
        str, typer.Option(help="Running statistics: reestimate, training, stored or interpolate.")
    ] = "reestimate"
    batch_norm_examples: Annotated[
        int | None, typer.Option(help="Examples that re-estimate BatchNorm; all if not given.")
    ] = None
    batch_size: BatchSize = 512
    seed: Seed = 0
    device: Device = "cpu"


def unfolded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are groups of options, such as `Named`, become these options."""
    declared = inspect.signature(command).parameters
    groups = {name: one.annotation for name, one in declared.items() if is_dataclass(one.annotation)}
    options = []
    for name, own in declared.items():
        members = [(one.name, one.default, one.type) for one in fields(groups[name])] if name in groups else None
        options += members or [(name, own.default, own.annotation)]

    @wraps(command)
    def unfolding(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{one.name: given.pop(one.name) for one in fields(group)})
        command(**given)

    unfolding.__signature__ = inspect.Signature(
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in options
    )
    return unfolding


_NAMED = {"--model-arg": "network", "--data-arg": "data"}


def settings_in(items: list[str] | None, option: str) -> dict[str, Any]:
    """What several `key=value` of an option set."""
    from pathfinder.experiment.config_file import setting

    found = dict(setting(item, option) for item in items or [])
    if option in _NAMED and "name" in found:
        raise typer.BadParameter(f"{option} takes no name; name the {_NAMED[option]} itself instead")
    return found


def numbers_in(text: str, option: str) -> Any:
    """One number, those of each axis (51x31), or a span: two ends (-1:2), or these for each axis (-1:2,-0.5:0.5)."""
    if option == "points":
        form, read, parts = "51 or 51x31", int, [[part] for part in text.split("x")]
    else:
        form, read, parts = "1, -1:2 or -1:2,-0.5:0.5", float, [part.split(":") for part in text.split(",")]
        if len(parts) > 1:  # a reach is two ends
            parts = [part if len(part) == 2 else [f"-{part[0]}", part[0]] for part in parts]
    try:
        numbers = [[read(number) for number in part] for part in parts]
    except ValueError as error:
        raise typer.BadParameter(f"--{option} must be {form}, got {text}.") from error
    flat = [part[0] if len(part) == 1 else tuple(part) for part in numbers]
    return flat[0] if len(flat) == 1 else tuple(flat)
