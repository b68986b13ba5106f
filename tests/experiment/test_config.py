import tomllib
from pathlib import Path

import pytest
import torch
from helpers import TINY

from pathfinder import PathfinderError, build_model
from pathfinder.experiment.config_file import load_config
from pathfinder.scoring.settings import Planes
from pathfinder.symmetry.settings import Align

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def config(tmp_path, text, changes=(), scale=None):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return load_config(path, changes, scale)


BASE = '[data]\nname = "digits"\n[model]\nname = "mlp"\nwidths = [8]\n'


def test_defaults_are_filled_in_from_the_outside_in(tmp_path):
    text = """
        seed = 10
        [data]
        name = "digits"
        [model]
        name = "mlp"
        [minimum]
        epochs = 7
        lr = 0.3
        [curve]
        epochs = 5
        [[curves]]
        kind = "bezier"
        [[curves]]
        kind = "bezier"
        name = "long"
        epochs = 50
        [[pairs]]
        name = "wide"
        replicates = 2
        minimum = { lr = 0.2, model = { name = "mlp", widths = [64] } }
        b = { batch_size = 512 }
        [[pairs]]
        name = "twins"
        same_init = true
        curves = []
    """
    plans = config(tmp_path, text).all_pairs()
    assert [plan.name for plan in plans] == ["wide-1", "wide-2", "twins"]
    wide, second, twins = plans
    assert (wide.a.epochs, wide.a.lr, wide.a.batch_size, wide.b.batch_size) == (7, 0.2, 128, 512)
    assert wide.a.model.arguments == {"widths": [64]} and twins.a.model.arguments == {}
    assert [(p.a.seed, p.b.seed) for p in (wide, second)] == [(10, 11), (12, 13)]
    assert (wide.a.init_seed, wide.b.init_seed) == (10, 11)
    assert (twins.a.init_seed, twins.b.init_seed, twins.b.seed) == (10, 10, 11)
    assert [(c.title, c.epochs) for c in wide.curves] == [("bezier", 5), ("long", 50)] and twins.curves == []


def test_a_scale_changes_what_it_names_and_the_name(tmp_path):
    text = (
        BASE
        + """
        [minimum]
        epochs = 90
        lr = 0.3
        [[pairs]]
        b = { batch_size = 8192 }
        [scales.small]
        minimum.epochs = 3
        model.widths = [4]
        pairs.0.b.batch_size = 256
    """
    )
    full, small = config(tmp_path, text), config(tmp_path, text, ["minimum.lr=0.2"], "small")
    assert (full.name, small.name) == ("own", "own-small")
    plans = [c.all_pairs()[0] for c in (full, small)]
    assert [(p.a.epochs, p.a.lr, p.a.model.arguments["widths"], p.b.batch_size) for p in plans] == [
        (90, 0.3, [8], 8192), (3, 0.2, [4], 256),
    ]  # fmt: skip
    with pytest.raises(PathfinderError, match="unknown scale `smal`; did you mean `small`"):
        config(tmp_path, text, scale="smal")
    with pytest.raises(PathfinderError, match=r"has no \[scales.small\]"):
        config(tmp_path, BASE, scale="small")
    with pytest.raises(PathfinderError, match=r"must be tables \[scales.NAME\]"):
        config(tmp_path, BASE + "[scales]\nsmall = 3\n", scale="small")
    with pytest.raises(PathfinderError, match=r"\[scales.small\]: the config has no `pairs.7.b.lr`"):
        config(tmp_path, text + "pairs.7.b.lr = 1\n", scale="small")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_in_the_repository_holds_what_it_should(path):
    scales = tomllib.loads(path.read_text()).get("scales", {})
    for scale in (None, *scales):
        plans = load_config(path, scale=scale).all_pairs()
        for end in {end.model_dump_json(include={"model"}): end for plan in plans for end in (plan.a, plan.b)}.values():
            with torch.device("meta"):
                assert list(build_model(end.model.name, input_shape=(3, 32, 32), **end.model.arguments).parameters())
    assert not scales or "small" in scales


