"""A run that starts again, or whose work is sent to another process, uses nothing made from other inputs."""

import pickle
import shutil
import sys

import pandas as pd
import pytest
from helpers import TINY

from pathfinder import PathfinderError
from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.run import Experiment
from pathfinder.scoring import evaluator

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*running averages lag:pathfinder.errors.PathfinderWarning"),
    pytest.mark.filterwarnings("ignore:.*holds this run with other settings:pathfinder.errors.PathfinderWarning"),
]
PAIR = TINY.replace("[planes]\npoints = 4\n", "")


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(Experiment, "draw", lambda self, engine: None)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A config of two checkpoints and the line between them."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "tiny.toml").write_text(PAIR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Experiment, "draw", lambda self, engine: None)
        Experiment(load_config(folder / "tiny.toml", ["curves=[]"]), folder / "run").run()
    files = [folder / f"{side}.safetensors" for side in "ab"]
    for side, file in zip("ab", files, strict=True):
        shutil.copy(folder / "run" / "minima" / f"convnet-bn-{side}.safetensors", file)
    a, b = (f"checkpoint = '{file}'" for file in files)
    text = PAIR[: PAIR.index("[model]")] + PAIR[PAIR.index("[score]") :]
    (folder / "given.toml").write_text(f"{text}[[pairs]]\nname = 'p'\ncurves = []\na = {{ {a} }}\nb = {{ {b} }}\n")
    return folder / "given.toml"


def test_other_crops_score_again(given, tmp_path):
    run = tmp_path / "run"
    Experiment(load_config(given), run).run()
    before = pd.read_csv(run / "paths.csv")
    cropped = load_config(given, ["data.crop=2", "data.flip=true"])
    with pytest.raises(PathfinderError, match=r"\(data.crop not set -> 2, data.flip not set -> True\)"):
        Experiment(cropped, run).run()
    Experiment(cropped, run, force=True).run()
    Experiment(cropped, tmp_path / "fresh").run()
    assert (run / "paths.csv").read_bytes() == (tmp_path / "fresh" / "paths.csv").read_bytes()
    assert (pd.read_csv(run / "paths.csv")["train_loss"] - before["train_loss"]).abs().max() > 1e-3


def test_a_worker_with_other_weights_or_data_refuses_the_work(given, tmp_path):
    (tmp_path / "given.toml").write_text(given.read_text().replace(str(given.parent), str(tmp_path)))
    for side in "ab":
        shutil.copy(given.parent / f"{side}.safetensors", tmp_path)
    place = Experiment(load_config(tmp_path / "given.toml"), tmp_path / "run").place
    sent = pickle.dumps(place)
    assert pickle.loads(sent).inputs == place.inputs
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes())
    with pytest.raises(PathfinderError, match="finds other data, weights or code than the run began with; give all"):
        pickle.loads(sent)


MOON = """import pathfinder
class Moon(pathfinder.Bezier):
    "{}"
"""


def test_a_worker_with_another_curve_class_refuses_the_work(given, tmp_path, monkeypatch):
    (tmp_path / "moons.py").write_text(MOON.format("One."))
    monkeypatch.syspath_prepend(str(tmp_path))
    config = load_config(given, ["pairs.0.curves=[{kind = 'moons:Moon', epochs = 1}]"])
    sent = pickle.dumps(Experiment(config, tmp_path / "run").place)
    (tmp_path / "moons.py").write_text(MOON.format("Another."))
    with pytest.raises(PathfinderError, match="finds other data, weights or code than the run began with; give all"):
        pickle.loads(sent)
    (tmp_path / "moons.py").write_text(MOON.format("One."))
    with pytest.raises(PathfinderError, match="imported `moons:Moon` before its source changed; restart the workers"):
        pickle.loads(sent)


def test_a_worker_that_ran_before_imports_the_curve_class_for_the_next_run(given, tmp_path, monkeypatch):
    (tmp_path / "suns.py").write_text(MOON.format("One.").replace("Moon", "Sun"))
    monkeypatch.syspath_prepend(str(tmp_path))
    config = load_config(given, ["pairs.0.curves=[{kind = 'suns:Sun', epochs = 1}]"])
    sent = pickle.dumps(Experiment(config, tmp_path / "run").place)
    monkeypatch.delitem(sys.modules, "suns")  # as in a process of its own
    for _ in range(2):
        pickle.loads(sent)


