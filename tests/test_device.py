"""Laws of devices: nothing handed in is moved, nothing global is touched, nothing is sent twice or in float64.

They are shown on a pretended accelerator, see accelerator.py; the tests of test_gpu.py need a real one.
"""

import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerator import NAME, Accelerator
from helpers import CURVES, NETWORKS, Bowl, Frozen, bowl_loss, data, network
from torch import nn
from typer.testing import CliRunner

from pathfinder import (
    Bezier,
    Curve,
    Evaluator,
    Geometry,
    Line,
    PathfinderError,
    Plane,
    PolyChain,
    Split,
    WeightSpace,
    build_model,
    fit_curve,
    fit_minimum,
    hessian_extremes,
    principal_directions,
    random_directions,
    summarize,
)
from pathfinder.cli.app import app
from pathfinder.compute import (
    all_finite,
    compute_settings,
    find_device,
    lend,
    on_device,
    own_draws,
    plain_kernels,
    reproducible,
    with_index,
)
from pathfinder.data.batching import _sum_bytes
from pathfinder.data.stream import Stream
from pathfinder.experiment.provenance import provenance
from pathfinder.experiment.starts import start_repaired
from pathfinder.geometry.inner import length
from pathfinder.geometry.planes import Ray
from pathfinder.landscape.curvature import curvature_table
from pathfinder.landscape.hessian import Hessian
from pathfinder.scoring import Interpolate, Reestimate, Stored
from pathfinder.symmetry.matching import match_activations, match_weights
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.structure import Structure

X, Y = data(50)
SPLIT = Split(X, Y, classes=3)
RECIPE = {"epochs": 2, "batch_size": 16, "lr": 0.01}


class Untouched:
    """What must be found again, in the same tensors, after a call: places, values, flags."""

    def __init__(self, *handed: nn.Module | torch.Tensor) -> None:
        modules = [thing for thing in handed if isinstance(thing, nn.Module)]
        self.before = [(module, Frozen.of(module), self._tensors(module)) for module in modules]
        tensors = [thing for thing in handed if isinstance(thing, torch.Tensor)]
        self.tensors = [(tensor, tensor.clone(), tensor.device, tensor.requires_grad) for tensor in tensors]

    def check(self) -> None:
        """Assert that nothing has changed and nothing has moved."""
        for module, frozen, tensors in self.before:
            frozen.check(module)
            assert self._tensors(module) == tensors
        for tensor, values, device, requires_grad in self.tensors:
            assert torch.equal(tensor, values) and tensor.grad is None
            assert (tensor.device, tensor.requires_grad) == (device, requires_grad)

    @staticmethod
    def _tensors(module: nn.Module) -> dict[str, tuple[int, torch.device, bool]]:
        named = [*module.named_parameters(), *module.named_buffers()]
        return {name: (id(t), t.device, t.requires_grad) for name, t in named}


def ends(name: str) -> tuple[WeightSpace, torch.Tensor, torch.Tensor]:
    space = WeightSpace(network(name))
    return space, space.vector(space.network), space.vector(network(name, 1))


def geometries(a: torch.Tensor, b: torch.Tensor) -> dict[str, Geometry]:
    bend = (a + b) / 2 + 0.1
    return {
        "line": Line(a, b),
        "polychain": PolyChain(a, b, bends=bend[None]),
        "bezier": Bezier(a, b, bends=bend[None], fixed_ends=False),
        "plane": Plane.through(a, bend, b),
        "ray": Ray(a, b),
    }


def grid(geometry: Geometry) -> torch.Tensor:
    return geometry.grid(2, span=1.0) if isinstance(geometry, Ray) else geometry.grid(2)