def test_a_shared_seed_still_gives_two_minima(tmp_path):
    plan = config(tmp_path, BASE, ["minimum.seed=7"]).all_pairs()[0]
    assert (plan.a.seed, plan.b.seed) == (7, 8)


def test_one_pair_is_named_after_its_model(tmp_path):
    assert [plan.name for plan in config(tmp_path, BASE).all_pairs()] == ["mlp"]
    assert config(tmp_path, BASE).name == "own"


def test_set_changes_what_it_names(tmp_path):
    changed = config(tmp_path, BASE + "[[pairs]]\n", ["minimum.epochs=3", "pairs.0.name=x", "model.widths=[4, 4]"])
    plan = changed.all_pairs()[0]
    assert plan.name == "x" and plan.a.epochs == 3 and plan.a.model.arguments == {"widths": [4, 4]}


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        (BASE + "[minimum]\nepoch = 3\n", [], r"unknown key in \[minimum\] `epoch`; did you mean `epochs`"),
        (
            BASE + "[[curves]]\nkind = 'bezier'\nbend = 1\n",
            [],
            r"unknown key in \[curves.0\] `bend`; did you mean `bends`",
        ),
        ("[dat]\nname = 'digits'\n" + BASE, [], "unknown key `dat`; did you mean `data`"),
        (BASE, ["minimum.epochs=-1"], "`minimum.epochs` should be greater than or equal to 0, got -1"),
        (BASE + "[[curves]]\nbends = -2\n", [], "`curves.0.bends` should be greater than or equal to 0, got -2"),
        (BASE, ["score.batch_norm=reestimat"], "unknown score.batch_norm `reestimat`; did you mean `reestimate`"),
        (BASE, ["minimum.epochs=many"], "`minimum.epochs` should be a whole number, got 'many'"),
        (BASE, ["score.examples=all"], "`score.examples` should be a whole number, or auto, got 'all'"),
        (BASE, ["planes.curves=[]"], "`planes.curves` must not be empty"),
        (BASE + "[planes]\n", [], "a plane needs a bend, but no curve has one"),
        (BASE + "[[curves]]\nbends = 0\n[planes]\ncurves = ['bezier']\n", [], "a plane needs a bend, but `bezier` has"),
        (BASE + "[[curves]]\n[planes]\ncurves = ['bezir']\n", [], "names `bezir`, but the curves are"),
        (BASE + "[[curves]]\n[[curves]]\n", [], "two paths are called `bezier`"),
        (BASE + "[[curves]]\nname = 'a'\n", [], "a curve is called `a`, as a minimum of its pair is"),
        (BASE + "[[curves]]\nname = 'aligned-x'\n", [], "a curve is called `aligned-x`, as one that ends in"),
        (
            BASE + "[[minima]]\nname = 'n'\n[[minima]]\nname = 'n-x'\n"
            "[[surfaces]]\nname = 'x-s'\n[[surfaces]]\nname = 's'\n",
            [],
            "two surfaces of minima are called `n-x-s`",
        ),
        (BASE + "[[pairs]]\n[[pairs]]\n", [], "two pairs are called `mlp`"),
        (
            BASE + "[align]\n[[pairs]]\nname = 'p'\n[[pairs]]\nname = 'p-aligned'\n",
            [],
            "two paths would be called `p-aligned-line`; rename a pair or a curve",
        ),
        (
            BASE + "[align]\nrepair = true\n[[pairs]]\nname = 'p'\n"
            "[[pairs]]\nname = 'p-aligned-line'\ncurves = [{ name = 'repair' }]\n",
            [],
            "two paths would be called `p-aligned-line-repair`; rename a pair or a curve",
        ),
        (BASE + "[[pairs]]\nreplicates = 2\n[[pairs]]\n", [], "two groups of pairs are called `mlp`"),
        ("[data]\nname = 'digits'\n", [], "a minimum needs a network"),
        ("[model]\nname = 'mlp'\n", [], "`data` is missing"),
        (BASE + "[[curvature]]\nalong = 'lin'\n", [], r"curvature names `lin`, but there are \['line'\]"),
        (BASE + "[[curvature]]\npoints = [2, 3]\n", [], "`line` has one axis, so curvature.points must be one number"),
        (BASE + "[[curvature]]\n[[curvature]]\n", [], "two entries of curvature are called `line`.*its own along"),
        (BASE + "[[curvature]]\nsamples = 1\n", [], "samples must be 0, or 2 and more"),
        (BASE + "[[curvature]]\nmost = 2\n", [], "`curvature.0.most` should be greater than or equal to 5, got 2"),
        (BASE + "[[surfaces]]\naxes = 1\npoints = [5, 5]\n", [], "a profile has one axis, so points must be one"),
        (BASE + "[[surfaces]]\nspan = [1.0, -1.0]\n", [], "a span must rise from its first end to its second"),
        (BASE + "[[surfaces]]\nminima = []\n", [], "minima"),
        (BASE + "[[surfaces]]\nname = 'line'\n", [], "two paths or surfaces are called `line`"),
        ("[data\n", [], "own.toml is not valid TOML"),
        (BASE, ["minimum.epochs"], "needs key=value, got `minimum.epochs`"),
        (BASE, ["pairs.3.name=x"], "has no `pairs.3.name`|valid"),
    ],
)
def test_mistakes_are_named_in_the_users_spelling(text, changes, words, tmp_path):
    with pytest.raises(PathfinderError, match=words):
        config(tmp_path, text, changes)


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(PathfinderError, match="config .*no.toml does not exist"):
        load_config(tmp_path / "no.toml")


