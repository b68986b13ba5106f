"""What the READMEs say is so: examples print what is shown, numbers are those of committed runs, links lead on."""

import re
from pathlib import Path

import pytest

from pathfinder.tables.csv_files import read_table

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
RUNS = {"mlp": "align-mlp", "convnet": "align-convnet", "resnet20": "align-resnet20-small"}


def test_the_example_prints_what_is_shown(capsys):
    example, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL).groups()
    exec(example, {})
    printed = capsys.readouterr().out.split()
    assert len(printed) == len(shown.split())
    for ours, theirs in zip(printed, shown.split(), strict=True):
        try:
            assert float(ours) == pytest.approx(float(theirs), rel=0.5, abs=0.01)
        except ValueError:  # a word
            assert ours == theirs


def test_it_is_one_page():
    assert len(README.split()) <= 450
    assert len(re.findall(r"\]\(", README)) >= 15
    assert len(README[: README.index("```python")].split()) <= 150
    for command in ("uv run pathfinder run configs/digits.toml", "uv run pytest"):
        assert f"\npip install uv && {command}\n" in README


@pytest.mark.parametrize(
    ("page", "paths"),
    [
        (README, ["line", "bezier-60", "aligned-line", "aligned-bezier-10"]),
        (RESULTS, ["line", "bezier-10", "bezier-60", "aligned-line", "aligned-line-repair", "aligned-bezier-10"]),
    ],
)
def test_tables_of_aligned_paths_are_those_of_the_committed_runs(page, paths):
    rows = re.findall(rf"^\| (\S+) \|((?: (?:[\d.]+|-) \|){{{len(paths)}}})$", page, re.MULTILINE)
    assert len(rows) >= 5
    for group, numbers in rows:
        replicates = read_table(REFERENCE / RUNS[group.partition("-")[0]] / "replicates.csv")
        barriers = replicates.query("group == @group and split == 'train' and metric == 'loss'")
        barriers = barriers.query("quantity == 'barrier'")
        assert (barriers["pairs"] == 3).all()
        means = barriers.set_index("path")["mean"]
        for path, number in zip(paths, numbers.replace("|", " ").split(), strict=True):
            printed = f"{means[path]:.{len(number.partition('.')[2])}f}" if path in means else "-"
            assert printed == number, (group, path)


def test_the_table_of_pairs_is_that_of_the_committed_run():
    replicates = read_table(REFERENCE / "digits-pairs" / "replicates.csv")
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (\S+) ± (\S+) \| (\S+) ± (\S+) \| (\S+) \|$", RESULTS, re.MULTILINE)
    assert len(rows) >= 8
    for group, path, *numbers in rows:
        of = replicates.query("group == @group and path == @path").set_index(["split", "metric", "quantity"])
        barrier, error = of.loc[("train", "loss", "barrier")], of.loc[("test", "error", "max")]
        wanted = [barrier["mean"], barrier["std"], error["mean"], error["std"]]
        wanted += [of.loc[("train", "loss", "length_ratio"), "mean"]]
        printed = [f"{value:.{len(number.partition('.')[2])}f}" for number, value in zip(numbers, wanted, strict=True)]
        assert printed == numbers, (group, path)


def test_every_file_the_pages_name_is_there():
    pages = [ROOT / name for name in ("README.md", "results/README.md", "configs/README.md", ".github/CONTRIBUTING.md")]
    for page in [*pages, *(ROOT / ".docs" / "pages").glob("*.md")]:
        targets = re.findall(r"(?:\]\(|src(?:set)?=\")([^)#:\"]+)[)#\"]", page.read_text(encoding="utf-8"))
        assert targets or page.parent.name == "pages"
        for target in targets:
            assert (page.parent / target).exists(), (page, target)
