import numpy as np
import pytest
import torch
from helpers import NETWORKS, Frozen, bowl_loss, data, network
from torch import nn

from pathfinder import PathfinderError, Ray, WeightSpace
from pathfinder.compute import evaluation_mode
from pathfinder.landscape.curvature import curvature_table
from pathfinder.landscape.hessian import Hessian, hessian_extremes
from pathfinder.scoring.losses import cross_entropy

X, Y = data(40)


class Quadratic(nn.Module):
    """A network whose output is theta' A theta / 2 for each example."""

    def __init__(self, matrix):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(len(matrix), dtype=torch.float64))
        self.register_buffer("matrix", torch.as_tensor(matrix, dtype=torch.float64))

    def forward(self, x):
        return (self.theta @ self.matrix @ self.theta / 2).expand(len(x))


def quadratic(matrix):
    space = WeightSpace(Quadratic(matrix))
    return Hessian(space, torch.randn(len(matrix), dtype=torch.float64), (X, Y), loss=bowl_loss)


def rotated(values, seed=0):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))[0]
    return Q @ np.diag(values) @ Q.T


def dense(space, theta):
    """The whole Hessian by autograd."""

    def loss(theta):
        return cross_entropy(space.call(theta, X.to(theta.dtype)), Y).mean()

    with evaluation_mode(space.network):
        return torch.autograd.functional.hessian(loss, theta).detach().numpy()


@pytest.mark.parametrize(
    "values",
    [[-5, 1, 2], [1, 2, 3], [-3, -2, -1], [0, 0, 1], np.linspace(-0.05, 5, 60), np.r_[-5, np.linspace(-1, 2, 80)]],
    ids=["negative end larger", "positive", "negative", "flat", "small lowest end", "large lowest end"],
)
def test_both_ends_of_a_known_spectrum(values):
    hessian = quadratic(rotated(np.asarray(values, dtype=float)))
    found = hessian.extremes(tolerance=1e-4)
    assert found.converged and found.products == hessian.products
    assert found.lowest == pytest.approx(min(values), rel=1e-3, abs=1e-9)
    assert found.highest == pytest.approx(max(values), rel=1e-3, abs=1e-9)
    assert found.ratio == pytest.approx(abs(min(values) / max(values)), rel=1e-3, abs=1e-9)


def test_the_trace_is_within_its_standard_errors():
    exact = quadratic(np.diag([-5.0, 1.0, 2.0])).trace(8)
    assert exact.value == pytest.approx(-2) and exact.standard_error < 1e-9
    for seed in range(5):
        matrix = rotated(np.linspace(-1, 4, 40), seed)
        found = quadratic(matrix).trace(64, seed)
        assert abs(found.value - np.trace(matrix)) < 3 * found.standard_error < 0.5 * np.trace(matrix)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "mixed-dtypes"])
def test_every_network_agrees_with_its_dense_hessian(name):
    module = network(name).double()
    space = WeightSpace(module)
    theta, before = space.vector(module), Frozen.of(module)
    batch = 40 if name == "batchnorm-without-running" else 16
    hessian = Hessian(space, theta, (X.double(), Y), batch_size=batch)
    vector = torch.randn(len(theta), dtype=torch.float64)
    wanted = np.linalg.eigvalsh(dense(space, theta)) if name not in ("lstm", "transformer") else None
    found = hessian.extremes(tolerance=1e-5, most=2000)
    assert found.converged
    if wanted is not None:
        assert np.allclose(hessian.product(vector), dense(space, theta) @ vector.numpy(), atol=1e-8)
        assert [found.lowest, found.highest] == pytest.approx([wanted[0], wanted[-1]], rel=1e-3)
    else:  # differences of gradients
        step, slopes = 1e-5, []
        for sign in (1, -1):
            twin = space.module(theta + sign * step * vector)
            twin.eval()
            cross_entropy(twin(X.double()), Y).mean().backward()
            slopes.append(torch.cat([p.grad.flatten() for p in twin.parameters()]))
        assert torch.allclose(hessian.product(vector), (slopes[0] - slopes[1]) / (2 * step), atol=1e-5)
    before.check(module)