@pytest.mark.parametrize("name", NETWORKS)
def test_scoring_and_curvature_change_and_move_nothing(name, accelerator):
    space, a, b = ends(name)
    for geometry in geometries(a, b).values():
        untouched = Untouched(geometry, space.network)
        with accelerator:
            table = Evaluator(space, {"train": SPLIT}, device=NAME).score(geometry, grid(geometry)).table
        assert len(table) == len(grid(geometry)) and table.notna().all(axis=None)
        untouched.check()
    untouched, theta = Untouched(space.network), a.clone()
    with accelerator:
        evaluator = Evaluator(space, {"train": SPLIT}, device=NAME)
        evaluator.at(a, space.statistics(space.network))
        if evaluator.reestimates:
            evaluator.reestimate(a)
        if name != "mixed-dtypes":
            found = Hessian(space, a, SPLIT, device=NAME).product(b)
            assert found.dtype == torch.float64 and not found.is_meta
    untouched.check()
    assert torch.equal(a, theta) and not a.is_meta


def _public_calls(module: nn.Module, other: nn.Module, data: Split) -> Iterator[tuple]:
    """Make every public call but the fits; before each group, yield what it is given."""
    space = WeightSpace(module)
    a, b = space.vector(module), space.vector(other)
    own = (space.statistics(module), space.statistics(other)) if space.has_statistics else None
    yield module, other, a, b, data.x, data.y, *(own or ())
    space.call(a, data.x), space.module(a, own and own[0]), space.state_dict(b), space.split(a), space.fixed()
    bend = (a + b) / 2 + 0.1 * a
    for geometry in (Line(a, b), PolyChain(a, b), Bezier(a, b, bend[None], fixed_ends=False), Ray(a, b)):
        yield geometry, module, a, b, bend
        geometry(torch.tensor([0.5])), geometry.norm(torch.tensor([0.5])), geometry.grid(3)
        Evaluator(space, {"train": data}).score(geometry, torch.tensor([0.25]))
        if isinstance(geometry, Curve):
            geometry.length()
            summarize({"path": Evaluator(space, {"train": data}).score(geometry, 3)})
    plane = Plane.through(a, bend, b)
    yield plane, module, a, b, bend
    Plane.around(a, b, bend), plane.locate([bend])
    Evaluator(space, {"train": data}).score(plane, 2)
    evaluator = Evaluator(space, {"train": data, "streamed": [(data.x, data.y)]})
    evaluator.at(a), evaluator.at(a, own and own[1])
    if space.has_statistics:
        evaluator.reestimate(b)
        for policy in (Reestimate(data, 20), Reestimate(data, 20, augmented=True), Interpolate(*own)):
            Evaluator(space, {"train": data}, batch_norm=policy).score(Line(a, b), 2)
        Evaluator(space, {"train": data}, batch_norm=Stored()).score(Plane.around(a, b, bend), [[0.0, 0.5]])
    yield module, other, a, b, data.x, *(own or ())
    random_directions(space, a), principal_directions([a, b, bend])
    Hessian(space, a, data, statistics=own and own[0]).trace(samples=2)
    hessian_extremes(space, a, data, most=30)
    yield module, other, a, b, data.x, *(own or ())
    structure = Structure.of(module, data.x)
    structure.prove(module, data.x)
    match_weights(space, a, b, inputs=data.x, statistics=own and own[1], orders=1)
    match_activations(space, a, b, data.x, statistics=own)
    if not space.has_statistics:
        Evaluator(space, {"train": data}, repair=Repair(module, structure)).score(Line(a, b), 2)


@pytest.mark.parametrize("name", ["mlp", "batchnorm", "dropout", "groupnorm"])
def test_public_calls_leave_all_that_they_are_given_as_it_was(name):
    module, other = network(name), network(name, 1)
    for layer in list(module.modules())[::2]:
        layer.training = False
    untouched = Untouched(module, other, X, Y)
    before = None
    for given in _public_calls(module, other, SPLIT):
        if before is not None:
            before.check()
        before = Untouched(*given)
    before.check()
    untouched.check()


