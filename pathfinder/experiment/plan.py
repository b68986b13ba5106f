"""The plan of an experiment: its pieces of work in an order in which they can be done, and what each depends on.

A piece is named before anything is computed, and says which function of `work` does it, for whom, and which pieces must
be done before. Its result lies in the folder of the run, where the pieces that need it, and the tables, find it.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, islice
from typing import Any

from pathfinder.experiment.config import Config
from pathfinder.experiment.facts import Facts, NetworkFacts
from pathfinder.experiment.pairs import ALIGNED, REPAIRED, Pair, is_straight
from pathfinder.experiment.pieces import Piece, Target, grid_size, path_pieces, scores_of, split_points, split_rounds
from pathfinder.geometry.curves import line_points
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.scoring.settings import REESTIMATED, Examples, Planes
from pathfinder.storage.keys import code_of, key_of
from pathfinder.symmetry.settings import Align
from pathfinder.training.settings import Minimum


@dataclass(frozen=True)
class _Path:
    """A path of a pair: the key of what it depends on, the pieces that make it, and whether it has a bend."""

    key: str
    needs: tuple[str, ...]
    bent: bool


class Plan:
    """All pieces of an experiment.

    Args:
        config: what to do.
        facts: what the data and the networks say.

    Attributes:
        pieces: by name, each after those it needs.
        training: the piece that trains each minimum, by its name; none for those from checkpoints.
        paths: the names of the scored paths of each pair, by its name.
        owned: the pieces of each single minimum and of each pair, by its name, in the order of tables.
    """

    def __init__(self, config: Config, facts: Facts) -> None:
        self._config, self._facts = config, facts
        self.pieces: dict[str, Piece] = {}
        self.paths: dict[str, list[str]] = {}
        self.owned: dict[str, set[str]] = {}
        self.training: dict[str, str] = {}
        self._checks_precision = config.precision_check and config.score_precision != "fp32"
        self._network = NetworkFacts({}, None, 0, False)  # that of the pieces being added
        self._first: dict[str, str] = {}  # the minimum that is trained under a key
        self._scored: dict[str, str] = {}  # the minimum that is scored under a key
        every_pair, keys = config.align is not None and config.align.every_pair, dict[str, str]()
        singles = config.singles()
        for one in singles:
            keys[one.title] = self._add_minimum(one.title, one, config.surfaces, in_path=every_pair).key
            self._own(one.title)
        groups: dict[str, list[str]] = {}
        for pair in config.all_pairs():
            keys |= self._add_pair(pair)
            groups.setdefault(pair.group, []).extend(pair.ends)
            self._own(pair.name)
        if config.align and every_pair:
            for minima in (*facts.alike(one.title for one in singles), *groups.values()):
                self._add_barriers({name: keys[name] for name in minima}, config.align)

    @property
    def threads(self) -> set[int]:
        """The numbers of threads that pieces take."""
        return {network.threads for network in self._facts.networks.values()}

    def _own(self, owner: str) -> None:
        """Give an owner the pieces that were added since the last one."""
        self.owned[owner] = set(islice(self.pieces, sum(map(len, self.owned.values())), None))

    def parts(self, whole: str) -> tuple[str, ...]:
        """The names of the pieces of a work, in order."""
        return tuple(piece.name for piece in self.pieces.values() if piece.title == whole)

    def _add(self, name: str, work: str, arguments: Sequence[Any], key: str, needs: Sequence[str], **more: Any) -> str:
        needs = tuple(dict.fromkeys(needs))
        self.pieces[name] = Piece(name, work, tuple(arguments), key, needs, threads=self._network.threads, **more)
        return name

    def _add_split(self, pieces: Sequence[Piece]) -> list[str]:
        """Add the pieces of a work that is split; returns their names."""
        self.pieces |= {piece.name: replace(piece, threads=self._network.threads) for piece in pieces}
        return [piece.name for piece in pieces]

    def _add_grid(
        self, whole: str, target: Target, asked: Surface | Planes, load: float, key: str, needs: Sequence[str]
    ) -> None:
        """Pieces for the points of a surface or plane: those of a grid, or those that its losses choose."""
        if asked.points == "auto":
            self._add_split(split_rounds(whole, "score_points", target, load, key, asked.tolerance, needs))
        else:
            axes = asked.axes if isinstance(asked, Surface) else 2
            points = grid_size(asked.points, axes)
            self._add_split(split_points(whole, "score_points", target, points, load, key, needs))

    def _add_minimum(self, name: str, settings: Minimum, surfaces: Sequence[Surface], in_path: bool) -> "_Path":
        """The training and the scores of a minimum, and what is around it."""
        self._network = network = self._facts.networks[name]
        if network.digest is not None:
            key, needs = key_of(network.digest, network.identity), ()
        else:
            key = self._key(
                "minimum", network.identity, settings.arguments, settings.init_seed, settings.checkpoint_every
            )
            first = self._first.setdefault(key, name)
            self.training[name] = f"minimum {first}"
            if first == name:
                needs = (self._add(f"minimum {name}", "train_minimum", (name,), key, (), lasting=True),)
            else:
                needs = (self._add(f"copy {name}", "copy_minimum", (name, first), key, (f"minimum {first}",)),)
        needs = self._add_scores(name, key, needs, in_path)
        for surface in surfaces:
            self._add_surface(name, surface, key, needs)
        return _Path(key, needs, bent=False)

    def _add_scores(self, name: str, key: str, needs: tuple[str, ...], in_path: bool) -> tuple[str, ...]:
        """The scores of a minimum; returns what its further scores need."""
        needs = self._add_check(name, ("minimum", name), self._scoring_key("own scores", key), needs)
        both = in_path and self._network.has_statistics and self._config.score.batch_norm in REESTIMATED
        own = self._scoring_key("own scores", key, both)
        like = None if (first := self._scored.setdefault(own, name)) == name else first
        more = () if like is None else (scores_of(like),)
        self._add(scores_of(name), "score_minimum", (name, both, like), own, (*needs, *more))
        return needs

    def _add_check(self, name: str, target: Target, key: str, needs: tuple[str, ...]) -> tuple[str, ...]:
        """The comparison of both precisions before a target is scored, where that is asked for."""
        if not self._checks_precision:
            return needs
        title = f"check {self._config.score_precision} {name}"
        return (*needs, self._add(title, "check_precision", (name, target), key, needs))

    def _add_surface(self, name: str, settings: Surface, key: str, needs: tuple[str, ...]) -> None:
        drawn = settings.model_dump(exclude={"minima", "points", "tolerance", "span", "name"})
        target, axes = ("surface", name, settings.title), settings.axes
        examples = self._config.examples(settings)
        own = self._scoring_key("surface", key, drawn, settings.spans, settings.points, examples)
        load = self._load(examples, settings.batch_norm in REESTIMATED, settings.splits)
        self._add_grid(f"surface {name}-{settings.title}", target, settings, load, own, needs)
        for asked in self._config.curvature:
            if asked.along == settings.title:
                own = self._key("surface", key, drawn, settings.spans)
                how = asked.batch_norm or settings.batch_norm
                self._add_curvature(asked, name, target, axes, (own, how), needs)

    def _add_curvature(
        self, asked: Curvature, name: str, target: Target, axes: int, key: tuple[str, str], needs: Sequence[str]
    ) -> None:
        own = self._scoring_key("curvature", *key, asked.points, self._config.examples(asked), asked.method)
        whole = f"curvature {name}-{asked.along}"
        if asked.points == "auto":
            rounds = split_rounds(whole, "measure_points", target, math.inf, own, asked.points_tolerance, needs)
            self._add_split(rounds)
        else:
            points = grid_size(asked.points, axes)
            self._add_split(split_points(whole, "measure_points", target, points, math.inf, own, needs))

    def _add_pair(self, pair: Pair) -> dict[str, str]:
        """The pieces of a pair; returns the keys of its minima by their names."""
        found = {
            name: self._add_minimum(name, end, self._surfaces(side), in_path=True)
            for side, (name, end) in zip("ab", pair.ends.items(), strict=True)
        }
        keys = [one.key for one in found.values()]
        needs = tuple(need for one in found.values() for need in one.needs)
        paths = self._add_paths(pair, keys, needs)
        align = self._config.align
        if align is not None:
            name = pair.aligned
            key = self._key("align", self._config.seed, align.matching, keys)
            aligned = self._add(f"align {pair.name}", "align_minima", (pair.name,), key, needs)
            self._add_scores(name, key, (aligned,), in_path=True)
            paths |= self._add_paths(pair, [keys[0], key], (*needs, aligned), ALIGNED)
            if align.repair and self._config.score.line and not self._network.has_statistics:
                line = paths[f"{ALIGNED}line"]
                paths[REPAIRED] = replace(line, key=key_of(line.key, "repair"))
        self.paths[pair.name] = list(paths)
        self._add_between(pair, paths)
        return dict(zip(found, keys, strict=True))

    def _surfaces(self, side: str) -> list[Surface]:
        return [surface for surface in self._config.surfaces if side in surface.minima]

    def _add_paths(self, pair: Pair, keys: list[str], needs: tuple[str, ...], prefix: str = "") -> dict[str, _Path]:
        """The line and the curves between two ends, b as it was trained or aligned."""
        paths = {}
        if self._config.score.line:
            paths[f"{prefix}line"] = _Path(key_of(*keys), needs, bent=False)
        for settings in pair.between(aligned=bool(prefix)):
            title = f"{prefix}{settings.title}"
            shape = settings.kind, settings.bends, settings.fixed_ends
            start = [] if settings.start == "line" else [settings.start, *self._measured_on()]
            own = filter(None, [code_of(settings.kind)])  # of a curve of the user's own
            key = self._key("curve", keys, *shape, settings.arguments, *start, *own)
            done = self._add(f"curve {pair.name}-{title}", "train_curve", (pair.name, title), key, needs, lasting=True)
            paths[title] = _Path(key, (*needs, done), bent=settings.bends > 0)
        return paths

    def _measured_on(self) -> list[Any]:
        """What the moments of hidden units depend on that a repair sets."""
        score = self._config.score
        return [self._config.seed, score.batch_norm, score.batch_size, self._config.examples().batch_norm]

    def _add_between(self, pair: Pair, paths: dict[str, _Path]) -> None:
        """The scores of the paths of a pair and of their planes, some once more; the curvature along them."""
        score, checked = self._config.score, dict[bool, tuple[str, ...]]()
        load = self._load(self._config.examples(), score.batch_norm in REESTIMATED)
        for first in {name.startswith(ALIGNED): name for name in reversed(paths)}.values():
            path, key = paths[first], self._scoring_key("ends", paths[first].key)
            target = ("path", pair.name, first)
            checked[first.startswith(ALIGNED)] = self._add_check(f"{pair.name}-{first}", target, key, path.needs)
        for name, path in paths.items():
            span = score.range if is_straight(name) else (0.0, 1.0)
            pieces = path_pieces(
                f"{pair.name}-{name}", ("path", pair.name, name), score,
                len(line_points(score.equal_points, *span)), load,
                partial(self._scoring_key, path.key, span), (*path.needs, *checked[name.startswith(ALIGNED)]),
                compared=f"{pair.name}-{name}" if self._checks_precision else None,
                rescored=self._rescores(repaired=name == REPAIRED),
            )  # fmt: skip
            self._add_split(pieces)
            if score.chosen_examples:
                paths[name] = replace(path, key=pieces[0].key, needs=(*path.needs, pieces[0].name))
        if self._config.planes is not None:
            for name in self._config.planes.curves or [name for name, path in paths.items() if path.bent]:
                self._add_plane(pair, name, paths[name])
        for asked in self._config.curvature:
            if asked.along in paths:
                path, how = paths[asked.along], asked.batch_norm or self._config.at_points
                target = ("path", pair.name, asked.along)
                self._add_curvature(asked, pair.name, target, 1, (path.key, how), path.needs)

    def _add_plane(self, pair: Pair, name: str, path: _Path) -> None:
        settings = self._config.planes
        assert settings is not None
        examples = self._config.examples(settings)
        key = self._scoring_key("plane", path.key, settings.points, settings.margin, examples)
        load = self._load(examples, reestimated=True)
        self._add_grid(f"plane {pair.name}-{name}", ("plane", pair.name, name), settings, load, key, path.needs)

    def _add_barriers(self, minima: Mapping[str, str], settings: Align) -> None:
        """The line between every two minima of a group that differ, as they are and aligned."""
        self._network, score = self._facts.networks[next(iter(minima))], self._config.score
        distinct: dict[str, str] = {}
        for name, key in minima.items():
            distinct.setdefault(key, name)
        for first, second in combinations(distinct.values(), 2):
            for method in ("none", settings.method):
                how = {} if method == "none" else settings.matching
                key = self._scoring_key("barrier", minima[first], minima[second], score.points, score.tolerance, how)
                needs = [scores_of(name) for name in (first, second)]
                self._add(f"barrier {first} {second} {method}", "measure_barrier", (first, second, method), key, needs)

    def _load(self, examples: Examples, reestimated: bool, splits: Collection[str] | None = None) -> float:
        """Roughly, how much work a point is: weights times examples; of all splits if none are given."""
        counts = self._facts.examples
        scored = sum(min(counts[name], examples.scored or counts[name]) for name in splits or counts)
        again = min(counts["train"], examples.batch_norm or counts["train"]) if reestimated else 0
        return float(self._network.weights) * (scored + again * self._network.has_statistics)

    def _rescores(self, repaired: bool = False) -> bool:
        """Whether the worst points of a path are scored once more, on all examples."""
        if self._config.score.chosen_examples:
            return True
        examples, counts = self._config.examples(), self._facts.examples
        all_scored = all(count <= (examples.scored or count) for count in counts.values())
        estimates = self._network.has_statistics and self._config.score.batch_norm in REESTIMATED
        again = (estimates or repaired) and (examples.batch_norm or math.inf) < counts["train"]
        return self._config.score.rescore and (again or not all_scored)

    def _key(self, *parts: Any) -> str:
        """The key of a piece of work that depends on these parts; all depends on data, crops and flips, and device."""
        facts, config = self._facts, self._config
        return key_of(facts.digests, config.device, config.precision, *parts, *facts.augmentation)

    def _scoring_key(self, *parts: Any) -> str:
        """The key of a piece of scoring."""
        score = self._config.score
        settings = score.model_dump(exclude={"points", "tolerance", "examples_tolerance", "line", "range", "rescore"})
        return self._key("score", self._config.seed, settings, *parts)
