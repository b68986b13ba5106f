"""What only a machine with an accelerator can show: `pytest -m gpu`. Elsewhere every test here is skipped."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, Frozen, data, network

from pathfinder import Bezier, Evaluator, Line, Plane, Split, WeightSpace, build_model, fit_curve, fit_minimum
from pathfinder.compute import reproducible
from pathfinder.data.stream import Stream
from pathfinder.landscape.hessian import Hessian
from pathfinder.storage import StageFile, load_tensors
from pathfinder.symmetry.matching import match_activations, match_weights
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.structure import Structure

HERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
X, Y = data(50)
SPLIT = Split(X, Y, classes=3)
RECIPE = {"epochs": 2, "batch_size": 16, "lr": 0.01}
NAMES = ["mlp", "batchnorm", "groupnorm", "tied", "unused-frozen-integer-buffer", "lstm", "transformer"]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.parametrize(
        "device",
        [pytest.param(n, marks=pytest.mark.skipif(not there, reason=f"no {n} here")) for n, there in HERE.items()],
    ),
]


@pytest.fixture(autouse=True)
def _whole_float32(monkeypatch):
    """Convolutions in float32, not TF32: results are compared with the CPU's."""
    if HERE["cuda"]:
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def generator(device: str) -> torch.Tensor:
    return (torch.cuda if device == "cuda" else torch.mps).get_rng_state()


def places(module: torch.nn.Module) -> set[str]:
    return {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]}


def ends(name: str) -> tuple[WeightSpace, torch.Tensor, torch.Tensor]:
    space = WeightSpace(network(name))
    return space, space.vector(space.network), space.vector(network(name, 1))


@pytest.mark.parametrize("name", NAMES)
def test_fits_follow_those_of_the_cpu_and_come_back(device, name):
    modules = [network(name).eval() for _ in range(2)]
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0  # other devices draw other numbers
    before, own = torch.get_rng_state(), generator(device)
    histories = [fit_minimum(m, SPLIT, device=d, **RECIPE) for m, d in zip(modules, ("cpu", device), strict=True)]
    assert places(modules[1]) == {"cpu"} and not any(layer.training for layer in modules[1].modules())
    assert torch.equal(torch.get_rng_state(), before) and torch.equal(generator(device), own)
    assert np.allclose(histories[0]["train_loss"], histories[1]["train_loss"], rtol=0.05)

    space, a, b = ends(name)
    frozen, curves = Frozen.of(space.network), [Bezier(a, b) for _ in range(2)]
    histories = [fit_curve(c, space, SPLIT, device=d, **RECIPE) for c, d in zip(curves, ("cpu", device), strict=True)]
    frozen.check(space.network)
    assert places(curves[1]) == {"cpu"} and torch.equal(curves[1].start, a)
    if name not in ("batchnorm", "groupnorm", "transformer"):  # these have Dropout
        assert np.allclose(histories[0]["train_loss"], histories[1]["train_loss"], rtol=0.05)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_fits_give_the_same_bytes_and_an_interrupted_one_goes_on(device, precision, tmp_path):
    class Killed(Exception):
        pass

    def kill(done, total):
        if done == 7:
            raise Killed

    def build(seed):
        return build_model("preresnet", depth=11, input_shape=(1, 8, 8), num_classes=3, dropout=0.2, seed=seed)

    images = Split(torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8), Y, 3, *torch.full((2, 1), 0.4))
    images = images.augmented(crop=2, flip=True)

    def fit(module, **options):
        with reproducible():
            return fit_minimum(module, images, device=device, precision=precision, **RECIPE, **options)

    first, second, third = build(0), build(0), build(9)
    wanted = fit(first)
    assert fit(second).equals(wanted)
    stage = StageFile(tmp_path / "fit.pt", "key", every=0.0)
    with pytest.raises(Killed):
        fit(build(0), progress=kill, stage=stage)
    assert fit(third, stage=stage).equals(wanted)
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor) and torch.equal(third.state_dict()[name], tensor), name


@pytest.mark.parametrize("name", NAMES)
def test_scores_and_curvature_follow_those_of_the_cpu_and_move_nothing(device, name):
    space, a, b = ends(name)
    bend = (a + b) / 2 + 0.1
    curve, plane = Bezier(a, b, bends=bend[None]), Plane.through(a, bend, b)
    frozen = Frozen.of(space.network)
    for geometry, t in ((Line(a, b), torch.linspace(0, 1, 5)), (curve, curve.grid(5)), (plane, plane.grid(3))):
        tables = [Evaluator(space, {"train": SPLIT}, device=d).score(geometry, t).table for d in ("cpu", device)]
        assert np.allclose(*(table["train_loss"] for table in tables), rtol=1e-3)
        same = [column for column in tables[0] if column in ("t", "x", "y", "norm", "arc_length")]
        assert tables[0][same].equals(tables[1][same])
        assert places(geometry) == {"cpu"}
    evaluator = Evaluator(space, {"train": SPLIT}, device=device)
    whole = evaluator.score(curve, 5).table["train_loss"]
    alone = [evaluator.score(curve, curve.grid(5)[i : i + 1]).table["train_loss"][0] for i in range(5)]
    assert whole.tolist() == alone
    products = [Hessian(space, a, SPLIT, device=d).product(b) for d in ("cpu", device)]
    assert torch.allclose(products[0], products[1].cpu(), rtol=1e-2, atol=1e-3)
    frozen.check(space.network)


