"""Networks that were trained under their user's own mean and deviation, by the command line."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision import transforms

from pathfinder import build_model
from pathfinder.storage import load_tensors
from pathfinder.tables.csv_files import read_table

MEAN, STD = (0.6, 0.5, 0.4), (0.1, 0.2, 0.3)  # far from the moments of these dark images
GIVEN = ["--data-arg", "mean=0.6,0.5,0.4", "--data-arg", "std=0.1,0.2,0.3"]
NETWORK = ["--model", "mlp", "--model-arg", "widths=[16]"]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Dark noisy images of four kinds, two networks that plain torch trained on them, and what torch makes of each."""
    folder = tmp_path_factory.mktemp("theirs")
    draw = np.random.default_rng(0)
    kinds, y = draw.integers(20, 90, (4, 4, 4, 3)), draw.integers(0, 4, 260)
    x = np.clip(kinds[y] + draw.normal(0, 35, (260, 4, 4, 3)), 0, 255).astype(np.uint8)
    np.savez(folder / "images.npz", x_train=x[:160], y_train=y[:160], x_test=x[160:], y_test=y[160:])
    prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    inputs, labels = torch.stack([prepare(image) for image in x]), torch.from_numpy(y)
    for seed, name in ((0, "a"), (1, "b")):
        module = build_model("mlp", seed=seed, widths=[16], num_classes=4, input_shape=[3, 4, 4])
        optimizer = torch.optim.SGD(module.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            F.cross_entropy(module(inputs[:160]), labels[:160]).backward()
            optimizer.step()
        torch.save(module.state_dict(), folder / f"{name}.pt")
    return folder


def by_torch(folder, file, split):
    """Loss and error in percent of a file of weights on a split, by plain torch and torchvision."""
    arrays = np.load(folder / "images.npz")
    prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    x, y = torch.stack([prepare(image) for image in arrays[f"x_{split}"]]), torch.from_numpy(arrays[f"y_{split}"])
    module = build_model("mlp", seed=0, widths=[16], num_classes=4, input_shape=[3, 4, 4])
    module.load_state_dict(torch.load(file))
    with torch.no_grad():
        output = module(x)
    return float(F.cross_entropy(output, y)), 100 * float((output.argmax(1) != y).double().mean())


def test_a_network_scores_the_error_that_its_user_measured(theirs, command, tmp_path):
    data = ["--data", f"npz:{theirs / 'images.npz'}"]
    line = ["score", "line", theirs / "a.pt", theirs / "b.pt", *NETWORK, *data, "--points", 3]
    code, _, err = command(*line, *GIVEN, "-o", tmp_path / "own")
    assert code == 0, err
    table = read_table(tmp_path / "own" / "paths.csv").set_index("t")
    for t, name in ((0.0, "a"), (1.0, "b")):
        for split in ("train", "test"):
            loss, error = by_torch(theirs, theirs / f"{name}.pt", split)
            assert table[f"{split}_error"][t] == pytest.approx(error, abs=1e-9) and 0 < error < 50
            assert table[f"{split}_loss"][t] == pytest.approx(loss, rel=1e-6)
    record = json.loads((tmp_path / "own" / "run.json").read_text())["data"]
    for split in ("train", "test"):
        assert record[split]["normalization"] == {"mean": pytest.approx(MEAN), "std": pytest.approx(STD)}
    code, _, err = command(*line, "-o", tmp_path / "moments")
    assert code == 0, err
    moments = read_table(tmp_path / "moments" / "paths.csv").set_index("t")
    assert (moments["test_error"] - table["test_error"]).abs().max() > 2  # the images' own moments are another story


def test_a_run_from_a_config_takes_the_same_lists(theirs, command, tmp_path):
    (tmp_path / "own.toml").write_text(
        f"[data]\nname = 'npz:{theirs / 'images.npz'}'\nmean = [0.6, 0.5, 0.4]\nstd = [0.1, 0.2, 0.3]\n"
        "[model]\nname = 'mlp'\nwidths = [16]\n[curve]\nepochs = 1\n[[curves]]\nkind = 'bezier'\n[score]\npoints = 3\n"
        f"[[pairs]]\na = {{ checkpoint = '{theirs / 'a.pt'}' }}\nb = {{ checkpoint = '{theirs / 'b.pt'}' }}\n"
    )
    code, _, err = command("run", tmp_path / "own.toml", "-o", tmp_path / "run")
    assert code == 0, err
    (curve,) = (tmp_path / "run" / "curves").iterdir()
    wanted = {"name": f"npz:{theirs / 'images.npz'}", "mean": [0.6, 0.5, 0.4], "std": [0.1, 0.2, 0.3]}
    assert load_tensors(curve)[1]["data"] == wanted
    code, _, err = command("score", "curve", curve, "--points", 3, "-o", tmp_path / "again")  # as the curve records it
    assert code == 0, err
    table = read_table(tmp_path / "again" / "paths.csv")
    own = read_table(tmp_path / "run" / "paths.csv").query("path == 'bezier'")
    assert table["test_loss"].tolist() == own["test_loss"].tolist()
    loss, error = by_torch(theirs, theirs / "a.pt", "test")
    assert table["test_error"][0] == pytest.approx(error, abs=1e-9)
    assert table["test_loss"][0] == pytest.approx(loss, rel=1e-6)


@pytest.fixture(scope="module")
def trained(theirs):
    """Networks that the command trained: two with a mean and a deviation, one with those of the data."""
    from command_line import called

    data = ["--data", f"npz:{theirs / 'images.npz'}", "--model-arg", "widths=[16]", "--set", "epochs=2"]
    for name, more in (("own-a", GIVEN), ("own-b", GIVEN), ("moments", [])):
        out = theirs / f"{name}.safetensors"
        assert called("train", "mlp", *data, *more, "--seed", len(name) + (name == "own-b"), "-o", out) == 0
    return theirs


def test_files_of_weights_remember_their_normalisation(trained, command, tmp_path):
    a, b = trained / "own-a.safetensors", trained / "own-b.safetensors"
    name = f"npz:{trained / 'images.npz'}"
    assert load_tensors(a)[1]["data"] == {"name": name, "mean": [0.6, 0.5, 0.4], "std": [0.1, 0.2, 0.3]}
    arrays = np.load(trained / "images.npz")
    pixels = arrays["x_train"].reshape(-1, 3) / 255
    moments = {"mean": pytest.approx(pixels.mean(0), rel=1e-6), "std": pytest.approx(pixels.std(0), rel=1e-6)}
    assert load_tensors(trained / "moments.safetensors")[1]["data"] == {"name": name, **moments}
    found = {}
    own = ["--data-arg", "mean=data", "--data-arg", "std=data"]
    for out, more in (("recorded", []), ("named", ["--data", name]), ("moments", own)):
        code, _, err = command("score", "line", a, b, "--points", 2, *more, "-o", tmp_path / out)
        assert code == 0, err
        found[out] = read_table(tmp_path / out / "paths.csv")["test_loss"][0]
    assert found["recorded"] == found["named"] != found["moments"]


def test_other_images_are_normalised_as_those_of_the_training(trained, command, tmp_path):
    arrays = dict(np.load(trained / "images.npz"))
    for split in ("train", "test"):
        arrays[f"x_{split}"] = 128 + arrays[f"x_{split}"] // 2  # paler
    np.savez(tmp_path / "pale.npz", **arrays)
    file, pale = trained / "moments.safetensors", ["--data", f"npz:{tmp_path / 'pale.npz'}"]
    code, _, err = command("score", "line", file, file, *pale, "--points", 2, "-o", tmp_path / "line")
    assert code == 0, err
    record = json.loads((tmp_path / "line" / "run.json").read_text())["data"]
    assert record["test"]["normalization"]["mean"] == load_tensors(file)[1]["data"]["mean"]
    other = tmp_path / "other.safetensors"
    code, _, err = command("train", "mlp", *pale, "--model-arg", "widths=[16]", "--set", "epochs=1", "-o", other)
    assert code == 0, err
    code, _, err = command("score", "line", file, other, "-o", tmp_path / "both")
    assert code == 2 and f"{other} was trained with mean" in err and "say which" in err


@pytest.mark.parametrize("word", ["line", "connect", "align", "every pair"])
def test_networks_of_two_normalisations_need_a_word(word, trained, command, tmp_path):
    own, moments = trained / "own-a.safetensors", trained / "moments.safetensors"
    words = {"line": ["score", "line"], "connect": ["connect"], "align": ["align"]}.get(word, ["align", "--every-pair"])
    out = tmp_path / ("out.safetensors" if word == "align" else "out")
    for pair in ([own, moments], [moments, own]):
        code, _, err = command(*words, *pair, "-o", out)
        assert code == 2 and not out.exists()
        assert "was trained with" in err and "mean 0.6,0.5,0.4 and std 0.1,0.2,0.3" in err and "--data-arg" in err
    if word == "line":
        code, _, err = command(*words, own, moments, *GIVEN, "--points", 2, "-o", out)
        assert code == 0, err


def test_a_config_that_says_nothing_is_not_used_with_a_file_that_does(trained, command, tmp_path):
    ends = [f"{{ checkpoint = '{trained / name}.safetensors' }}" for name in ("own-a", "own-b")]
    config = (
        f"[data]\nname = 'npz:{trained / 'images.npz'}'\n[curve]\nepochs = 1\n[[curves]]\nkind = 'bezier'\n"
        f"[score]\npoints = 3\n[[pairs]]\na = {ends[0]}\nb = {ends[1]}\n"
    )
    (tmp_path / "silent.toml").write_text(config)
    code, _, err = command("run", tmp_path / "silent.toml", "-o", tmp_path / "run")
    assert code == 2 and "own-a.safetensors was trained with mean 0.6,0.5,0.4" in err and "data.mean" in err
    assert not (tmp_path / "run").exists()