def test_other_ways_of_scoring_run_there_too(accelerator):
    space, a, b = ends("batchnorm")
    own = [space.statistics(space.network)] * 2
    images = Split(torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8), Y[:20], 3, *torch.full((2, 1), 0.4))
    module = build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8), num_classes=3, seed=0)
    images, crops = images.augmented(crop=2, flip=True), WeightSpace(module)
    plain = WeightSpace(network("mlp"))
    theta, other = plain.vector(plain.network), plain.vector(network("mlp", 1))
    repair = Repair(plain.network, Structure.of(plain.network, X[:2]))
    with accelerator:
        Evaluator(space, {"train": SPLIT}, batch_norm="interpolate", statistics=own, device=NAME).score(Line(a, b), 2)
        Evaluator(crops, {"train": images}, batch_norm="augmented", device=NAME).at(crops.vector(module))
        Evaluator(plain, {"train": SPLIT}, repair=repair, device=NAME).score(Line(theta, other), 2)
        start_repaired(Bezier(theta, other), Evaluator(plain, {"train": SPLIT}, repair=repair, device=NAME))
        stream = [(X[:20], Y[:20]), (X[20:], Y[20:])]
        Evaluator(plain, {"train": stream}, device=NAME).score(Line(theta, other), 2)
        curvature_table(plain, Line(theta, other), torch.tensor([0.5]), SPLIT, samples=2, device=NAME)


def test_units_are_matched_where_the_weights_lie(accelerator):
    space, a, b = ends("mlp")
    structure = Structure.of(space.network, X[:2])
    structure.prove(space.network, X[:2])
    with accelerator:
        for found in (
            match_weights(space, a.to(NAME), b.to(NAME), structure=structure, orders=1),
            match_activations(space, a.to(NAME), b.to(NAME), X.to(NAME), structure=structure),
        ):
            assert found.vector.is_meta and len(found.permutations) == 1


@pytest.mark.parametrize("name", ["mlp", "batchnorm", "lstm", "unused-frozen-integer-buffer"])
@pytest.mark.parametrize("stopped", [False, True])
def test_what_is_fitted_comes_back_even_after_an_error(name, stopped, accelerator):
    space, a, b = ends(name)
    curve, module = Bezier(a, b), network(name).eval()
    flags = [parameter.requires_grad for parameter in module.parameters()]
    untouched = Untouched(space.network)

    class Stop(Exception):
        pass

    def progress(done, total):
        if stopped and done == 3:
            raise Stop

    with accelerator, suppress(Stop):
        fit_curve(curve, space, SPLIT, device=NAME, progress=progress, **RECIPE)
    with accelerator, suppress(Stop):
        fit_minimum(module, SPLIT, device=NAME, progress=progress, **RECIPE)
    untouched.check()
    for fitted in (curve, module):
        tensors = [*fitted.parameters(), *fitted.buffers()]
        assert not any(tensor.is_meta or tensor.grad is not None for tensor in tensors)
    assert not any(layer.training for layer in module.modules())
    assert [parameter.requires_grad for parameter in module.parameters()] == flags


def test_a_module_over_several_devices_is_put_together_as_it_was():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    module[0].to("meta")
    state = {name: tensor.clone() for name, tensor in module[1].state_dict().items()}
    with suppress(NotImplementedError), lend(module, torch.device("cpu")):  # meta tensors hold nothing to bring
        pytest.fail("a module that cannot be moved was lent")
    assert all(tensor.is_meta for tensor in module[0].state_dict().values())
    assert all(torch.equal(tensor, state[name]) for name, tensor in module[1].state_dict().items())


def test_a_geometry_is_copied_only_to_another_device(accelerator):
    for make in CURVES.values():
        curve = make().float()
        assert on_device(curve, torch.device("cpu")) is curve
        with accelerator:
            twin = on_device(curve, torch.device(NAME))
        assert type(twin) is type(curve) and all(row.is_meta for row in twin.rows())
        assert [p.requires_grad for p in twin.parameters()] == [p.requires_grad for p in curve.parameters()]


