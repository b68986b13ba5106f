"""`score point`: one network with each choice of BatchNorm's statistics, against plain torch."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pathfinder import Bezier, Split, build_model, load_data
from pathfinder.cli.summary import show_ends
from pathfinder.storage import load_weights
from pathfinder.tables.csv_files import read_table
from pathfinder.tables.schema import POINT


def plain(module, x, y):
    """Mean and standard error of loss and error, as anybody would compute them."""
    with torch.no_grad():
        output = module.eval()(x)
    values = {"loss": F.cross_entropy(output, y, reduction="none"), "error": 100.0 * (output.argmax(1) != y)}
    found = {}
    for name, value in values.items():
        found[name] = value.double().mean().item()
        found[f"{name}_se"] = value.double().std().item() / len(y) ** 0.5
    return found


def check(row, module, data):
    for split in ("train", "test"):
        for name, value in plain(module, data[split].x, data[split].y).items():
            assert row[f"{split}_{name}"] == pytest.approx(value, rel=1e-4, abs=1e-6), (split, name)
        assert row[f"{split}_examples"] == len(data[split].y)


def reestimated(module, x):
    """The network with the statistics of one batch that holds all inputs."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        module.train()(x)
    return module


@pytest.mark.parametrize("crop", [0, 2])
def test_every_choice_of_statistics_is_that_of_plain_torch(command, minima, tmp_path, crop):
    options = ["--data-arg", f"crop={crop}"] if crop else []
    file = minima / "bn.safetensors"
    code, out, err = command("score", "point", file, "-o", tmp_path / "p", "--batch-size", 2000, *options)
    assert code == 0 and "re-estimated from clean" not in err, err
    table = read_table(tmp_path / "p" / "point.csv", POINT)
    assert POINT.sort(table.columns) == list(table.columns) and all(map(POINT.column, table.columns))
    names = ["stored", "training", "reestimate"][: 3 if crop else 2]
    assert table["batch_norm"].tolist() == names and set(table["name"]) == {"bn"}
    assert all(f"{name} " in out for name in names) and "1437 train and 360 test examples" in out
    assert table["batch_norm_examples"].tolist() == [0, 1437, 1437][: len(names)]
    data = load_data("digits", crop=crop) if crop else load_data("digits")
    clean, moved = data["train"].x, data["train"].augment_once(1).x if crop else data["train"].x
    for name, inputs in zip(names, (None, moved, clean), strict=False):
        module = build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8))
        module.load_state_dict(load_weights(file))
        check(table.set_index("batch_norm").loc[name], module if inputs is None else reestimated(module, inputs), data)
    assert table["train_loss"].nunique() == len(names)
    assert f"{table['test_error'].iloc[0]:.4g} ± " in out


def test_a_network_without_batchnorm_has_one_row_and_examples_are_counted(command, minima, tmp_path):
    a = minima / "a.safetensors"
    code, _, err = command("score", "point", a, "-o", tmp_path / "p", "--examples", 100, "--name", "mine")
    assert code == 0, err
    table = read_table(tmp_path / "p" / "point.csv")
    assert table["batch_norm"].tolist() == ["none"] and table["name"].tolist() == ["mine"]
    assert table[["train_examples", "test_examples", "batch_norm_examples"]].to_numpy().tolist() == [[100, 100, 0]]
    module = build_model("mlp", widths=[8, 8], input_shape=(1, 8, 8))
    module.load_state_dict(load_weights(a))
    data = {name: split.subset(100, 0) for name, split in load_data("digits").items()}
    check(table.iloc[0], module, data)
    assert table["norm"].iloc[0] == pytest.approx(
        np.sqrt(sum(float(p.detach().square().sum()) for p in module.parameters()))
    )
    assert command("plot", tmp_path / "p")[0] == 0  # a point has no figure, but is a run


def test_a_curve_is_no_minimum(command, minima, tmp_path):
    a, curve = minima / "a.safetensors", tmp_path / "curve.safetensors"
    theta = torch.zeros(5)
    Bezier(theta, theta + 1, bends=1).save(curve)
    on_two = [[*word, a, curve] for word in (["score", "line"], ["connect"], ["align", "--every-pair"])]
    for word in (*on_two, ["score", "point", curve], ["curvature", "point", curve]):
        code, _, err = command(*word, "-o", tmp_path / "p")
        assert code == 2 and "holds a bezier curve; use `pathfinder score curve`" in " ".join(err.split()), err


def test_a_point_takes_no_choice_of_statistics(command, minima, tmp_path):
    code, _, err = command("score", "point", minima / "bn.safetensors", "-o", tmp_path / "p", "--batch-norm", "stored")
    assert code == 2 and "--batch-norm" in err and not (tmp_path / "p").exists()


def test_a_line_says_what_its_ends_score_with_stored_and_with_re_estimated_statistics(command, minima, tmp_path):
    files = [minima / "bn.safetensors", minima / "bn2.safetensors"]
    assert command("score", "line", *files, "--points", 3, "-o", tmp_path / "line")[0] == 0
    ends, path = (read_table(tmp_path / "line" / f"{name}.csv") for name in ("minima", "paths"))
    assert ends["name"].tolist() == ["bn-bn2-a", "bn-bn2-b"] and ends["batch_norm"].tolist() == ["training"] * 2
    assert ends["test_error_reestimated"].tolist() == pytest.approx(path["test_error"].iloc[[0, -1]].tolist())
    data = load_data("digits")
    for row, file in zip(ends.to_dict("records"), files, strict=True):
        module = build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8))
        module.load_state_dict(load_weights(file))
        own = plain(module, data["test"].x, data["test"].y)
        assert row["test_loss"] == pytest.approx(own["loss"], rel=1e-5) and row["test_error"] == own["error"]


@pytest.mark.parametrize(("again", "asks"), [(11.3, False), (12.4, True)])
def test_the_table_of_ends_asks_for_the_normalisation_where_statistics_disagree(again, asks, capsys):
    rows = {"name": ["p-a", "p-b"], "test_error": [11.25, 11.5], "test_error_reestimated": [again, 11.6]}
    images = Split(
        torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4), mean=torch.full((3,), 0.4), std=torch.ones(3)
    )
    show_ends(pd.DataFrame(rows), images)
    shown = capsys.readouterr().err
    assert "BatchNorm stored" in shown and "BatchNorm re-estimated" in shown and f"{again:.2f} %" in shown
    assert "normalisation: mean 0.400, 0.400, 0.400" in shown
    assert ("is that the one of the training?" in shown) == asks


PUBLISHED = Path(os.environ.get("PATHFINDER_DATA", "")) / "published" / "li2018-resnet56-noshort.t7"


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="needs the authors' networks in PATHFINDER_DATA")
def test_bfloat16_is_refused_for_the_authors_network_without_shortcuts(command, tmp_path):
    network = ["--model", "resnet56-noshort", "--data", "cifar10"]
    options = ["--precision", "bf16", "--workers", 1, "-o", tmp_path / "point"]
    code, _, err = command("score", "point", PUBLISHED, *network, *options)
    assert code == 2 and not (tmp_path / "point" / "point.csv").exists()
    found = re.search(r"in bfloat16 has a (train|test) error (\S+) % instead of (\S+) % in float32", err)
    assert found and float(found[2]) > float(found[3]) + 3 and "score with fp32" in err
