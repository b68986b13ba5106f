"""Options of the command line: each one, and each group that several commands share, is written once."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pathfinder.cli.choices import BatchNorm, Normalization, Parameters, Precision
from pathfinder.cli.points import read_count

if TYPE_CHECKING:
    from pathfinder.scoring.settings import Scoring


def _check_seed(seed: int) -> int:
    if not 0 <= seed < 2**62:
        raise typer.BadParameter(f"--seed must be 0 or more and less than 2**62, got {seed}")
    return seed


def _check_workers(workers: str) -> str:
    if workers != "auto" and not re.fullmatch(r"[1-9]\d{0,3}", workers):
        raise typer.BadParameter(f"--workers must be a number from 1 to 9999 or auto, got {workers}")
    return workers


def _check_name(name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}", name):
        raise typer.BadParameter(f"--name must be a name of letters, digits and . _ + -, 80 at most, got {name}")
    return name


RunFolder = Annotated[Path | None, typer.Option("--out", "-o", help="Folder.", show_default="results/NAME")]
Scale = Annotated[str | None, typer.Option(help=r"Use the values of \[scales.NAME] in the config.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Override a config value, e.g. minimum.epochs=5. Repeatable.")
]
Recipe = Annotated[list[str] | None, typer.Option("--set", help="Training option, e.g. epochs=60. Repeatable.")]
ModelArgs = Annotated[
    list[str] | None, typer.Option("--model-arg", help="Argument of the network, e.g. depth=20. Repeatable.")
]
DataArgs = Annotated[
    list[str] | None,
    typer.Option("--data-arg", help="Option of the dataset, e.g. crop=4 or mean=0.49,0.48,0.44. Repeatable."),
]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:N or mps.")]
Threads = Annotated[
    int | None,
    typer.Option(
        help="How many threads compute; the last bits of results depend on it.",
        show_default="1 for a network below 100,000 weights, else the machine's",
    ),
]
PrecisionOption = Annotated[Precision, typer.Option(help="Arithmetic of the network; bf16 is autocast.")]
PrecisionCheck = Annotated[
    bool, typer.Option(help="With bf16, compare it with fp32 on 1,000 examples and stop where they disagree.")
]
Seed = Annotated[int, typer.Option(callback=_check_seed, help="Random seed, 0 or more.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for tables and figures.")]
File = Annotated[Path, typer.Option("--out", "-o", help="File for the weights (.safetensors).")]
BatchSize = Annotated[int, typer.Option(help="Examples per forward pass.")]
Examples = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Examples of each split to score. auto, for a path: until the interval of its barrier is small enough.",
        show_default="all",
    ),
]
BatchNormOption = Annotated[
    BatchNorm | None,
    typer.Option(
        help="Running statistics of BatchNorm: re-estimated at every point from images cropped and flipped as in "
        "training or from clean ones (reestimate), those stored in the weights, or a mix of the ends'. `augmented` "
        "is an older name of `training`.",
        show_default="training along paths and planes, stored around one minimum",
    ),
]
BatchNormExamples = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Training examples that re-estimate BatchNorm; auto, for a path: until more hardly change its scores.",
        show_default="all",
    ),
]
PathPoints = Annotated[
    str,
    typer.Option(metavar="N|auto", help="Points along the path, both ends included. auto: its losses choose."),
]
Tolerance = Annotated[
    float, typer.Option(help="With --points auto: of the largest loss and of the integral, relative.")
]
RatioPoints = Annotated[
    str,
    typer.Option(
        metavar="N|NxM|auto",
        help="Points per axis; 51x31 sets both. auto: the ratio of the eigenvalues chooses.",
    ),
]
SurfacePoints = Annotated[
    str,
    typer.Option(metavar="N|NxM|auto", help="Points per axis; 51x31 sets both. auto: the train loss chooses."),
]
PlanePoints = Annotated[str, typer.Option(metavar="N|auto", help="Points per axis. auto: the train loss chooses.")]
PlaneTolerance = Annotated[
    float, typer.Option(help="With --points auto: of the logarithm of the losses between the points.")
]
Normalize = Annotated[
    Normalization | None, typer.Option(help="How random directions are scaled to the weights.", show_default="filter")
]
Keep1d = Annotated[bool, typer.Option("--keep-1d", help="Let directions move biases and norm parameters too.")]
Span = Annotated[
    str | None,
    typer.Option(help="Range of x (and y): 1 for -1 to 1, -1:2, or one per axis, -1:2,-0.5:0.5.", show_default="1"),
]
Trajectory = Annotated[
    Path | None,
    typer.Option(
        help="Folder of checkpoints from `train --checkpoint-every` or a run; use their principal directions, not "
        "random ones."
    ),
]
Clip = Annotated[float, typer.Option(help="Clip plotted losses at this value (nats).")]
Linear = Annotated[bool, typer.Option("--linear", help="Linear loss axis instead of logarithmic.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that this command did not make.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Ignore what an earlier or interrupted run kept; start over.")]
Redo = Annotated[
    bool, typer.Option("--force", help="Redo what other settings change in a folder that holds this run already.")
]
Workers = Annotated[
    str,
    typer.Option(
        callback=_check_workers,
        metavar="N|auto",
        help="Processes of this computer that share the work; the tables stay the same. auto: as many as serve.",
    ),
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler whose workers do the work; they share the folder.")
]
Dashboard = Annotated[
    bool,
    typer.Option(
        "--dashboard",
        help="Let Dask show its workers in a browser, unencrypted, to everyone on this computer; needs bokeh.",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        callback=_check_name, help="What tables and figures call the minima.", show_default="their file names"
    ),
]
Weights = Annotated[Path, typer.Argument(help="Weights of a minimum.")]
CurveFile = Annotated[Path, typer.Argument(help="A curve, from the `curves` folder of a run.")]


ScoreCount = Annotated[int | None, typer.Option(help="Examples of each split to score.", show_default="all")]
BatchNormCount = Annotated[
    int | None, typer.Option(help="Training examples that re-estimate BatchNorm.", show_default="all")
]


@dataclass(frozen=True)
class RunOptions:
    """How the work of a run is shared and resumed; no number depends on it."""

    workers: Workers = "auto"
    scheduler: Scheduler = None
    dashboard: Dashboard = False
    fresh: Fresh = False
    force: Redo = False

    @property
    def processes(self) -> int | Literal["auto"]:
        """How many processes of this computer the user wants."""
        return "auto" if self.workers == "auto" else int(self.workers)


@dataclass(frozen=True)
class Origin:
    """The dataset and the network of files of weights, and the threads for them. What is not given, the files record.

    A file never names code to import: a network or dataset of the user's own must be given here.
    """

    data: Annotated[str | None, typer.Option(help="Dataset.", show_default="the one named in the weights file")] = None
    data_arg: DataArgs = None
    model: Annotated[str | None, typer.Option(help="Network.", show_default="the one named in the weights file")] = None
    model_arg: ModelArgs = None
    threads: Threads = None

    def __post_init__(self) -> None:
        if self.model_arg and self.model is None:
            raise typer.BadParameter("--model-arg needs --model; a network that a file names has its own arguments")

    @property
    def data_settings(self) -> dict[str, Any]:
        """The options of the dataset."""
        return read_settings(self.data_arg, "--data-arg")

    @property
    def model_settings(self) -> dict[str, Any]:
        """The arguments of the network."""
        return read_settings(self.model_arg, "--model-arg")


@dataclass(frozen=True)
class ScoreOptions:
    """How points are scored."""

    batch_norm: BatchNormOption = None
    batch_norm_examples: BatchNormExamples = None
    batch_size: BatchSize = 512
    seed: Seed = 0
    device: Device = "cpu"

    def settings(self, around: bool = False, **more: Any) -> "Scoring":
        """These options as the settings of `[score]`.

        Args:
            around: whether points around one minimum are scored, which by default keep its stored statistics.
            more: its other fields.
        """
        from pathfinder.scoring.settings import Scoring

        chosen = self.batch_norm or ("stored" if around else "training")
        if self.batch_norm_examples is not None and chosen in ("stored", "interpolate"):
            raise typer.BadParameter(
                f"--batch-norm-examples re-estimates BatchNorm, which --batch-norm {chosen} does not; drop one of them"
            )
        own = {"batch_norm": chosen, "batch_size": self.batch_size}
        again = read_count(self.batch_norm_examples, "--batch-norm-examples")
        return Scoring.parse({**own, "batch_norm_examples": again, **more})


@dataclass(frozen=True)
class ScoreJob(RunOptions, ScoreOptions, Origin):
    """The options that all words of `score` take."""

    examples: Examples = None
    precision: PrecisionOption = "fp32"
    precision_check: PrecisionCheck = True
    name: Name = None

    def settings(self, around: bool = False, **more: Any) -> "Scoring":
        """These options as the settings of `[score]`, the number of examples among them."""
        return super().settings(around, examples=read_count(self.examples, "--examples"), **more)


@dataclass(frozen=True)
class PointJob(RunOptions, Origin):
    """The options of `score point`: those of `score` without a choice of BatchNorm's statistics, as it shows each."""

    examples: ScoreCount = None
    batch_norm_examples: BatchNormCount = None
    batch_size: BatchSize = 512
    precision: PrecisionOption = "fp32"
    precision_check: PrecisionCheck = True
    seed: Seed = 0
    device: Device = "cpu"
    name: Name = None


