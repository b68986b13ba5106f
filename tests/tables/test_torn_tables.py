"""Tables come from anywhere: whatever is in them, compare, plot and vtk end well or in one line of their own."""

import importlib
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pathfinder import PathfinderError
from pathfinder.cli.compare import join_summaries as compare
from pathfinder.cli.summary import show_summary as show
from pathfinder.figures.draw import draw, draw_together
from pathfinder.figures.vtk import export_surfaces
from pathfinder.tables.csv_files import write_table
from pathfinder.tables.schema import TABLES

figures = importlib.import_module("pathfinder.figures.draw")  # the package has a function of this name
T = np.linspace(0, 1, 4)
RACED = ["race", "race_methods"]  # a run with these has no figures of its paths
DRAWN = sorted(name for name, table in TABLES.items() if table.figures and name not in RACED)
CELLS = [
    "",
    "nan",
    "NA",
    "inf",
    "-inf",
    "1e400",
    "-1",
    "0",
    "text",
    "10**9",
    "99999999999999999999",
    "../x",
    "é",
    '"',
    "\0",
]


def run_of(folder: Path, path: str = "bezier", group: str = "g", pair: str = "p", surface: str = "map") -> Path:
    """The tables of a small run, all kinds of them."""
    both = ("line", path)
    keys = [{"group": group, "pair": pair, "path": one, "split": s, "metric": m}
            for one in both for s in ("train", "test") for m in ("loss", "error")]  # fmt: skip
    numbers = dict.fromkeys(["barrier", "barrier_low", "barrier_high", "max", "length_ratio"], 1.5)
    scored = {f"{s}_{m}": 0.1 + T for s in ("train", "test") for m in ("loss", "error")}
    scored |= {f"{column}_se": 0.01 for column in list(scored)}
    x, y = (side.ravel() for side in np.meshgrid([-1.0, 0.0, 1.0], [0.0, 1.0], indexing="ij"))
    over = {"x": x, "y": y, "train_loss": 1 + x * x + y, "test_error": 1 + y}
    learned = {"epoch": [1, 2], "train_loss": 0.1, "train_error": 9.0, "norm": 1.0}
    between = {"group": group, "a": "g-a", "b": "g-b", "method": "none", "train_loss_barrier": 0.5}
    at, along = {"pair": pair, "name": f"{pair}-a"}, {"pair": pair, "name": "", "converged": True, "ratio": 0.1}
    ends = {"lambda_min": -1.0, "lambda_max": 2.0}
    tables = {
        "summary": pd.DataFrame([key | numbers for key in keys]),
        "paths": pd.concat([pd.DataFrame({"pair": pair, "path": one, "t": T} | scored) for one in both]),
        "rescored": pd.DataFrame({"pair": pair, "path": path, "t": T} | scored),
        "planes": pd.DataFrame({"pair": pair, "plane": path} | over),
        "plane_markers": pd.DataFrame(
            {"pair": pair, "plane": path, "name": ["a", "bend", "b"], "x": [-1.0, 0, 1], "y": [0, 1.0, 0]}
        ),
        "plane_paths": pd.concat(
            [pd.DataFrame({"pair": pair, "plane": path, "path": one, "x": T, "y": T, "distance": 0.0}) for one in both]
        ),
        "training": pd.concat(
            [pd.DataFrame({"pair": pair, "fit": fit} | learned) for fit in ("a", "b", path)]
        ),
        "weights": pd.DataFrame(at | {"low": [-1.0, 0, 1], "high": [0, 1.0, 2], "density": [0.2, 0.6, 0.2]}),
        "minima": pd.DataFrame([at | {"test_error": 3.0, "lr": 0.1, "epochs": 2}]),
        "surfaces": pd.DataFrame(at | {"surface": surface} | over),
        "trajectory": pd.DataFrame(at | {"surface": surface, "x": [1.0, 0.0], "y": [1.0, 0.0], "explained_x": 0.5}),
        "curvature": pd.concat(
            [pd.DataFrame(along | ends | {"along": path, "t": T}),
             pd.DataFrame(along | ends | {"along": surface, "name": f"{pair}-a", "x": x, "y": y})]
        ),
        "barriers": pd.DataFrame([between]),
    }  # fmt: skip
    folder.mkdir()
    for name, table in tables.items():
        write_table(folder / f"{name}.csv", table)
    return folder


def ends_well(read: Callable[[], object], folder: Path) -> None:
    """A table is read, or the one line says where it lies."""
    try:
        read()
    except PathfinderError as error:
        assert len(str(error)) < 700 and str(folder) in str(error)


def mutate(text: str, chance: random.Random) -> str:
    """Tear or edit a table somewhere."""
    lines = [line.split(",") for line in text.splitlines()]
    row, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    column = chance.randrange(len(lines[row]))
    match chance.randrange(8):
        case 0 | 1 | 2:
            lines[row][column] = chance.choice(CELLS)
        case 3:  # a whole column
            for line in lines[1:]:
                line[column] = chance.choice(CELLS)
        case 4:
            lines = [line[:column] + line[column + 1 :] for line in lines]
        case 5:
            lines.insert(other, list(lines[row]))
        case 6:
            del lines[row]
        case _:
            return text[: chance.randrange(len(text))]
    return "\n".join(",".join(line) for line in lines) + "\n"


@pytest.fixture
def whole(tmp_path):
    return run_of(tmp_path / "whole")


def test_torn_summaries_compare_or_end_in_one_line(whole, tmp_path, capsys):
    text, chance = (whole / "summary.csv").read_text(), random.Random(0)
    for _ in range(200):
        (whole / "summary.csv").write_text(mutate(text, chance))
        ends_well(lambda: show(compare([whole], tmp_path / "all.csv")), whole)