def test_float64_is_refused_in_one_line_where_there_is_none(accelerator):
    module = network("mlp").double()
    space, wide = WeightSpace(module), Split(X.double(), Y, classes=3)
    theta = space.vector(module)
    narrow, a, b = ends("mlp")
    for call in (
        lambda: Evaluator(space, {"train": wide}, device=NAME),
        lambda: Hessian(space, theta, wide, device=NAME),
        lambda: fit_minimum(module, wide, device=NAME),
        lambda: fit_curve(Bezier(theta, theta), space, wide, device=NAME),
        lambda: Evaluator(narrow, {"train": wide}, device=NAME),
        lambda: Evaluator(narrow, {"train": [(X.double(), Y)]}, device=NAME).score(Line(a, b), 2),
        lambda: fit_minimum(network("mlp"), wide, device=NAME),
    ):
        with accelerator, pytest.raises(PathfinderError, match="must not be float64 on `meta`") as raised:
            call()
        assert "\n" not in str(raised.value)
    assert all(parameter.device.type == "cpu" for parameter in module.parameters())


def _waited(accelerator: Accelerator, fit) -> list[int]:
    """How often each step of a fit waited for the accelerator."""
    seen = []

    def progress(done, total):
        seen.append(accelerator.waits)

    with accelerator:
        fit(progress)
    return [after - before for before, after in pairwise(seen)]


@pytest.mark.parametrize("micro", [None, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_fit_waits_once_every_ten_steps(optimizer, micro, accelerator):
    space, a, b = ends("batchnorm")
    settings = {"epochs": 1, "batch_size": 6, "micro_batch_size": micro, "optimizer": optimizer, "device": NAME}
    batches = Split(*data(126), classes=3)  # 21 steps
    for fit in (
        lambda progress: fit_minimum(network("batchnorm"), batches, progress=progress, **settings),
        lambda progress: fit_curve(Bezier(a, b), space, batches, progress=progress, **settings),
    ):
        waits = _waited(accelerator, fit)
        assert len(waits) == 21
        assert [i for i, count in enumerate(waits) if count] == [0, 10, 20] and max(waits) == 1


def test_a_curves_steps_send_nothing_but_the_data_once(accelerator):
    space, a, b = ends("mlp")
    seen = []
    with accelerator:
        fit_curve(
            Bezier(a, b), space, SPLIT, device=NAME, progress=lambda *_: seen.append(len(accelerator.sent)), **RECIPE
        )
    first, second = seen[1:5], seen[5:9]  # steps of the two epochs
    assert len(set(first)) == 1 and len(set(second)) == 1
    assert second[0] - first[0] == 2  # the times and the order of the second epoch


def test_frozen_tensors_and_data_are_sent_once(accelerator):
    module = nn.Sequential(nn.Linear(6, 71), nn.BatchNorm1d(71), nn.ReLU(), nn.Linear(71, 3))
    module[0].requires_grad_(False)
    space, split = WeightSpace(module), Split(*data(53), classes=3)
    a = space.vector(module)
    with accelerator:
        for points in (2, 6):
            Evaluator(space, {"train": split, "again": split}, device=NAME).score(Line(a, a + 1), points)
            space.call(a.to(NAME), split.to(NAME).x)
        fit_curve(Bezier(a, a + 1), space, split, device=NAME, **RECIPE)
    assert accelerator.sent.count((71, 6)) == 1 and accelerator.sent.count((53, 6)) == 1
    assert split.to(NAME) is split.to(NAME) and split.to("cpu") is split


def test_buffers_that_a_forward_pass_writes_into_are_fresh():
    space = WeightSpace(network("unused-frozen-integer-buffer"))
    first, second = space.fixed(), space.fixed()
    space.call(space.vector(space.network), X, first)
    assert first["calls"] == 1 and second["calls"] == 0 and space.fixed()["calls"] == 0
    assert first["frozen.weight"].data_ptr() == second["frozen.weight"].data_ptr()


def test_a_frozen_tensor_that_differs_is_found_without_moving_it(accelerator):
    space = WeightSpace(network("unused-frozen-integer-buffer"))
    other = network("unused-frozen-integer-buffer")
    with torch.no_grad():
        other.frozen.weight.add_(1)
    with pytest.raises(PathfinderError, match="differ in `frozen.weight`"):
        space.vector(other)


def test_products_leave_the_users_choice_of_cudnn(monkeypatch):
    cudnn, module = torch.backends.cudnn, network("lstm")
    monkeypatch.setattr(cudnn, "deterministic", True)
    monkeypatch.setattr(cudnn, "benchmark", True)
    monkeypatch.setattr(cudnn, "allow_tf32", False)
    for asked, inside in ((module, False), (network("mlp"), True)):
        with plain_kernels(asked):
            assert cudnn.enabled is inside
            assert (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32) == (True, True, False)
        assert cudnn.enabled
    with suppress(ZeroDivisionError), plain_kernels(module):
        raise ZeroDivisionError
    assert cudnn.enabled


def test_draws_of_ones_own_touch_no_other_device(monkeypatch):
    module = network("dropout")

    def refused(*_, **__):
        raise AssertionError("a device was touched that does not compute")

    for name in ("manual_seed", "manual_seed_all", "get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, refused)
    before, numpy_before, python_before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    with own_draws() as draw:
        draw(3)
        first, others = torch.rand(3), (np.random.rand(), random.random())
        draw(3)
        assert (np.random.rand(), random.random()) == others
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before[1]) and random.getstate() == python_before
    assert torch.equal(first, torch.rand(3, generator=torch.Generator().manual_seed(3)))
    build_model("mlp", input_shape=(6,), num_classes=3, seed=0)
    fit_minimum(module, SPLIT, **RECIPE)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_generator_of_an_mps_device_is_put_back(monkeypatch):
    state = [torch.tensor([7])]
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: state[0])
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda given: state.__setitem__(0, given))
    monkeypatch.setattr(torch.mps, "manual_seed", lambda seed: state.__setitem__(0, torch.tensor([seed])))
    with suppress(ZeroDivisionError), own_draws("mps") as draw:
        draw(3)
        assert state[0] == 3
        raise ZeroDivisionError
    assert state[0] == 7