@pytest.mark.filterwarnings("ignore:.* with the examples that score the path:pathfinder.errors.PathfinderWarning")
def test_ends_are_compared_with_their_stored_statistics_by_pieces_alone(given, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluator, "warn_of_statistics", lambda *_: pytest.fail("the same passes once more"))
    changes = ["score.points='auto'", "score.examples='auto'", "score.batch_norm_examples='auto'"]
    config = load_config(given, [*changes, "align.every_pair=true", "precision='bf16'", "precision_check=true"])
    Experiment(config, tmp_path / "run").run()
    assert len(pd.read_csv(tmp_path / "run" / "barriers.csv")) == 2


def test_what_an_earlier_run_dropped_does_not_ask_for_force_again(tmp_path):
    config, run = tmp_path / "tiny.toml", tmp_path / "run"
    config.write_text(PAIR)
    Experiment(load_config(config), run).run()
    less = load_config(config, ["curves=[]"])
    with pytest.raises(PathfinderError, match="1 curve and 1 scored path dropped; add --force"):
        Experiment(less, run).run()
    Experiment(less, run, force=True).run()
    Experiment(less, run).run()
    with pytest.raises(PathfinderError, match=r"score.points 5 -> 3\).* redone"):
        Experiment(load_config(config, ["curves=[]", "score.points=3"]), run).run()


def test_a_training_that_was_replaced_by_a_copy_writes_its_checkpoints_again(tmp_path):
    path, folder = tmp_path / "pairs.toml", tmp_path / "run" / "trajectories" / "two-a"
    path.write_text(PAIR + "".join(f"[[pairs]]\nname = '{name}'\na.seed = 1\ncurves = []\n" for name in ("one", "two")))

    def checkpoints(seed):
        changes = ["minimum.checkpoint_every=1", f"pairs.1.a.seed={seed}", "pairs.0.b.seed=2", "pairs.1.b.seed=3"]
        Experiment(load_config(path, changes), tmp_path / "run", force=True).run()
        return [file.read_bytes() for file in sorted(folder.iterdir())]

    before = checkpoints(seed=5)
    assert checkpoints(seed=1) != before
    assert checkpoints(seed=5) == before


def test_curvature_along_a_path_has_no_stored_statistics(given, tmp_path):
    stored = "curvature=[{along='line', points=3, batch_norm='stored'}]"
    with pytest.raises(PathfinderError, match='curvature along `line` with batch_norm = "stored" has no meaning'):
        Experiment(load_config(given, [stored]), tmp_path / "run")


def test_a_line_beyond_the_minima_holds_them_whatever_its_steps(given, tmp_path):
    wide = load_config(given, ["score.points=11", "score.range=[-0.33, 1.4]"])
    Experiment(wide, tmp_path / "run").run()
    t = pd.read_csv(tmp_path / "run" / "paths.csv")["t"]
    assert len(t) == 13 and {0.0, 1.0} < set(t) and (t.min(), t.max()) == (-0.33, 1.4)


@pytest.mark.filterwarnings("error::pathfinder.errors.PathfinderWarning")
def test_a_network_with_a_random_frozen_layer_is_estimated(tmp_path, monkeypatch):
    (tmp_path / "own_frozen.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    frozen = nn.Linear(64, 16).requires_grad_(False)\n"
        "    return nn.Sequential(nn.Flatten(), frozen, nn.ReLU(), nn.Linear(16, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = PAIR.replace('"convnet-bn"\nwidths = [4, 4]', '"own_frozen:net"') + "[[pairs]]\nsame_init = true\n"
    (tmp_path / "frozen.toml").write_text(text)
    experiment = Experiment(load_config(tmp_path / "frozen.toml"), tmp_path / "run")
    assert experiment.estimate().seconds["curve own_frozen-net-bezier"] > 0
