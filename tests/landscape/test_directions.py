import numpy as np
import pytest
import torch
from helpers import NETWORKS, Frozen, data, network
from sklearn.decomposition import PCA

from pathfinder import (
    Bezier,
    Evaluator,
    Geometry,
    PathfinderError,
    Plane,
    Ray,
    WeightSpace,
    principal_directions,
    random_directions,
)
from pathfinder.landscape.directions import NORMALIZATIONS

with_filters = pytest.mark.parametrize("name", [name for name in NETWORKS if name != "mixed-dtypes"])


@with_filters
def test_each_filter_has_the_norm_of_the_weights_filter_and_biases_are_kept(name):
    space = WeightSpace(network(name))
    theta = space.vector(space.network)
    for orthogonal in (False, True):
        for direction in random_directions(space, theta, 2, orthogonal=orthogonal, seed=3):
            for d, w in zip(space.parts(direction).values(), space.parts(theta).values(), strict=True):
                if w.ndim == 1:
                    assert not d.any()
                else:
                    norms = w.flatten(1).norm(dim=1)
                    assert torch.allclose(d.flatten(1).norm(dim=1), norms, rtol=1e-6, atol=1e-7)


def test_layers_weights_and_raw_gaussians():
    space = WeightSpace(network("batchnorm"))
    theta = space.vector(space.network)
    (layer,), (weight,), (raw,) = (
        random_directions(space, theta, 1, normalize=n, seed=3) for n in ("layer", "weight", "none")
    )
    for name, w in space.parts(theta).items():
        if w.ndim > 1:
            assert space.parts(layer)[name].norm() == pytest.approx(float(w.norm()), rel=1e-6)
            assert torch.allclose(space.parts(weight)[name], space.parts(raw)[name] * w, atol=1e-7)
    moved = raw[raw != 0]
    assert abs(float(moved.mean())) < 0.3 and 0.8 < float(moved.std()) < 1.2
    kept = random_directions(space, theta, 1, keep_1d=True)[0]
    for d, w in zip(space.parts(kept).values(), space.parts(theta).values(), strict=True):
        if w.ndim == 1:
            assert d.norm() == pytest.approx(float(w.norm()), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_orthogonal_directions_are_and_the_seed_decides(normalize):
    space = WeightSpace(network("mlp"))
    theta = space.vector(space.network)
    u, v = random_directions(space, theta, 2, normalize=normalize, orthogonal=True, seed=1)
    assert abs(float(u @ v)) < 1e-5 * float(u.norm() * v.norm())
    a, b = random_directions(space, theta, 2, normalize=normalize, seed=1)
    assert torch.equal(a, u) and b.norm() == pytest.approx(float(v.norm()), rel=1e-5)
    assert torch.equal(random_directions(space, theta, 1, normalize=normalize, seed=1)[0], a)
    assert not torch.equal(random_directions(space, theta, 1, normalize=normalize, seed=2)[0], a)


def test_filter_normalised_profiles_do_not_see_a_rescaled_relu_network_and_raw_ones_do():
    def profile(module, normalize):
        space = WeightSpace(module)
        theta = space.vector(module)
        (direction,) = random_directions(space, theta, 1, normalize=normalize, seed=0)
        ray = Ray(theta, direction if normalize == "filter" else direction / 5)
        return Evaluator(space, {"train": data()}).score(ray, ray.grid(9)).table["train_loss"].to_numpy()

    plain, scaled = network("mlp"), network("mlp")
    with torch.no_grad():
        scaled[0].weight.mul_(10), scaled[0].bias.mul_(10), scaled[2].weight.div_(10)
    assert np.allclose(profile(plain, "filter"), profile(scaled, "filter"), rtol=1e-3)
    assert not np.allclose(profile(plain, "none"), profile(scaled, "none"), rtol=0.1)


def test_principal_directions_are_those_of_scikit_learn():
    rows = torch.randn(9, 40, dtype=torch.float64) * torch.linspace(3, 0.1, 40)
    found, wanted = principal_directions(list(rows), 3), PCA(3).fit(rows.numpy())
    assert found.explained == pytest.approx(wanted.explained_variance_ratio_.tolist(), rel=1e-9)
    for mine, theirs in zip(found.directions, wanted.components_, strict=True):
        assert min(np.abs(mine.numpy() - s * theirs).max() for s in (1, -1)) < 1e-9


def test_a_path_in_a_plane_is_found_there_and_scores_what_the_plane_scores():
    space = WeightSpace(network("mlp"))
    end = space.vector(space.network)
    u, v = random_directions(space, end, 2, seed=5)
    steps = [(2.0, 1.0), (1.0, 1.5), (0.5, 0.2), (0.0, 0.0)]
    thetas = [end + x * u + y * v for x, y in steps]
    oblique = Plane.around(end, u, v)
    assert np.allclose(oblique.locate(torch.stack(thetas)), [[x, y, 0] for x, y in steps], atol=1e-5)
    found = principal_directions(thetas)
    plane = Plane.around(end, *found.directions)
    located = plane.locate(torch.stack(thetas))
    assert located[:, 2].abs().max() < 1e-5 and sum(found.explained) == pytest.approx(1)
    evaluator = Evaluator(space, {"train": data()})
    drawn_loss = evaluator.score(plane, located[:, :2]).table["train_loss"]
    assert np.allclose(drawn_loss, [evaluator.at(theta)["train_loss"] for theta in thetas], atol=1e-4)
    away = thetas[1] + 0.3 * torch.linalg.svd(torch.stack([u, v]), full_matrices=True)[2][-1]
    assert plane.locate(away[None])[0, 2] == pytest.approx(0.3, rel=1e-4)


def test_rows_of_a_rectangular_grid_carry_their_own_coordinates():
    space = WeightSpace(network("mlp"))
    theta = space.vector(space.network)
    plane = Plane.around(theta, *random_directions(space, theta, 2))
    evaluator = Evaluator(space, {"train": data()})
    table = evaluator.score(plane, plane.grid((2, 3), span=[(0, 2), (-1, 0.5)])).table
    assert table[["x", "y"]].to_numpy().tolist() == [[x, y] for x in (0, 2) for y in (-1, -0.25, 0.5)]
    for _, row in table.iterrows():
        at = theta + row["x"] * plane.u + row["y"] * plane.v
        assert evaluator.at(at)["train_loss"] == pytest.approx(row["train_loss"], rel=1e-5)


@pytest.mark.parametrize("orthogonal", [False, True])
@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_directions_made_piece_by_piece_are_those_made_at_once(normalize, orthogonal, monkeypatch):
    """Every bit is the same though filters are drawn two by two; without scaling they are numpy's own draws."""
    space = WeightSpace(network("batchnorm"))
    theta = space.vector(space.network)
    settings = {"normalize": normalize, "orthogonal": orthogonal, "keep_1d": True, "seed": 3}
    whole = random_directions(space, theta, 2, **settings)
    monkeypatch.setattr("pathfinder.landscape.directions.BLOCK", 1)
    assert all(torch.equal(a, b) for a, b in zip(random_directions(space, theta, 2, **settings), whole, strict=True))
    if normalize == "none":
        numbers = np.random.default_rng([3, 0]).standard_normal(space.size, dtype=np.float32)
        assert np.array_equal(whole[0].numpy(), numbers)


def test_weights_and_curves_stay_as_they_were():
    """Directions, planes and scores leave the values, flags and device of the user's objects as they were."""
    space = WeightSpace(network("batchnorm"))
    theta = space.vector(space.network).requires_grad_()
    curve = Bezier(theta, *random_directions(space, theta, 1))
    kept = theta.detach().clone(), {name: tensor.clone() for name, tensor in curve.state_dict().items()}
    module = Frozen.of(space.network)
    random_directions(space, theta, 2, orthogonal=True), principal_directions([theta, curve.end, curve.end * 2], 2)
    Evaluator(space, {"train": data()}).score(curve, 2)
    assert torch.equal(theta.detach(), kept[0]) and theta.requires_grad and theta.grad is None
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in curve.state_dict().items())
    assert curve.bends.requires_grad and curve.bends.grad is None and curve.bends.is_leaf
    module.check(space.network)