def test_torn_surfaces_export_or_end_in_one_line(whole):
    text, chance = (whole / "surfaces.csv").read_text(), random.Random(1)
    for _ in range(100):
        (whole / "surfaces.csv").write_text(mutate(text, chance))
        ends_well(lambda: export_surfaces(whole), whole)


def test_torn_tables_are_read_or_end_in_one_line(whole):
    chance = random.Random(2)
    for i in range(300):
        name = DRAWN[i % len(DRAWN)]
        text = (whole / f"{name}.csv").read_text()
        (whole / f"{name}.csv").write_text(mutate(text, chance))
        ends_well(lambda name=name: figures._read(whole, TABLES[name]), whole)
        (whole / f"{name}.csv").write_text(text)


@pytest.mark.filterwarnings("ignore")  # of matplotlib, about limits that are infinite
def test_torn_tables_are_drawn_or_end_in_one_line(whole, monkeypatch):
    monkeypatch.setattr(figures, "as_png", lambda figure: b"")  # which takes most of the time
    chance = random.Random(3)
    for name in DRAWN:
        text = (whole / f"{name}.csv").read_text()
        (whole / f"{name}.csv").write_text(mutate(text, chance))
        ends_well(lambda: draw(whole), whole)
        (whole / f"{name}.csv").write_text(text)


@pytest.mark.filterwarnings("ignore")
def test_torn_tables_of_a_race_are_drawn_or_end_in_one_line(whole, monkeypatch):
    monkeypatch.setattr(figures, "as_png", lambda figure: b"")
    rows = {
        "pair": "p",
        "path": ["line", "ours-5", "theirs-5"],
        "method": ["line", "ours", "theirs"],
        "epochs": [0, 5, 5],
    }
    rows |= {"passes": [0.0, 5.0, 5.0], "max": [3.0, 0.2, 0.4], "target": 0.4, "met": [False, True, True]}
    needed = {"passes": [np.nan, 5.0, 5.0], "passes_low": [np.nan, 5.0, 5.0], "passes_high": [np.nan, 5.0, 5.0]}
    methods = {"method": rows["method"], "reference": [False, False, True], "pairs": 1, "met": [0, 1, 1], **needed}
    for name, table in zip(RACED, (rows, methods), strict=True):
        write_table(whole / f"{name}.csv", pd.DataFrame({"group": "g", **table}))
    assert "race-g.png" in {path.name for path in draw(whole)}
    chance = random.Random(4)
    for _ in range(20):
        for name in RACED:
            text = (whole / f"{name}.csv").read_text()
            (whole / f"{name}.csv").write_text(mutate(text, chance))
            ends_well(lambda: draw(whole), whole)
            (whole / f"{name}.csv").write_text(text)


@pytest.mark.parametrize("column, table", [("group", "summary"), ("pair", "paths"), ("plane", "planes")])
@pytest.mark.parametrize("name", ["../x", "a/../../../escaped", "/tmp/x", "..", "", "a b", "x" * 300])
def test_names_that_lead_elsewhere_write_nothing(whole, tmp_path, column, table, name):
    frame = pd.read_csv(whole / f"{table}.csv")
    write_table(whole / f"{table}.csv", frame.assign(**{column: name}))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PathfinderError, match=rf"table .*{table}.csv|{column}.* in table"):
        draw(whole)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../x", "a/b", ""])
def test_surfaces_whose_names_lead_elsewhere_write_nothing(whole, tmp_path, name):
    write_table(whole / "surfaces.csv", pd.read_csv(whole / "surfaces.csv").assign(name=name))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PathfinderError, match=r"surfaces.csv"):
        export_surfaces(whole)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan", "1e5", "007", "True", "inf"])
def test_names_that_look_like_something_else_stay_names(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(figures, "as_png", lambda figure: b"")
    folder = run_of(tmp_path / "run", path=name, group=name, pair=name, surface=name)
    wanted = {f"paths-{name}", f"plane-{name}-{name}", f"training-{name}", f"barriers-{name}", f"contours-{name}"}
    assert wanted <= {path.stem for path in draw(folder)}
    assert [path.name for path in export_surfaces(folder)] == [f"{name}-{name}-a.vts"]
    show(compare([folder], None))
    assert name in capsys.readouterr().out


def test_runs_drawn_together_stay_in_their_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "as_png", lambda figure: b"")
    for side in ("one", "two"):
        (tmp_path / side).mkdir()
        run_of(tmp_path / side / "run")
    monkeypatch.chdir(tmp_path / "one")
    drawn = draw_together([Path("run"), Path("../two/run")], tmp_path / "both")
    assert len(drawn) > 3 and {path.parent for path in drawn} == {tmp_path / "both" / "figures"}


def test_figures_of_others_stay(whole, monkeypatch):
    monkeypatch.setattr(figures, "as_png", lambda figure: b"")
    draw(whole)
    own, stale = whole / "figures" / "plane of mine.png", whole / "figures" / "training-g.png"
    own.write_bytes(b"")
    (whole / "training.csv").unlink()
    (whole / "weights.csv").unlink()
    draw(whole)
    assert own.exists() and stale.exists()  # no run.json: the folder may be anybody's
    (whole / "run.json").write_text("{}")
    draw(whole)
    assert own.exists() and not stale.exists() and not (whole / "figures" / "weights.png").exists()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM"])
def test_a_folder_is_no_formula(tmp_path, monkeypatch, name):
    run_of(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    compare([Path(name)], tmp_path / "all.csv")
    assert set(pd.read_csv("all.csv")["run"]) == {f"./{name}"}
