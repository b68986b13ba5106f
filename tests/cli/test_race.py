"""`pathfinder race`: curves with several budgets, and which is flat enough first."""

import pandas as pd
import pytest
from command_line import called
from helpers import TINY

from pathfinder.tables.csv_files import read_table
from pathfinder.tables.schema import RACE, RACE_METHODS

CONFIG = (
    TINY.replace("convnet-bn", "mlp").replace("[planes]\npoints = 4\n", "").replace("[curve]\n", "[curve]\nbends = 2\n")
    + """
[align]
[[curves]]
name = "band"
kind = "polychain"
method = "neb"
aligned = false
[[curves]]
name = "straight"
bends = 0
aligned = false
[[curves]]
name = "soon"
lr = 0.2
aligned = true
start = "repair"
until = { ratio = 1e6, every = 4, examples = 200, points = 4 }
[race]
reference = "bezier"
budgets = [1, 3]
largest = { band = 2 }
"""
)


def test_a_race_trains_each_curve_with_each_budget(tmp_path, capsys):
    (tmp_path / "race.toml").write_text(CONFIG)
    assert called("race", tmp_path / "race.toml", "--out", tmp_path / "run") == 0
    out = capsys.readouterr().out
    race, methods = (pd.read_csv(tmp_path / "run" / f"{name}.csv") for name in ("race", "race_methods"))
    steps = 12  # batches of 128 of the 1,437 digits
    looks = 4 * 200 / 1437 / 3  # forward passes of 200 examples at 4 points
    repair = (2 + 2) * 300 / 1437 / 3  # forward passes of 300 examples at both ends and at each of 2 bends
    wanted = {
        "line": (0, 0, 0.0),
        "bezier-1": (1, steps, 1.0),
        "bezier-3": (3, 3 * steps, 3.0),
        "band-1": (1, steps, 2 + 2 / 3),
        "straight-1": (1, 0, 0.0),
        "straight-3": (3, 0, 0.0),
        "aligned-soon-1": (1, 4, 4 / steps + looks + repair),
        "aligned-soon-3": (3, 4, 4 / steps + looks + repair),
    }
    found = race.set_index("path")
    for path, (epochs, done, passes) in wanted.items():
        assert found.loc[path, ["epochs", "steps"]].tolist() == [epochs, done]
        assert abs(found.loc[path, "passes"] - passes) < 1e-9
    assert {*race["path"]} == {*wanted, "aligned-line", *(f"aligned-bezier-{epochs}" for epochs in (1, 3))}
    assert race["target"].unique().tolist() == [found.loc["bezier-3", "max"]]
    for table in (RACE, RACE_METHODS):
        rows = read_table(tmp_path / "run" / f"{table.name}.csv", table)
        assert list(rows.columns) == [column.name for column in table.columns]
    assert {*methods["method"]} == {"line", "bezier", "band", "straight", "aligned-line", "aligned-bezier", "soon"}
    assert "times fewer" in out and "soon" in out
    assert [path.name for path in (tmp_path / "run" / "figures").iterdir()] == ["race-mlp.png"]


def test_a_race_needs_a_reference_that_is_a_curve(tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(TINY)
    assert called("race", tmp_path / "tiny.toml") == 2
    assert "has no table [race]" in capsys.readouterr().err
    (tmp_path / "race.toml").write_text(CONFIG.replace('reference = "bezier"', 'reference = "line"'))
    assert called("race", tmp_path / "race.toml") == 2
    said = "race.reference names `line`, but the curves are ['bezier', 'band', 'straight', 'soon']"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("largest", "said"),
    [
        ("{ ribbon = 1 }", "race.largest names `ribbon`, but the curves are ['bezier', 'band', 'straight', 'soon']"),
        ("{ band = 2 }\nbudgets = [3, 5]", "race.largest gives `band` 2 epochs, below all budgets"),
    ],
)
def test_the_largest_budget_of_a_curve_is_checked(tmp_path, capsys, largest, said):
    config = CONFIG.replace("budgets = [1, 3]\n", "") if "budgets" in largest else CONFIG
    (tmp_path / "race.toml").write_text(config.replace("{ band = 2 }", largest))
    assert called("race", tmp_path / "race.toml") == 2
    assert said in capsys.readouterr().err


def test_an_aligned_curve_needs_an_alignment(tmp_path, capsys):
    (tmp_path / "race.toml").write_text(CONFIG.replace("[align]\n", ""))
    assert called("race", tmp_path / "race.toml") == 2
    assert "the curve `soon-1` is to end in an aligned b; add [align]" in capsys.readouterr().err


def test_a_curve_whose_training_diverges_loses_the_race(tmp_path, capsys):
    wild = CONFIG.replace(
        'name = "soon"\nlr = 0.2\naligned = true\nstart = "repair"', 'name = "wild"\nlr = 1e30\naligned = false'
    )
    (tmp_path / "race.toml").write_text(wild)
    assert called("race", tmp_path / "race.toml", "--out", tmp_path / "run") == 1
    assert "training diverged" in capsys.readouterr().err
    race = pd.read_csv(tmp_path / "run" / "race.csv")
    assert {*race["method"]} == {"line", "bezier", "band", "straight", "aligned-line", "aligned-bezier"}
    assert (tmp_path / "run" / "figures" / "race-mlp.png").is_file()