def test_cuda_is_the_current_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert with_index("cuda") == find_device("cuda") == torch.device("cuda:1")
    assert find_device("cuda:0") == torch.device("cuda:0") and find_device("cpu") == torch.device("cpu")
    with pytest.raises(PathfinderError, match="device `cuda:2` is not available here; the last is cuda:1"):
        find_device("cuda:2")


def test_norms_and_checks_go_in_blocks():
    draw = torch.Generator().manual_seed(0)
    tensors = [torch.randn(1200, 1000, generator=draw), torch.randn(3, generator=draw), torch.zeros(0)]
    wanted = float(sum(tensor.double().square().sum() for tensor in tensors) ** 0.5)
    assert length(tensors) == pytest.approx(wanted, rel=1e-12) and length([]) == 0.0
    assert all_finite(tensors) and all_finite([]) and all_finite([torch.tensor([1])])
    for wrong in (float("nan"), float("inf"), -float("inf")):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            assert not all_finite([*tensors, torch.tensor([0.0, wrong], dtype=dtype)])


def test_the_checksum_of_an_accelerator_sees_bytes_and_their_order():
    own = torch.arange(256).repeat(40).to(torch.uint8)
    swapped, other = own.clone(), own.clone()
    swapped[[3, 77]] = swapped[[77, 3]]
    other[9] += 1
    sums = [bytes(_sum_bytes(tensor).numpy()) for tensor in (own, swapped, other)]
    assert len(set(sums)) == 3 and bytes(_sum_bytes(own.clone()).numpy()) == sums[0]


def test_a_stream_that_lies_there_is_compared_there(accelerator):
    batches = [(X.to(NAME), Y.to(NAME))]
    with accelerator:
        stream = Stream(batches, device=NAME)
        list(stream.batches())
        accelerator.sent.clear()
        waited = accelerator.waits
        list(stream.batches())
    assert accelerator.sent == [] and accelerator.waits - waited == 2  # eight bytes of each tensor


class _Seen(Exception):
    pass