@dataclass(frozen=True)
class CurvatureJob(RunOptions, ScoreOptions, Origin):
    """The options that all words of `curvature` take."""

    examples: Annotated[
        int | None, typer.Option(help="Training examples whose mean loss is differentiated.", show_default="all")
    ] = None
    tolerance: Annotated[float, typer.Option(help="Relative residual of both eigenvalues.")] = 1e-2
    most: Annotated[int, typer.Option(help="Maximum Hessian-vector products per point for the eigenvalues.")] = 400
    samples: Annotated[int, typer.Option(help="Random vectors for the trace; 0 for none.")] = 16
    parameters: Annotated[
        Parameters,
        typer.Option(
            help="What the Hessian is of: all parameters, or tensors of two axes or more alone, without biases and "
            "norm parameters."
        ),
    ] = "all"
    name: Name = None


_TAKEN = {"--model-arg": "network", "--data-arg": "dataset"}


def read_settings(items: list[str] | None, option: str) -> dict[str, Any]:
    """What several `key=value` of an option set."""
    from pathfinder.experiment.config_file import read_override

    found = dict(read_override(item, option) for item in items or [])
    if option in _TAKEN and "name" in found:
        raise typer.BadParameter(f"{option} takes no name; name the {_TAKEN[option]} itself instead")
    return found
