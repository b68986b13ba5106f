"""Every word of `score` and `curvature` has its own options; what was typed before still works."""

import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from pathfinder.cli import configs
from pathfinder.cli.app import app
from pathfinder.cli.choices import BatchNorm, Matching, Normalization, Parameters, Precision
from pathfinder.cli.inputs import name_files
from pathfinder.cli.points import read_points, read_span
from pathfinder.experiment.config import Config
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.scoring.settings import Scoring
from pathfinder.symmetry.settings import Align


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (BatchNorm, Scoring.model_fields["batch_norm"]),
        (Parameters, Curvature.model_fields["parameters"]),
        (Normalization, Surface.model_fields["normalize"]),
        (Precision, Config.model_fields["precision"]),
        (Matching, Align.model_fields["method"]),
    ],
)
def test_an_option_has_the_choices_of_its_setting(words, field):
    assert get_origin(field.annotation) is Literal
    assert set(get_args(words)) == set(get_args(field.annotation))


def test_options_may_come_before_the_word(command, minima, tmp_path):
    a, b = minima / "a.safetensors", minima / "b.safetensors"
    code, _, err = command("score", "-o", tmp_path / "1", "--points", 3, "line", a, b)
    assert code == 0, err
    code, _, err = command("score", "line", a, b, "--points", 3, "-o", tmp_path / "2")
    assert code == 0, err
    assert (tmp_path / "1" / "paths.csv").read_bytes() == (tmp_path / "2" / "paths.csv").read_bytes()


def test_tables_call_a_pair_after_its_files_or_as_the_user_says(command, minima, tmp_path):
    a, b = minima / "a.safetensors", minima / "b.safetensors"
    for out, name, wanted in (("1", [], "a-b"), ("2", ["--name", "mine"], "mine")):
        assert command("score", "line", a, b, "-o", tmp_path / out, "--points", 2, *name)[0] == 0
        rows = (tmp_path / out / "summary.csv").read_text().splitlines()[1:]
        assert rows and all(row.startswith(f"{wanted},{wanted},line,") for row in rows)
        assert (tmp_path / out / "figures" / f"paths-{wanted}.png").is_file()
    assert name_files([Path("my nets/é é.pt"), Path("b.pt")]) == "b"
    assert name_files([Path("?.pt")]) == "pair"


def test_help_names_every_command_and_every_choice(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # a narrow terminal breaks a long list of choices at any letter
    _, out, _ = command("--help")
    words = ["run", "train", "connect", "align", "score", "curvature", "export", "plot", "compare", "vtk", "list"]
    places = [out.index(f"│ {word} ") for word in words]
    assert places == sorted(places)
    _, out, _ = command("run", "--help")
    assert "[scales.NAME]" in out
    _, out, _ = command("score", "surface", "--help")
    assert all(word in out for word in ("filter", "layer", "reestimate", "training", "interpolate"))
    assert command("score")[1] == command("score", "--help")[1]
    assert command()[1] == command("--help")[1]


def test_version_and_completion(command):
    import pathfinder

    assert command("--version") == (0, f"pathfinder {pathfinder.__version__}\n", "")
    shown = subprocess.run(
        [sys.executable, "-c", "from pathfinder.cli.app import app; app(prog_name='pathfinder')"],
        env={"_PATHFINDER_COMPLETE": "complete_bash", "COMP_WORDS": "pathfinder score su", "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split() == ["surface"]


def test_configs_that_come_along_are_found_by_name_and_a_file_wins(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configs.find_config("digits").name == "digits.toml" and configs.find_config("digits").is_file()
    assert configs.find_config("sub/digits") == Path("sub/digits")
    Path("digits").write_text("")
    assert configs.find_config("digits") == Path("digits")
    code, out, _ = command("list", "configs")
    assert code == 0 and "digits-bn" in out
    assert "configs:" in command("list")[1]


@pytest.mark.parametrize(("text", "points"), [("51", 51), ("51x31", (51, 31))])
def test_points_are_read(text, points):
    assert read_points(text) == points


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1", 1.0),
        ("-1:2", (-1.0, 2.0)),
        ("-1:2,-0.5:0.5", ((-1.0, 2.0), (-0.5, 0.5))),
        ("1,0.5", ((-1.0, 1.0), (-0.5, 0.5))),
    ],
)
def test_spans_are_read(text, span):
    assert read_span(text) == span


def test_the_command_line_has_no_second_main():
    import pathfinder.cli

    assert pathfinder.cli.main.__module__ == "pathfinder.cli.app" and pathfinder.cli.app is app