@pytest.mark.parametrize("name", ["mlp", "tied", "batchnorm", "groupnorm"])
def test_the_hessian_of_matrices_alone_is_a_block_of_the_dense_one(name):
    module = network(name).double()
    space = WeightSpace(module)
    theta, before = space.vector(module), Frozen.of(module)
    rows = np.concatenate([np.full(parameter.numel(), parameter.ndim >= 2) for parameter in module.parameters()])
    block = dense(space, theta)[np.ix_(rows, rows)]
    hessian = Hessian(space, theta, (X.double(), Y), batch_size=16, parameters="matrices")
    assert len(hessian) == len(block) < space.size
    vector = torch.randn(len(block), dtype=torch.float64)
    assert np.allclose(hessian.product(vector), block @ vector.numpy(), atol=1e-10)
    values = np.linalg.eigvalsh(block)
    found = hessian_extremes(
        space, theta, (X.double(), Y), parameters="matrices", tolerance=1e-6, most=2000, batch_size=40
    )
    assert [found.lowest, found.highest] == pytest.approx([values[0], values[-1]], rel=1e-4)
    trace = hessian.trace(200)
    assert abs(trace.value - np.trace(block)) < 4 * trace.standard_error
    table = curvature_table(
        space, Ray(theta, theta), torch.zeros(1, dtype=torch.float64), (X.double(), Y), parameters="matrices",
        tolerance=1e-6, most=2000,
    )  # fmt: skip
    assert table["lambda_max"].iloc[0] == pytest.approx(values[-1], rel=1e-4)
    assert table["parameters"].tolist() == ["matrices"]
    with pytest.raises(PathfinderError, match=rf"must be a tensor of shape \({len(block)},\), got"):
        hessian.product(torch.ones(space.size))
    before.check(module)


def test_too_few_products_are_reported_and_give_no_number():
    found = quadratic(rotated(np.linspace(-1, 1, 400))).extremes(tolerance=1e-12, most=25)
    assert not found.converged and np.isnan([found.lowest, found.highest, found.ratio]).all()
    assert found.products <= 45


def test_float32_and_batches_change_little():
    module = network("mlp")
    space = WeightSpace(module)
    theta = space.vector(module)
    found = [hessian_extremes(space, theta, (X, Y), batch_size=size) for size in (7, 40)]
    assert all(f.converged for f in found)
    assert [found[0].lowest, found[0].highest] == pytest.approx([found[1].lowest, found[1].highest], rel=2e-3)


def test_the_gradient_of_a_single_batch_is_computed_once():
    module = network("mlp")
    space, passes = WeightSpace(module), []
    module.register_forward_hook(lambda *_: passes.append(1))
    theta, vectors = space.vector(module), torch.randn(3, space.size)
    once, twice = Hessian(space, theta, (X, Y), batch_size=40), Hessian(space, theta, (X, Y), batch_size=20)
    found = [once.product(vector) for vector in vectors]
    assert len(passes) == 1 and once.products == 3
    for product, vector in zip(found, vectors, strict=True):
        assert torch.allclose(product, twice.product(vector), rtol=1e-4, atol=1e-6)
    assert len(passes) == 1 + 3 * 2


def test_a_product_that_was_broken_off_leaves_no_part_behind():
    space, batches = WeightSpace(network("mlp")), [0]

    def loss(output, target):
        batches[0] += 1
        if batches[0] == 2:
            raise KeyboardInterrupt
        return cross_entropy(output, target)

    theta, vector = space.vector(space.network), torch.randn(space.size)
    hessian = Hessian(space, theta, (X, Y), loss=loss, batch_size=20)
    with pytest.raises(KeyboardInterrupt):
        hessian.product(vector)
    assert torch.equal(hessian.product(vector), Hessian(space, theta, (X, Y), batch_size=20).product(vector))


