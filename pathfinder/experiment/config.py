"""The config of an experiment: data, pairs of minima, curves between them, and what is scored."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import field_validator, model_validator

from pathfinder.data.settings import Data
from pathfinder.errors import brief
from pathfinder.experiment.pairs import ALIGNED, REPAIRED, Pair, Pairs, SingleMinimum, kept_weights, title_of
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.models.settings import Model
from pathfinder.scoring.batch_norm import BatchNormName
from pathfinder.scoring.settings import REESTIMATED, Examples, Planes, Scoring
from pathfinder.settings import LONGEST, Checked, Name, Seed, Threads, check_points, grid_points
from pathfinder.symmetry.settings import Align
from pathfinder.training.settings import CurveSettings, Minimum, Race


class Config(Checked):
    """A whole experiment. `[minimum]` and `[curve]` hold what all minima and all curves share.

    Attributes:
        threads: how many compute; the last bits of results depend on it; if not given, 1 for a network of fewer than
            100,000 weights, and the machine's own number for a larger one.
    """

    name: Name = "experiment"
    seed: Seed = 0
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    precision_check: bool = True
    threads: Threads | None = None
    data: Data
    model: Model | None = None
    minimum: Minimum = Minimum()
    minima: tuple[SingleMinimum, ...] = ()
    pairs: tuple[Pairs, ...] = (Pairs(),)
    curve: CurveSettings = CurveSettings()
    curves: tuple[CurveSettings, ...] = ()
    score: Scoring = Scoring()
    planes: Planes | None = None
    surfaces: tuple[Surface, ...] = ()
    curvature: tuple[Curvature, ...] = ()
    align: Align | None = None
    race: Race | None = None

    @field_validator("planes", "align", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        """`false` switches a table off, `true` uses it with its defaults."""
        return {False: None, True: {}}[value] if isinstance(value, bool) else value

    @model_validator(mode="before")
    @classmethod
    def _pair_unless_single(cls, values: Any) -> Any:
        """A config with `[[minima]]` has no pairs but those it names."""
        single = isinstance(values, Mapping) and values.get("minima") and "pairs" not in values
        return {**values, "pairs": ()} if single else values

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        if not self.pairs and not self.minima:
            raise ValueError("pairs is empty; give it an entry, or leave it out for one pair")
        pairs, singles = self.all_pairs(), self.singles()
        for one in singles:
            _check_name(one.title, "minimum", "minima")
            self._check_surfaces(one.title, {"a": one, "b": one})
        every_pair = self.align is not None and self.align.every_pair
        if singles and not self.surfaces and not (every_pair and len(singles) > 1):
            raise ValueError(
                "nothing is to be scored around [[minima]]; add an entry of [[surfaces]], or align.every_pair and a "
                "second minimum"
            )
        if self.align and not pairs and (self.align.repair or not every_pair):
            raise ValueError(
                "[align] aligns the minima of [[pairs]]; for those of [[minima]] set every_pair = true, without repair"
            )
        recipes = [str(one.model_dump(exclude={"name"})) for one in singles]
        if every_pair and (same := _repetition(recipes)):
            alike = [one.title for one, recipe in zip(singles, recipes, strict=True) if recipe == same]
            raise ValueError(
                f"the minima `{alike[0]}` and `{alike[1]}` would be the same; give each its own seed or file"
            )
        _check_distinct([pair.name for pair in pairs], "pairs", "pairs")
        _check_distinct([*(pair.name for pair in pairs), *(one.title for one in singles)], "minima or pairs", "minima")
        ends = [name for pair in pairs for name in (*pair.ends, *[pair.aligned] * bool(self.align))]
        _check_distinct([*ends, *(one.title for one in singles)], "minima", "minima")
        _check_distinct([self._pair(group, 0).group for group in self.pairs], "groups of pairs", "pairs")
        _check_distinct([surface.title for surface in self.surfaces], "surfaces", "surfaces")
        whose = {"a": [f"{pair.name}-a" for pair in pairs] + [one.title for one in singles]}
        whose["b"] = [f"{pair.name}-b" for pair in pairs]
        around = [f"{name}-{one.title}" for one in self.surfaces for side in one.minima for name in whose[side]]
        _check_distinct(around, "surfaces of minima", "surfaces")
        if not self.score.range[0] <= 0 <= 1 <= self.score.range[1]:
            raise ValueError(f"score.range must reach from 0 or less to 1 or more, got {list(self.score.range)}")
        scored = {pair.name: pair.paths(self.score.line, self.align is not None) for pair in pairs}
        for pair in pairs:
            _check_name(pair.name, "pair", "pairs")
            for curve in pair.curves:
                _check_name(curve.title, "curve", "curves")
                if curve.title.startswith(ALIGNED) and not curve.aligned:
                    raise ValueError(
                        f"a curve is called `{curve.title}`, as one that ends in an aligned b; give it another name"
                    )
                curve.check()
                if curve.aligned and self.align is None:
                    raise ValueError(f"the curve `{curve.title}` is to end in an aligned b; add [align]")
            if pair.a.model_dump() == pair.b.model_dump():
                raise ValueError(f"both minima of `{pair.name}` would be the same; give a and b seeds of their own")
            if not scored[pair.name]:
                raise ValueError(
                    f"nothing is to be scored between the minima of `{pair.name}`; add a curve or the line"
                )
            titles = [curve.title for curve in pair.curves]
            if minimum := {"a", "b"}.intersection(titles):
                raise ValueError(
                    f"a curve is called `{min(minimum)}`, as a minimum of its pair is; give it another name"
                )
            both = ["", ALIGNED] if self.align else [""]
            paths = [f"{how}{title}" for title in [*titles, "line"] for how in both] + [REPAIRED] * bool(self.align)
            _check_distinct([*paths, "ends"], "paths", "curves")
            _check_distinct(
                [*titles, "line", *(surface.title for surface in self.surfaces)], "paths or surfaces", "surfaces"
            )
            self._check_surfaces(pair.name, {"a": pair.a, "b": pair.b})
            self._check_planes(pair)
            self._check_curvature(scored[pair.name])
        if not pairs:
            self._check_curvature([])
        repaired = [REPAIRED] * bool(self.align and self.align.repair)
        if twice := _repetition([f"{name}-{path}" for name, paths in scored.items() for path in paths + repaired]):
            raise ValueError(f"two paths would be called `{twice}`; rename a pair or a curve")
        return self

    def _check_surfaces(self, name: str, ends: Mapping[str, Minimum]) -> None:
        """Check that minima keep the checkpoints that surfaces need."""
        for surface in self.surfaces:
            kept = [kept_weights(ends[side]) for side in surface.minima if surface.directions == "trajectory"]
            if 0 in kept:
                raise ValueError(
                    f"surface `{surface.title}` needs checkpoints of the training of `{name}`; set "
                    "minimum.checkpoint_every"
                )
            if kept and min(kept) <= surface.axes:
                raise ValueError(
                    f"surface `{surface.title}` needs {surface.axes + 1} checkpoints or more of the training of "
                    f"`{name}`, which keeps {min(kept)}; raise minimum.epochs or lower minimum.checkpoint_every"
                )

    def _check_planes(self, pair: Pair) -> None:
        """Check that the curves of a pair have the bends that planes need."""
        titles, straight = (
            pair.paths(self.score.line, self.align is not None),
            [curve.title for curve in pair.curves if curve.bends == 0] + ["line"],
        )
        bent = [title for title in titles if title.removeprefix(ALIGNED) not in straight]
        if self.planes:
            if any(curve.bends > 0 and curve.epochs == 0 and curve.start == "line" for curve in pair.curves):
                raise ValueError("a plane needs a bend off the line, but a curve has epochs = 0; train it")
            for title in self.planes.curves or []:
                if title not in titles:
                    raise ValueError(f"planes.curves names `{title}`, but the curves are {titles}; name one of them")
                if title not in bent:
                    raise ValueError(
                        f"a plane needs a bend, but `{title}` has bends = 0; give it one or name another curve"
                    )
            if not bent:
                raise ValueError("a plane needs a bend, but no curve has one; add a curve with bends or drop [planes]")

    def _check_curvature(self, paths: Sequence[str]) -> None:
        """Check that the paths and surfaces exist along which curvature is measured."""
        axes = dict.fromkeys(paths, 1) | {surface.title: surface.axes for surface in self.surfaces}
        _check_distinct([one.along for one in self.curvature], "entries of curvature", "curvature", "along")
        for one in self.curvature:
            if one.along not in axes:
                raise ValueError(f"curvature names `{one.along}`, but there are {list(axes)}; name one of them")
            if axes[one.along] == 1 and not isinstance(one.points, int):
                raise ValueError(f"`{one.along}` has one axis, so curvature.points must be one number")
            check_points("curvature.points", grid_points(one.points), axes[one.along])

    def scored(self) -> list[Scoring | Planes | Surface | Curvature]:
        """All tables of the config that set how many examples are scored."""
        return [self.score, *filter(None, [self.planes]), *self.surfaces, *self.curvature]

    def examples(self, settings: Scoring | Planes | Surface | Curvature | None = None) -> Examples:
        """The examples that a table of the config gives; `[score]` says what it leaves out."""
        given = self.score.given_examples
        if settings is None or isinstance(settings, Scoring):
            return given
        return Examples(settings.examples, settings.batch_norm_examples).of(given)

    @property
    def score_precision(self) -> str:
        """The precision in which points are scored."""
        return self.score.precision or self.precision

    @property
    def at_points(self) -> BatchNormName:
        """How BatchNorm's statistics are found where mixing those of two ends has no meaning."""
        return self.score.batch_norm if self.score.batch_norm in REESTIMATED else "training"

    def singles(self) -> list[SingleMinimum]:
        """Every minimum without a pair, with its recipe filled in: defaults, then `[minimum]`, then its own."""
        found = []
        for own in self.minima:
            one = _merge(SingleMinimum(model=self.model, seed=self.seed), self.minimum, own)
            if one.model is None and one.checkpoint is None:
                raise ValueError("a minimum needs a network; give [model] or its entry a name, or it a checkpoint")
            found.append(one.model_copy(update={"init_seed": one.seed if one.init_seed is None else one.init_seed}))
        return found

    def all_pairs(self) -> list[Pair]:
        """Every pair with its recipes filled in: defaults, then those of the group, then those of the end."""
        return [self._pair(group, r) for group in self.pairs for r in range(group.replicates)]

    def _pair(self, group: Pairs, replicate: int) -> Pair:
        """Replicate 0, 1, ... (r below) of a group.

        Seeds count up from the innermost table that sets one, so that no two trainings draw the same:

        | of                | base                                                        | plus             |
        |-------------------|-------------------------------------------------------------|------------------|
        | an end's training | `seed` of the end                                           | 2 r              |
        |                   | else that of `[pairs.minimum]`, of `[minimum]`, of the file | 2 r, and 1 for b |
        | its first weights | `init_seed` of the end, `[pairs.minimum]` or `[minimum]`    | 2 r              |
        |                   | else the end's seed as above; with `same_init`, that of a   |                  |
        | a curve           | `seed` of the curve                                         | the file's + r   |
        """
        shared = Minimum(model=self.model, seed=self.seed)
        ends = []
        for i, own in enumerate((group.a, group.b)):
            end = _merge(shared, self.minimum, group.minimum, own)
            if end.model is None and end.checkpoint is None:
                raise ValueError("a minimum needs a network; give [model] a name, or a checkpoint to each end")
            seed = end.seed + 2 * replicate + (0 if "seed" in own.model_fields_set else i)
            init = seed if end.init_seed is None else end.init_seed + 2 * replicate
            ends.append(end.model_copy(update={"seed": seed, "init_seed": init}))
        if group.same_init:
            ends[1] = ends[1].model_copy(update={"init_seed": ends[0].init_seed})
        curves = [_merge(self.curve, curve) for curve in (self.curves if group.curves is None else group.curves)]
        curves = self.race.entries(curves) if self.race else curves
        seeded = [c.model_copy(update={"seed": c.seed + self.seed + replicate}) for c in curves]
        name = group.name or title_of(ends[0]) or "pair"
        full = f"{name}-{replicate + 1}" if group.replicates > 1 else name
        return Pair(name, full, ends[0], ends[1], seeded)


def _check_name(name: str, what: str, table: str) -> None:
    """Check a name that was made from others, such as that of the model, like one the user gave."""
    if len(name) > LONGEST + 5 or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise ValueError(
            f"a {what} would be called `{brief(name, LONGEST)}`, which cannot name a file ({LONGEST} letters A to z, "
            f"digits and . _ + - at most); give its entry of [[{table}]] a name"
        )


def _merge(*parts: Any) -> Any:
    """One table, of the kind of the first, with all that the parts set; later parts win."""
    values = {key: getattr(part, key) for part in parts for key in part.model_fields_set}
    return type(parts[0])(**values)


def _check_distinct(names: list[str], what: str, table: str, key: str = "name") -> None:
    if twice := _repetition(names):
        raise ValueError(f"two {what} are called `{twice}`; give each entry of [[{table}]] its own {key}")


def _repetition(names: list[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