def test_extremes_follow_those_of_the_cpu(device):
    space, a, _ = ends("mlp")
    found = [Hessian(space, a, SPLIT, device=d).extremes(1e-2) for d in ("cpu", device)]
    assert found[1].highest == pytest.approx(found[0].highest, rel=0.03) and found[1].converged


def test_repair_streams_and_subsets_run_there(device):
    space, a, b = ends("mlp")
    repair = Repair(space.network, Structure.of(space.network, X[:2]))
    batches = list(zip(X.split(16), Y.split(16), strict=True))
    for options in ({"repair": repair}, {"examples": 20}):
        tables = [
            Evaluator(space, {"train": SPLIT}, device=d, **options).score(Line(a, b), 3).table for d in ("cpu", device)
        ]
        assert np.allclose(tables[0]["train_loss"], tables[1]["train_loss"], rtol=1e-3)
    for source in (batches, [(x.to(device), y.to(device)) for x, y in batches]):
        streamed = Evaluator(space, {"train": Stream(source)}, device=device).score(Line(a, b), 3).table
        whole = Evaluator(space, {"train": SPLIT}, device="cpu").score(Line(a, b), 3).table
        assert np.allclose(streamed["train_loss"], whole["train_loss"], rtol=1e-3)
    assert SPLIT.to(device) is SPLIT.to(device)


def test_units_are_matched_where_the_weights_lie(device):
    space, a, b = ends("mlp")
    structure = Structure.of(space.network, X[:2])
    structure.prove(space.network, X[:2])
    for match in (
        lambda d: match_weights(space, a.to(d), b.to(d), structure=structure),
        lambda d: match_activations(space, a.to(d), b.to(d), X.to(d), structure=structure),
    ):
        found = [match(d) for d in ("cpu", device)]
        assert all(torch.equal(p, q) for p, q in zip(*(f.permutations for f in found), strict=True))
        assert torch.equal(found[1].vector.cpu(), found[0].vector)


def test_an_epoch_of_a_fit_waits_a_few_times(device):
    if device != "cuda":
        pytest.skip("only CUDA tells when it waits")
    batches, module = Split(*data(126), classes=3), network("mlp")  # 21 steps
    fit_minimum(module, batches, device=device, epochs=1, batch_size=6)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit_minimum(module, batches, device=device, epochs=2, batch_size=6)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = sum("synchronizing" in str(warning.message) for warning in caught)
    moved = 2 * len(module.state_dict())  # there and back
    assert waits - moved < 42  # fewer than steps


def ran(*arguments) -> str:
    done = subprocess.run([sys.executable, "-m", "pathfinder", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.csv")}


def test_the_commands_run_there_twice_with_the_same_bytes(device, tmp_path):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    runs = [tmp_path / name for name in ("first", "second")]
    for run in runs:
        ran("run", config, "-o", run, "--device", device)
    assert tables(runs[0]) == tables(runs[1]) and tables(runs[0])
    curve = next((runs[0] / "curves").glob("*.safetensors"))
    ran("score", "plane", curve, "-o", tmp_path / "plane", "--points", 3, "--device", device)
    markers = pd.read_csv(tmp_path / "plane" / "plane_markers.csv")
    assert len(markers) >= 3 and markers["distance"].abs().max() < 1e-3
    ran("export", curve, "--t", 0.5, "-o", tmp_path / "middle.safetensors", "--device", device)
    minima = sorted((runs[0] / "minima").glob("*.safetensors"))
    ran("score", "line", *minima, "-o", tmp_path / "line", "--points", 3, "--device", device)
    ran("score", "surface", minima[0], "-o", tmp_path / "surface", "--points", 3, "--device", device)
    ran("curvature", "point", minima[0], "-o", tmp_path / "point", "--examples", 100, "--device", device)
    trained = [tmp_path / f"{name}.safetensors" for name in ("a", "b")]
    for file in trained:
        ran("train", "convnet-bn", "--data", "digits", "-o", file, "--set", "epochs=1", "--device", device)
    first, second = (load_tensors(file)[0] for file in trained)
    assert all(torch.equal(first[name], second[name]) for name in first)
    ran("connect", *minima, "-o", tmp_path / "pair", "--planes", "--points", 5, "--grid-points", 3, "--set", "epochs=1",
        "--device", device)  # fmt: skip