def test_principal_directions_in_blocks_are_those_of_whole_vectors(monkeypatch):
    rows = list(torch.randn(5, 21, dtype=torch.float64))
    whole = principal_directions(rows)
    monkeypatch.setattr("pathfinder.geometry.inner.BLOCK", 4)
    found = principal_directions(rows)
    assert found.explained == pytest.approx(whole.explained, rel=1e-12)
    for mine, theirs in zip(found.directions, whole.directions, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)


@pytest.mark.parametrize("kind", [Ray, Plane])
def test_flat_geometries_come_back_from_files(kind, tmp_path):
    rows = list(torch.randn(3, 7))[: 2 if kind is Ray else 3]
    kind(*rows).save(tmp_path / "flat.safetensors", normalize="filter", seed=3)
    found = Geometry.load(tmp_path / "flat.safetensors")
    assert type(found) is kind and all(torch.equal(a, b) for a, b in zip(found.rows(), rows, strict=True))


def test_mistakes_are_named(without_shapes):
    space = WeightSpace(network("mlp"))
    theta = space.vector(space.network)
    with pytest.raises(PathfinderError, match="unknown normalization `filtre`; did you mean `filter`"):
        random_directions(space, theta, normalize="filtre")
    with pytest.raises(PathfinderError, match="set keep_1d"):
        random_directions(WeightSpace(space.network, only="*.bias"), theta[:11])
    with pytest.raises(PathfinderError, match="2 directions need 3 checkpoints or more, got 2"):
        principal_directions([theta, theta + 1])
    with pytest.raises(PathfinderError, match="does not vary in 2 directions"):
        principal_directions([theta, theta + 1, theta + 2])
    with pytest.raises(PathfinderError, match="a span must rise"):
        Ray(theta, theta).grid(5, span=(1.0, -1.0))