def test_a_linear_loss_has_no_curvature_within_no_grad():
    class Linear(Quadratic):
        def forward(self, x):
            return self.theta.sum().expand(len(x))

    space = WeightSpace(Linear(np.eye(4)))
    with torch.no_grad():
        hessian = Hessian(space, torch.ones(4, dtype=torch.float64), (X, Y), loss=bowl_loss)
        assert hessian.product(torch.ones(4)).tolist() == [0.0] * 4
        assert quadratic(np.eye(4)).product(torch.ones(4)).tolist() == pytest.approx([1.0] * 4)


def test_a_flat_point_and_one_without_derivatives_do_not_end_a_map():
    flat = quadratic(np.zeros((30, 30)))
    assert flat.extremes().converged and (flat.extremes().lowest, flat.extremes().highest) == (0, 0)
    space = WeightSpace(Quadratic(np.diag(np.arange(1.0, 31.0))))
    ray = Ray(torch.zeros(30, dtype=torch.float64), torch.full((30,), 1e200, dtype=torch.float64))

    def loss(output, target):
        return output + output.square().where(output > 1e300, 0)

    table = curvature_table(space, ray, ray.grid(3, span=1.0), (X, Y), loss=loss)
    assert table["converged"].tolist() == [False, True, False]
    assert table["lambda_max"].iloc[1] == pytest.approx(30, rel=1e-2)


@pytest.mark.parametrize("wrong", [{"tolerance": -1.0}, {"most": 1}, {"samples": 1}])
def test_a_table_finds_mistakes_before_its_first_product(wrong):
    def loss(output, target):
        raise AssertionError("a product was made")

    space = WeightSpace(Quadratic(np.eye(30)))
    ray = Ray(*torch.randn(2, 30, dtype=torch.float64))
    with pytest.raises(PathfinderError, match=r"must be above 0|or more, got 1"):
        curvature_table(space, ray, ray.grid(3), (X, Y), loss=loss, **wrong)


def test_the_users_objects_stay_as_they_were():
    """The weights, the vector and the data keep their values, flags and device."""
    space = WeightSpace(network("batchnorm"))
    theta = space.vector(space.network).requires_grad_()
    vector, statistics = torch.randn(space.size, dtype=torch.float64), space.statistics(space.network)
    own = {"theta": theta, "vector": vector, "statistics": statistics, "x": X, "y": Y}
    before = {name: (tensor.detach().clone(), tensor.requires_grad, tensor.device) for name, tensor in own.items()}
    module = Frozen.of(space.network)
    hessian = Hessian(space, theta, (X, Y), statistics=statistics)
    hessian.product(vector), hessian.extremes(0.5), hessian.trace(2)
    for name, tensor in own.items():
        values, flag, device = before[name]
        assert torch.equal(tensor.detach(), values) and (tensor.requires_grad, tensor.device) == (flag, device), name
        assert tensor.grad is None, name
    module.check(space.network)


def test_mistakes_are_named(without_shapes):
    with pytest.raises(PathfinderError, match="the extremes need 5 products or more, got 4"):
        quadratic(np.eye(30)).extremes(most=4)
    for tolerance in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(PathfinderError, match="tolerance must be above 0 and finite"):
            quadratic(np.eye(30)).extremes(tolerance=tolerance)
    with pytest.raises(PathfinderError, match="the trace needs 2 samples or more, got 1"):
        quadratic(np.eye(3)).trace(1)
    with pytest.raises(PathfinderError, match="unknown parameters `matrix`; did you mean `matrices`"):
        Hessian(WeightSpace(network("mlp")), torch.zeros(83), (X, Y), parameters="matrix")
    with pytest.raises(PathfinderError, match="Quadratic has no weights of two axes or more; use parameters='all'"):
        hessian_extremes(WeightSpace(Quadratic(np.eye(3))), torch.ones(3), (X, Y), parameters="matrices")
    with pytest.raises(PathfinderError, match="the Hessian holds NaN or infinity"):
        quadratic(np.full((30, 30), np.nan)).extremes()
