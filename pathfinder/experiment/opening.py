"""Open an experiment before any work: find every mistake, and what its plan must know of the data and the networks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pathfinder.data.sources import Source, smallest_pass
from pathfinder.errors import PathfinderError, brief, list_names
from pathfinder.experiment.config import Config
from pathfinder.experiment.facts import Facts, NetworkFacts
from pathfinder.experiment.network import network_of
from pathfinder.experiment.pairs import Pair
from pathfinder.experiment.probe import probe
from pathfinder.experiment.workplace import Workplace
from pathfinder.scoring.batch_norm import check_between
from pathfinder.scoring.settings import REESTIMATED
from pathfinder.storage import Checkpoint, read_checkpoint
from pathfinder.storage.keys import digest_of
from pathfinder.symmetry.repair import Repair
from pathfinder.threads import threads, threads_for
from pathfinder.training.settings import Minimum
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import check_same_network


@dataclass(frozen=True)
class _Opened:
    """A minimum before its training, or from its checkpoint."""

    module: nn.Module
    facts: NetworkFacts


def open_experiment(place: Workplace, checkpoints: dict[str, Checkpoint]) -> Facts:
    """Open all minima of an experiment.

    Args:
        place: of its work; it holds the minima that come from checkpoints from now on.
        checkpoints: those that were already read, by path; each is removed from here when it is used.

    Raises:
        PathfinderError: if a network cannot be built, does not take the data, or does not fit to what is asked for.
    """
    config, singles = place.config, place.config.singles()
    _check_splits(config, place.data)
    networks = {}
    for one in singles:
        networks[one.title] = _open(place, one.title, one, checkpoints).facts
    for pair in config.all_pairs():
        a, b = (_open(place, name, end, checkpoints) for name, end in pair.ends.items())
        with threads(a.facts.threads):
            _check_pair(place, pair, a.module, b.module)
        networks |= dict(zip(pair.ends, (a.facts, b.facts), strict=True))
    train = place.data["train"]
    place.inputs = place.inputs_with({name: (one.identity, one.digest) for name, one in networks.items()})
    facts = Facts(
        digests=place.digests,
        augmentation=(train.crop, train.flip),
        examples={name: len(split) for name, split in place.data.items()},
        networks=networks,
    )
    if config.align and config.align.every_pair:
        for group in facts.alike(one.title for one in singles):
            _check_group(place, facts, group)
    return facts


def _check_splits(config: Config, data: dict[str, Source]) -> None:
    for surface in config.surfaces:
        if missing := [name for name in surface.splits or () if name not in data]:
            raise PathfinderError(
                f"surface `{surface.title}` names the split {list_names(missing)}, but there are "
                f"{list_names(data)}; name one of them."
            )


def _open(place: Workplace, name: str, settings: Minimum, checkpoints: dict[str, Checkpoint]) -> _Opened:
    """A minimum before its training, or from its checkpoint, checked against the data."""
    train, config, checkpoint = place.data["train"], place.config, None
    if settings.checkpoint is not None:
        checkpoint = checkpoints.pop(settings.checkpoint, None) or read_checkpoint(settings.checkpoint)
    network = network_of(settings.model, checkpoint, config.data, train)
    module = network.build(settings.init_seed, checkpoint)
    sizes = [_smallest_batch(place, config.examples(counted).batch_norm) for counted in config.scored()]
    if checkpoint is None:
        sizes.append(smallest_pass(train, settings.batch_size, settings.micro_batch_size))
    else:
        place.hold(name, network, module)
    space, number = WeightSpace(module), threads_for(module, config.threads)
    with threads(number):
        probe(module, place.data, network.name, sizes)
    digest = None if checkpoint is None else checkpoint.digest
    return _Opened(module, NetworkFacts(network.identity, digest, space.size, space.has_statistics, number))


def _check_group(place: Workplace, facts: Facts, names: Sequence[str]) -> None:
    """Check minima of one network of which every two are to be compared."""
    if len(names) == 1:
        if not place.config.surfaces:
            raise PathfinderError(
                f"every_pair compares minima of one network, but no other has that of `{names[0]}`, "
                f"{brief(place.network(names[0]).description)}; give one, or leave it out."
            )
        return
    with threads(facts.networks[names[0]].threads):
        place.structure(names[0])
    files: dict[str, str] = {}
    for name in names:
        if (file := place.minima[name].checkpoint) is None:
            continue
        module = place.minimum(name)
        if (first := files.setdefault(digest_of(WeightSpace(module).vector(module)), file)) != file:
            raise PathfinderError(f"{first} and {file} hold the same weights; give different minima.")


def _smallest_batch(place: Workplace, examples: int | None = None) -> int:
    """The smallest batch of training examples that re-estimates BatchNorm."""
    return smallest_pass(place.data["train"], place.config.score.batch_size, examples=examples)


def _check_pair(place: Workplace, pair: Pair, first: nn.Module, second: nn.Module) -> None:
    """Check the ends of a pair against each other, and against what is asked for between them."""
    config, space = place.config, WeightSpace(first)
    both = pair.a.checkpoint and pair.b.checkpoint
    if both and torch.equal(space.vector(first), space.vector(second)):
        raise PathfinderError(f"{pair.a.checkpoint} and {pair.b.checkpoint} hold the same weights; give two minima.")
    check_same_network(first, second)
    if config.align:
        structure = place.structure(f"{pair.name}-a")
        few = _smallest_batch(place, config.examples().batch_norm) < 2
        starts = any(curve.start == "repair" for curve in pair.curves)
        if (config.align.repair or starts) and not space.has_statistics and few:
            raise PathfinderError(
                "REPAIR needs 2 examples or more at a time; raise score.batch_size or batch_norm_examples."
            )
        if starts and not space.has_statistics:
            Repair(first, structure).check_foldable()
    for curve in pair.curves:
        empty = torch.zeros(1)
        curve.geometry(empty, empty, bends=curve.bends)
    paths = [one.along for one in config.curvature if one.batch_norm == "stored"]
    if space.has_statistics and (stored := set(paths) - {surface.title for surface in config.surfaces}):
        raise PathfinderError(
            f'curvature along `{min(stored)}` with batch_norm = "stored" has no meaning: its points have no statistics '
            "of their own; drop it to re-estimate them."
        )
    mixed = config.score.batch_norm not in REESTIMATED
    if space.has_statistics and mixed and config.planes:
        raise PathfinderError(
            f"score.batch_norm = {config.score.batch_norm} mixes the statistics of two ends, which has no meaning for "
            "[planes]; re-estimate them with `training`, or drop the planes."
        )
    if space.has_statistics and mixed:
        check_between(*config.score.range)