COMMANDS = {
    "train": ["train", "mlp", "--data", "digits", "-o", "a.safetensors"],
    "score": ["score", "line", "a", "b", "-o", "out"],
    "curvature": ["curvature", "point", "a", "-o", "out"],
    "export": ["export", "curve", "--t", "0.5", "-o", "a.safetensors"],
    "align": ["align", "a", "b", "-o", "c.safetensors"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_deterministic_and_puts_the_settings_back(command, monkeypatch):
    seen = []

    def look(*_, **__):
        seen.append(compute_settings())
        raise _Seen

    first = "train_job.weights_file" if command == "train" else "inputs.read_checkpoint"
    monkeypatch.setattr(f"pathfinder.cli.{first}", look)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = compute_settings()
    result = CliRunner().invoke(app, COMMANDS[command])
    assert isinstance(result.exception, _Seen), result.output
    assert seen[0]["deterministic_algorithms"] == "warn" and seen[0]["cublas_workspace"] == ":4096:8"
    assert not seen[0]["cudnn"]["benchmark"]
    assert compute_settings() == before and before["deterministic_algorithms"] == "off"


def test_what_the_user_chose_stays_and_is_recorded(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    torch.use_deterministic_algorithms(True)
    try:
        with reproducible():
            pass
        assert compute_settings()["deterministic_algorithms"] == "on"
    finally:
        torch.use_deterministic_algorithms(False)
    made = provenance("cpu")["compute"]
    assert made == compute_settings() and made["cublas_workspace"] == ":16:8"
    assert made["tf32"] == {"matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32}


def test_python_calls_switch_nothing_on():
    seen = []

    def loss(output, target):
        seen.append(compute_settings())
        return bowl_loss(output, target)

    before = compute_settings()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_minimum(Bowl(), (X, torch.zeros(50)), loss=loss, **RECIPE)
        space = WeightSpace(Bowl())
        Evaluator(space, {"train": (X, torch.zeros(50))}, loss=loss).at(torch.ones(3))
    assert seen and all(settings == before for settings in seen)


_PEAK = """
import sys, torch
from torch import nn
from pathfinder import Bezier, WeightSpace, fit_curve, fit_minimum

class Quiet(Bezier):  # what its norm takes is another test's
    def norm(self, t):
        return torch.ones(1)

def status(key):
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) / 1024

torch.manual_seed(0)
hidden = [layer for _ in range(3) for layer in (nn.ReLU(), nn.Linear(1500, 1500))]
module = nn.Sequential(nn.Linear(16, 1500), *hidden, nn.ReLU(), nn.Linear(1500, 3))
data = torch.randn(48, 16), torch.randint(0, 3, (48,))  # 12 steps: weights are kept in the first and the eleventh

def fit(module, kind):
    recipe = {"epochs": 1, "batch_size": 4, "lr": 0.001}
    if kind == "minimum":
        return lambda: fit_minimum(module, data, **recipe)
    space = WeightSpace(module)
    curve = Quiet(space.vector(module), space.vector(module) + 1e-3)
    return lambda: fit_curve(curve, space, data, **recipe)

fit(nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)), sys.argv[1])()
work = fit(module, sys.argv[1])
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
work()
print((status("VmHWM") - before) / (sum(p.numel() for p in module.parameters()) * 4 / 2**20))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize(("kind", "needed"), [("minimum", 3), ("curve", 5)])
def test_fits_take_few_copies_of_the_weights(kind, needed, monkeypatch):
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")  # glibc's own moves, and then keeps what was freed
    done = subprocess.run([sys.executable, "-c", _PEAK, kind], capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < 1.5 * needed


def test_curves_know_what_is_free():
    curve: Curve = Bezier(*torch.randn(2, 5))
    before = curve.start.clone()
    with pytest.raises(PathfinderError, match="training diverged"):
        fit_curve(
            curve, WeightSpace(nn.Linear(4, 1)), (torch.randn(9, 4), torch.zeros(9)), epochs=9, lr=1e30,
            loss=lambda output, target: output[:, 0] ** 2 - target, schedule="constant",
        )  # fmt: skip
    assert curve.bends.isfinite().all() and torch.equal(curve.start, before)
