import re
from pathlib import Path

from helpers import data, network

from pathfinder import fit_minimum
from pathfinder.tables.csv_files import read_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_as_it_is_printed(capsys):
    models = [network("mlp", seed) for seed in (0, 1)]
    x, y = data(200)
    for model in models:
        fit_minimum(model, (x, y), epochs=5, lr=0.1)
    names = {"model_a": models[0], "model_b": models[1], "x_train": x, "y_train": y, "x_test": x[:50], "y_test": y[:50]}
    exec(re.search(r"```python\n(.*?)```", README, re.DOTALL)[1], names)
    assert "barrier" in capsys.readouterr().out


def test_the_table_is_that_of_the_committed_run():
    replicates = read_table(ROOT / "results" / "reference" / "digits-pairs" / "replicates.csv")
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (\S+) ± (\S+) \| (\S+) ± (\S+) \| (\S+) \|$", README, re.MULTILINE)
    assert len(rows) >= 8
    for group, path, *numbers in rows:
        of = replicates.query("group == @group and path == @path").set_index(["split", "metric", "quantity"])
        barrier, error = of.loc[("train", "loss", "barrier")], of.loc[("test", "error", "max")]
        wanted = [barrier["mean"], barrier["std"], error["mean"], error["std"]]
        wanted += [of.loc[("train", "loss", "length_ratio"), "mean"]]
        printed = [f"{value:.{len(number.partition('.')[2])}f}" for number, value in zip(numbers, wanted, strict=True)]
        assert printed == numbers, (group, path)


def test_the_table_of_aligned_paths_is_that_of_the_committed_runs():
    paths = ["line", "bezier-10", "bezier-60", "aligned-line", "aligned-line-repair", "aligned-bezier-10"]
    runs = {"mlp": "align-mlp", "convnet": "align-convnet", "resnet20": "align-resnet20-small"}
    rows = re.findall(r"^\| (\S+) \|((?: (?:[\d.]+|-) \|){6})$", README, re.MULTILINE)
    assert len(rows) == 7
    for group, numbers in rows:
        replicates = read_table(ROOT / "results" / "reference" / runs[group.partition("-")[0]] / "replicates.csv")
        barriers = replicates.query("group == @group and split == 'train' and metric == 'loss'")
        barriers = barriers.query("quantity == 'barrier'")
        assert (barriers["pairs"] == 3).all()
        means = barriers.set_index("path")["mean"]
        for path, number in zip(paths, numbers.replace("|", " ").split(), strict=True):
            printed = f"{means[path]:.{len(number.partition('.')[2])}f}" if path in means else "-"
            assert printed == number, (group, path)


def test_the_numbers_on_cifar_are_those_of_the_committed_run():
    rescored = read_table(ROOT / "results" / "reference" / "connect-resnet20-small" / "rescored.csv")
    worst = rescored.groupby("path")["test_error"].max()
    for path in ("ends", "line", "polychain", "bezier"):
        assert f"{worst[path]:.1f} %" in README, path
    right = 100 - read_table(ROOT / "results" / "reference" / "connect-resnet20-small" / "minima.csv")["test_error"]
    assert "{:.1f} and {:.1f} % of the test images right".format(*right) in " ".join(README.split())
    for minimum in read_table(ROOT / "results" / "reference" / "vgg9-batch-size-small" / "minima.csv").itertuples():
        low, high = (43, 44.5) if minimum.batch_size == 2048 else (29, 31.5)
        assert low <= minimum.test_error <= high


def test_every_file_the_readmes_name_is_there():
    for readme in (ROOT / "README.md", ROOT / "results" / "README.md"):
        targets = re.findall(r"\]\(([^)#:]+)\)", readme.read_text(encoding="utf-8"))
        assert targets
        for target in targets:
            assert (readme.parent / target).exists(), target
