"""The schema describes every table that runs write, and nothing else."""

from pathlib import Path

import pandas as pd
import pytest
from helpers import TINY

from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.run import Experiment
from pathfinder.tables.csv_files import read_table
from pathfinder.tables.results import Results
from pathfinder.tables.schema import QUANTITIES, SUMMARY, TABLES, as_markdown
from pathfinder.tables.score_names import ScoreName, parse_score_column, score_column, score_columns
from pathfinder.tables.table import FIGURES, Column, ScoreColumns, Table

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
EVERYTHING = """
[align]
every_pair = true
[[surfaces]]
points = 3
[[surfaces]]
name = "walk"
axes = 1
directions = "trajectory"
points = 3
[[curvature]]
along = "filter-2d"
points = 2
samples = 2
examples = 50
"""


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A run that writes every table, with a validation split."""
    folder = tmp_path_factory.mktemp("full")
    text = TINY.replace("[minimum]", "[minimum]\ncheckpoint_every = 1").replace("[score]", "[score]\nrescore = true")
    text = text.replace('name = "digits"', 'name = "digits"\nvalidation = 100').replace("convnet-bn", "mlp")
    (folder / "full.toml").write_text(text.replace("widths = [4, 4]", "widths = [8]") + EVERYTHING)
    Experiment(load_config(folder / "full.toml"), folder / "run").run()
    return folder / "run"


def check(path):
    """A file has columns that the schema knows, in its order, all that are not optional, and cells of their types."""
    table = TABLES[path.stem]
    columns = list(pd.read_csv(path, nrows=0).columns)
    assert [column for column in columns if table.column(column) is None] == [], path
    assert table.sort(columns) == columns, path
    wanted = {column.name for column in table.columns if isinstance(column, Column) and not column.optional}
    assert wanted <= set(columns), path
    rows = read_table(path, table)
    for name in columns:
        column = table.column(name)
        assert column.empty or rows[name].notna().all(), (path, name)
        if column.kind == "whole":
            assert (rows[name].dropna() % 1 == 0).all(), (path, name)


def test_a_full_run_writes_every_table_as_the_schema_says(full):
    assert {path.stem for path in full.glob("*.csv")} == set(TABLES) - {
        "point",
        "race",
        "race_methods",
    }  # of commands alone
    for path in full.glob("*.csv"):
        check(path)
    assert "validation_loss" in read_table(full / "training.csv")


def test_every_kind_of_figure_is_drawn_or_none_of_its_tables_is_there(full):
    drawn = {path.stem.partition("-")[0] for path in (full / "figures").glob("*.png")}
    assert drawn == set(FIGURES) - {"curvature", "race"}  # it is measured over a surface only, and this is no race
    assert {name for table in TABLES.values() for name in table.figures} == set(FIGURES)


@pytest.mark.parametrize("run", sorted(path.name for path in REFERENCE.iterdir() if path.is_dir()))
def test_every_committed_run_follows_the_schema(run):
    for path in (REFERENCE / run).glob("*.csv"):
        check(path)


def test_the_page_of_tables_lists_every_column_with_its_meaning():
    sections = dict(part.split("\n", 1) for part in as_markdown().split("## ")[1:])
    assert list(sections) == [f"{name}.csv" for name in TABLES]
    for table in TABLES.values():
        section = sections[f"{table.name}.csv"]
        for entry in table.columns:
            for column in entry.patterns() if isinstance(entry, ScoreColumns) else [entry]:
                (line,) = [line for line in section.splitlines() if line.startswith(f"| `{column.name}` |")]
                assert column.meaning in line and column.unit in line and line.count(" | ") == 3
        assert all(FIGURES[figure] in section for figure in table.figures)


@pytest.mark.parametrize("split", ["train", "test", "held_out"])
def test_names_of_score_columns_are_parsed_as_they_were_made(split):
    for metric in ("loss", "error"):
        for statistic in ("mean", "se", "barrier", "barrier_low", "barrier_high"):
            name = score_column(split, metric, statistic)
            assert parse_score_column(name) == ScoreName(split, metric, statistic)
    assert parse_score_column(score_column(split, "", "examples")) == ScoreName(split, "", "examples")


def test_other_columns_are_no_scores():
    fixed = [column.name for table in TABLES.values() for column in table.columns if isinstance(column, Column)]
    others = set(fixed) - {"train_loss", "train_error", "test_loss", "test_error"}
    assert [name for name in others if parse_score_column(name)] == []
    names = ["t", "train_loss", "train_error", "train_loss_se", "train_examples"]
    assert score_columns(names) == ["train_loss", "train_error"] and score_columns(names, "loss") == ["train_loss"]
    assert score_columns(names, statistic="se") == ["train_loss_se"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"columns": (Column("a", "name", "."), Column("a", "number", "."))}, "has columns twice: a"),
        ({"key": ("b",)}, "has keys that are not its columns: b"),
        ({"needed": ("b",)}, "needs columns it does not have: b"),
        ({"figures": ("portrait",)}, "names figures that do not exist: portrait"),
    ],
)
def test_a_table_checks_itself(change, message):
    right = {"name": "x", "meaning": ".", "columns": (Column("a", "name", "."),), "key": ("a",)}
    with pytest.raises(ValueError, match=f"table `x` {message}"):
        Table(**right | change)


def test_quantities_are_columns_of_the_summary():
    assert [column for column in SUMMARY.columns if column in QUANTITIES] == list(QUANTITIES)
    assert (REFERENCE / "digits" / "replicates.csv").exists()
    found = read_table(REFERENCE / "digits" / "replicates.csv", TABLES["replicates"])["quantity"].unique()
    assert list(found) == [column.name for column in QUANTITIES]


def test_rows_with_other_columns_keep_the_order_of_the_schema(tmp_path):
    results = Results(tmp_path)
    results.add("minima", pd.DataFrame([{"name": "mlp-a", "train_loss": 0.1, "batch_norm": "none"}]))
    results.add("minima", pd.DataFrame([{"batch_norm": "training", "train_loss_reestimated": 0.2, "name": "bn-a"}]))
    columns = ["name", "train_loss", "train_loss_reestimated", "batch_norm"]
    assert list(results.table("minima").columns) == columns
