"""What a process needs to do pieces of work: data, networks, minima, paths and evaluators, each made once.

Weights come from files, the user's own or those that earlier pieces wrote into the folder of the run, whoever did them;
so the bytes of a result do not depend on which process made it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pathfinder.data.sources import Source, digests
from pathfinder.errors import PathfinderError
from pathfinder.experiment.config import Config
from pathfinder.experiment.kept import chosen_examples
from pathfinder.experiment.network import Network, network_of
from pathfinder.experiment.pairs import ALIGNED, REPAIRED, Pair, as_title, is_straight, kept_weights
from pathfinder.experiment.pieces import Target
from pathfinder.experiment.place import Measured, Scored, check_code, check_inputs
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve, Line
from pathfinder.geometry.planes import Plane, Ray
from pathfinder.landscape.settings import Surface
from pathfinder.landscape.surfaces import Landscape, build_landscape
from pathfinder.scoring.batch_norm import BatchNormName
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.settings import Examples
from pathfinder.settings import by_import_path, grid_points
from pathfinder.storage import Checkpoint, read_checkpoint
from pathfinder.storage.keys import code_of, is_import_path, key_of
from pathfinder.symmetry.matching import first_inputs, structure_of
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.structure import ProvedStructure
from pathfinder.training.settings import CurveSettings, Minimum
from pathfinder.training.trajectory import trajectory_in
from pathfinder.weights.space import WeightSpace

_KEPT = 16  # modules and geometries of each kind in memory
_EVALUATORS = 4  # which may hold a copy of the data, cropped and flipped


@dataclass(frozen=True)
class Ends:
    """Two minima to be connected, in the weight space of the first; b as it was trained, or aligned."""

    space: WeightSpace
    network: Network
    thetas: tuple[Tensor, Tensor]
    statistics: list[Tensor]


class Workplace:
    """The place of the pieces of an experiment.

    Args:
        config: of the experiment.
        folder: of its run.
        inputs: a key of the data, the weights and the code that its plan was made for; as found here if not given.

    Raises:
        PathfinderError: if others are found here.
    """

    def __init__(self, config: Config, folder: Path, inputs: str | None = None) -> None:
        self.config, self.folder, self.device, self.data = config, folder, config.device, config.data.load()
        self.held_out = {name: split for name, split in self.data.items() if name != "train"}
        self.pairs: dict[str, Pair] = {pair.name: pair for pair in config.all_pairs()}
        self.minima: dict[str, Minimum] = {one.title: one for one in config.singles()}
        self.minima |= {name: end for pair in self.pairs.values() for name, end in pair.ends.items()}
        keep: Callable[..., Any] = lru_cache(_KEPT)
        self._held: dict[str, tuple[Network, nn.Module]] = {}  # from checkpoints
        self.network: Callable[[str], Network] = keep(self._network)
        self.minimum: Callable[[str], nn.Module] = keep(self._minimum)
        self.ends: Callable[[str, bool], Ends] = keep(self._ends)
        self.curve: Callable[[str, str], Curve] = keep(self._curve)
        self.structure: Callable[[str], ProvedStructure] = keep(self._structure)
        self.landscape: Callable[[str, str], Landscape] = keep(self._landscape)
        self._scored: Callable[[Target, Examples, str | None], Scored] = lru_cache(_EVALUATORS)(self._make_scored)
        self.inputs = inputs
        if inputs is not None:
            check_inputs(self._find_inputs(), inputs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process makes its own from the same config and folder, and must find the same inputs."""
        return type(self), (self.config, self.folder.absolute(), self.inputs)

    @property
    def digests(self) -> dict[str, str | None]:
        """Of the splits, and of the code of the data."""
        return {**digests(self.data), "code": code_of(self.config.data.name)}

    def inputs_with(self, networks: Mapping[str, tuple[Mapping[str, Any], str | None]]) -> str:
        """A key of data, weights and code, for the identity of each network and the digest of its checkpoint."""
        return key_of(self.digests, networks, *map(code_of, self._own_curves()))

    def _own_curves(self) -> list[str]:
        """The kinds of curves that are classes of the user's own; imported, as `code_of` looks only at what is."""
        kinds = sorted({one.kind for pair in self.pairs.values() for one in pair.curves if is_import_path(one.kind)})
        for kind in kinds:
            by_import_path(kind)
        return kinds

    def own(self, minimum: str) -> str:
        """The minimum whose settings and network one has: itself, or for an aligned one that which was aligned."""
        return minimum if minimum in self.minima else minimum.removesuffix("-aligned")

    def path_of(self, name: str) -> Path:
        """The file of a minimum's weights in the folder."""
        return self.folder / "minima" / f"{name}.safetensors"

    def curve_file(self, pair: str, title: str) -> Path:
        """The file of a curve in the folder."""
        return self.folder / "curves" / f"{pair}-{title}.safetensors"

    def trajectory_folder(self, name: str) -> Path:
        """The folder of the checkpoints of a minimum's training."""
        return self.folder / "trajectories" / name

    def group_of(self, minimum: str) -> str:
        """What tables call the minima that one is compared with: the group of its pair, or its network."""
        group = next((pair.group for pair in self.pairs.values() if minimum in pair.ends), None)
        return group or as_title(self.network(minimum).name)

    def pairs_of(self, network: Network) -> list[Pair]:
        """The pairs whose minima have such a network."""
        return [one for one in self.pairs.values() if self.network(f"{one.name}-a").identity == network.identity]

    def surface(self, title: str) -> Surface:
        """The settings of a surface."""
        return next(surface for surface in self.config.surfaces if surface.title == title)

    def curve_settings(self, pair: str, title: str) -> CurveSettings:
        """The settings of a curve of a pair."""
        return next(one for one in self.pairs[pair].curves if one.title == title.removeprefix(ALIGNED))

    def hold(self, name: str, network: Network, module: nn.Module) -> None:
        """Use this module of a minimum from a checkpoint, so that the file is not read again."""
        self._held[name] = network, module

    def given(self, target: Target) -> Examples:
        """As for `Place`."""
        if target[0] == "surface":
            return self.config.examples(self.surface(target[-1]))
        return self.config.examples(self.config.planes if target[0] == "plane" else None)

    def examples(self, target: Target) -> Examples:
        """As for `Place`."""
        kind, *names = target
        wanted = self.config.score.chosen_examples if kind in ("path", "plane") else ()
        return self.given(target).of(chosen_examples(self.folder, "-".join(names), wanted))

    def evaluator(
        self,
        space: WeightSpace,
        statistics: list[Tensor] | None = None,
        *,
        batch_norm: BatchNormName | None = None,
        examples: Examples | None = None,
        repair: Repair | None = None,
        data: Mapping[str, Source] | None = None,
        precision: str | None = None,
    ) -> Evaluator:
        """An evaluator as `[score]` describes it, but for what is given.

        Args:
            space: the weight space.
            statistics: of BatchNorm at the ends of a path.
            batch_norm, examples, repair, data, precision: as for `Evaluator`, instead of what the config says.
        """
        config, counts = self.config, self.config.examples() if examples is None else examples
        return Evaluator(
            space, self.data if data is None else data, batch_norm=batch_norm or config.score.batch_norm,
            statistics=statistics, batch_norm_data=self.data["train"], repair=repair,
            batch_size=config.score.batch_size, examples=counts.scored, batch_norm_examples=counts.batch_norm,
            seed=config.seed, device=config.device, precision=precision or config.score_precision,
        )  # fmt: skip

    def scored(self, target: Target, examples: Examples | None = None, precision: str | None = None) -> Scored:
        """As for `Place`; targets are ("minimum", name), ("surface", name, title), ("path" or "plane", pair, path)."""
        return self._scored(target, self.examples(target) if examples is None else examples, precision)

    def measured(self, target: Target) -> Measured:
        """As for `Place`; targets are ("surface", minimum, title) and ("path", pair, title)."""
        kind, owner, title = target
        asked = next(one for one in self.config.curvature if one.along == title)
        if kind == "surface":
            landscape, space = self.landscape(owner, title), WeightSpace(self.minimum(owner))
            geometry, t = landscape.geometry, landscape.grid(grid_points(asked.points))
            how = asked.batch_norm or self.surface(title).batch_norm
        else:
            assert isinstance(asked.points, int)  # the config has checked it
            space, geometry = self.ends(owner, title.startswith(ALIGNED)).space, self.path(owner, title)
            t, how = geometry.grid(asked.points), asked.batch_norm or self.config.at_points
        examples = self.config.examples(asked)
        evaluator = self.evaluator(space, batch_norm=how, examples=examples)
        data = self.data["train"].subset(examples.scored, self.config.seed)
        return Measured(space, geometry, t, data, evaluator, asked)

    def repair(self, pair: str) -> Repair:
        """What repairs the hidden units of the networks of a pair."""
        return Repair(self.ends(pair, True).space.network, self.structure(f"{pair}-a"))

    def path(self, pair: str, title: str) -> Curve:
        """The line between two ends, or a curve that was trained."""
        if not is_straight(title):
            return self.curve(pair, title)
        return Line(*self.ends(pair, title.startswith(ALIGNED)).thetas)

    def _make_scored(self, target: Target, examples: Examples, precision: str | None) -> Scored:
        kind, owner, *title = target
        if kind == "minimum":
            space = WeightSpace(module := self.minimum(owner))
            theta = space.vector(module)
            make = partial(self.evaluator, space, batch_norm="stored")
            geometry, t = Ray(theta, theta), torch.zeros(1, dtype=torch.float64)
        elif kind == "surface":
            settings, space = self.surface(title[0]), WeightSpace(self.minimum(owner))
            landscape = self.landscape(owner, title[0])
            data = {split: self.data[split] for split in settings.splits or self.data}
            make = partial(self.evaluator, space, batch_norm=settings.batch_norm, data=data)
            geometry, t = landscape.geometry, landscape.t
        else:
            name, ends = title[0], self.ends(owner, title[0].startswith(ALIGNED))
            repair = self.repair(owner) if name == REPAIRED else None
            make = partial(self.evaluator, ends.space, ends.statistics, repair=repair)
            geometry = path = self.path(owner, name)
            t = self._points_of(path)
            if kind == "plane":
                planes = self.config.planes
                assert planes is not None
                geometry = Plane.of(path)
                t = geometry.grid(grid_points(planes.points), planes.margin)
        return Scored(make(examples=examples, precision=precision), geometry, t)

    def _points_of(self, path: Curve) -> Tensor:
        """Where a path is scored."""
        score = self.config.score
        return path.grid(score.equal_points, *score.range) if isinstance(path, Line) else path.grid(score.equal_points)

    def _checkpoint(self, name: str) -> Checkpoint | None:
        """The checkpoint that a minimum comes from."""
        file = self.minima[name].checkpoint
        return None if file is None else read_checkpoint(file)

    def _network(self, name: str) -> Network:
        return self._held[name][0] if name in self._held else self._read(name)[0]

    def _read(self, name: str) -> tuple[Network, str | None]:
        """The network of a minimum, and the digest of its checkpoint."""
        checkpoint = self._checkpoint(name)
        network = network_of(self.minima[name].model, checkpoint, self.config.data, self.data["train"])
        if is_import_path(network.name):
            by_import_path(network.name)  # its identity holds the source of what is imported
        return network, None if checkpoint is None else checkpoint.digest

    def _find_inputs(self) -> str:
        found = {name: self._read(name) for name in self.minima}
        check_code([self.config.data.name, *(network.name for network, _ in found.values()), *self._own_curves()])
        return self.inputs_with({name: (network.identity, digest) for name, (network, digest) in found.items()})

    def _minimum(self, name: str) -> nn.Module:
        if name in self._held:
            return self._held[name][1]
        own = self.own(name)
        checkpoint = self._checkpoint(own) if own == name else None
        return self.network(own).build(0, checkpoint or read_checkpoint(self.path_of(name)))

    def _ends(self, pair: str, aligned: bool) -> Ends:
        names = list(self.pairs[pair].ends)
        first, second = self.minimum(names[0]), self.minimum(f"{names[1]}-aligned" if aligned else names[1])
        space = WeightSpace(first)
        thetas = space.vector(first), space.vector(second)
        if torch.equal(*thetas):
            raise PathfinderError(f"both minima of `{pair}` are the same; give a and b seeds of their own.")
        return Ends(space, self.network(names[0]), thetas, [space.statistics(first), space.statistics(second)])

    def _curve(self, pair: str, title: str) -> Curve:
        _ = self.curve_settings(pair, title).geometry  # a kind of the user's own is known once it is imported
        found = Geometry.load(read_checkpoint(self.curve_file(pair, title), "curve"))
        assert isinstance(found, Curve)
        return found

    def _structure(self, name: str) -> ProvedStructure:
        """The structure of the network of a minimum; networks that are alike share it."""
        assert self.config.align is not None
        network, own = self.network(name), self.minima[name]
        first = next(one for one in self.minima if self.network(one).identity == network.identity)
        if first != name:
            return self.structure(first)
        module = self.minimum(name) if own.checkpoint else network.build(own.init_seed)
        return structure_of(WeightSpace(module), first_inputs(self.data["train"]), self.config.align.structure)

    def _landscape(self, name: str, title: str) -> Landscape:
        space = WeightSpace(module := self.minimum(name))
        walked = trajectory_in(self.trajectory_folder(name) if kept_weights(self.minima[name]) else None, space)
        return build_landscape(space, space.vector(module), self.surface(title), walked)