@pytest.mark.parametrize(("file", "name"), [("my run.toml", "my-run"), ("_é.toml", "experiment"), ("a+b.toml", "a+b")])
def test_an_experiment_is_called_after_its_file_as_far_as_names_allow(file, name, tmp_path):
    (tmp_path / file).write_text("[data]\nname = 'digits'\n[model]\nname = 'mlp'\n")
    assert load_config(tmp_path / file).name == name


def test_planes_and_alignment_are_switched_by_a_setting(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    off = load_config(tmp_path / "tiny.toml", ["planes=false", "align=false"])
    assert off.planes is None and off.align is None
    on = load_config(tmp_path / "tiny.toml", ["planes=true", "align=true"])
    assert on.planes == Planes() and on.align == Align()


def test_seeds_follow_the_table(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)

    def seeds(*changes):
        plans = load_config(tmp_path / "tiny.toml", changes).all_pairs()
        return [[(end.seed, end.init_seed) for end in (plan.a, plan.b)] for plan in plans]

    assert seeds() == [[(0, 0), (1, 1)]]
    assert seeds("seed=7", "pairs=[{replicates=2}]") == [[(7, 7), (8, 8)], [(9, 9), (10, 10)]]
    assert seeds("seed=7", "minimum.seed=20") == [[(20, 20), (21, 21)]]
    assert seeds("pairs=[{replicates=2, minimum={seed=3}, b={seed=30}}]") == [[(3, 3), (30, 30)], [(5, 5), (32, 32)]]
    assert seeds("minimum.init_seed=4", "pairs=[{}]") == [[(0, 4), (1, 4)]]
    assert seeds("pairs=[{same_init=true, a={init_seed=9}}]") == [[(0, 9), (1, 9)]]


@pytest.mark.parametrize(
    ("name", "changes", "taken"),
    [
        ("p-a", [], True),
        ("p-b", [], True),
        ("p-b-aligned", [], False),
        ("p-b-aligned", ["align=true"], True),
        ("p-c", [], False),
    ],
)
def test_a_single_minimum_is_not_called_as_the_end_of_a_pair(name, changes, taken, tmp_path):
    text = (
        BASE
        + f"""
        [[pairs]]
        name = "p"
        [[minima]]
        name = "{name}"
        [[surfaces]]
    """
    )
    if not taken:
        assert config(tmp_path, text, changes).singles()[0].title == name
        return
    with pytest.raises(PathfinderError, match=f"two minima are called `{name}`; give each entry"):
        config(tmp_path, text, changes)
