import math

import numpy as np
import pytest
import torch
from helpers import CURVES, WEIGHTS, Arc, bent, plane

from pathfinder import Bezier, Geometry, Line, PathfinderError, Plane, PolyChain
from pathfinder.geometry import kinds

curves = pytest.mark.parametrize("make", CURVES.values(), ids=CURVES)
exact = pytest.mark.parametrize("make", [make for name, make in CURVES.items() if name != "arc"])  # cos(pi) is rounded
T = torch.linspace(0, 1, 61, dtype=torch.float64)


@curves
def test_coefficients_sum_to_one(make):
    assert torch.allclose(make().coefficients(T).sum(1), torch.ones(61, dtype=torch.float64), atol=1e-14)


@exact
def test_ends_are_the_anchors_bit_for_bit(make):
    curve = make()
    theta = curve(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert torch.equal(theta[0], curve.start) and torch.equal(theta[1], curve.end)


@curves
def test_theta_is_the_product_of_coefficients_and_anchors(make):
    curve = make()
    assert torch.allclose(curve(T), curve.coefficients(T) @ curve.anchors, atol=1e-14)


@exact
def test_a_row_is_the_same_in_any_company(make):
    curve = make().float()
    together = curve(T)
    assert all(torch.equal(curve(T[i : i + 1])[0], together[i]) for i in (0, 7, 30, 60))
    assert torch.equal(curve(T.flip(0)).flip(0), together)


@curves
def test_norm_is_that_of_theta(make):
    curve = make()
    assert torch.allclose(curve.norm(T), curve(T).norm(dim=1), rtol=1e-12)


@curves
def test_arc_length_is_the_limit_of_chords(make):
    curve = make()
    fine = torch.linspace(0, 1, 20001, dtype=torch.float64)
    chords = (curve(fine).diff(dim=0)).norm(dim=1).sum().item()
    assert curve.length() == pytest.approx(chords, rel=1e-6)
    assert curve.arc_length(T)[0] == 0 and curve.arc_length(T)[-1].item() == curve.length()
    assert (curve.arc_length(T).diff() > 0).all()


def test_quadratic_bezier_length_has_a_closed_form():
    curve = Bezier(torch.tensor([0.0, 0.0]), torch.tensor([2.0, 0.0]), bends=torch.tensor([[1.0, 1.0]]))
    # the parabola y = x - x^2 / 2 from 0 to 2: integral of sqrt(1 + (1 - x)^2)
    assert curve.length() == pytest.approx(math.sqrt(2) + math.asinh(1), rel=1e-10)


def test_polychain_length_is_exact_at_its_joints():
    curve = bent(PolyChain, 3)
    segments = curve.anchors.diff(dim=0).norm(dim=1)
    joints = curve.arc_length(torch.linspace(0, 1, 5, dtype=torch.float64))
    assert torch.allclose(joints[1:], segments.cumsum(0), rtol=1e-14)


@pytest.mark.parametrize("kind", [PolyChain, Bezier])
@pytest.mark.parametrize("bends", [0, 1, 4])
def test_untrained_curves_are_the_line(kind, bends):
    a, b = torch.randn(2, WEIGHTS, dtype=torch.float64)
    curve = kind(a, b, bends=bends)
    assert torch.allclose(curve(T), Line(a, b)(T), atol=1e-14)
    assert curve.length() == pytest.approx(Line(a, b).length(), rel=1e-12)


def test_line_length_ratio_is_one_and_reaches_beyond():
    line = Line(*torch.randn(2, WEIGHTS))
    assert line.length() == line.chord()
    t = line.grid(5, -0.5, 1.5)
    assert t.tolist() == [-0.5, 0.0, 0.5, 1.0, 1.5]
    assert {0.0, 1.0} <= set(line.grid(4, -0.5, 1.5).tolist())
    for low, high in ((-0.25, 1.25), (-0.2, 1.2), (-1.0, 2.0)):
        t = line.grid(61, low, high)
        assert {0.0, 0.5, 1.0} <= set(t.tolist()) and t.diff().min() > 1e-3


def test_degree_elevation_leaves_a_bezier_in_place():
    low = bent(Bezier, 1)
    p0, p1, p2 = low.anchors.detach()
    high = Bezier(p0, p2, bends=torch.stack([p0 / 3 + 2 * p1 / 3, 2 * p1 / 3 + p2 / 3]))
    assert torch.allclose(low(T), high(T), atol=1e-13)


@pytest.mark.parametrize("fixed_ends", [True, False])
@pytest.mark.parametrize("kind", [PolyChain, Bezier])
def test_backward_is_the_gradient_through_the_combination(kind, fixed_ends):
    curve, t = bent(kind, 2, fixed_ends=fixed_ends), torch.tensor([0.3], dtype=torch.float64)
    slope = torch.randn(WEIGHTS, dtype=torch.float64)
    (curve(t)[0] @ slope).backward()
    wanted = {name: parameter.grad.clone() for name, parameter in curve.named_parameters()}
    curve.zero_grad()
    curve.backward(t, slope)
    for name, parameter in curve.named_parameters():
        assert torch.allclose(parameter.grad, wanted[name], atol=1e-14), name
    assert set(wanted) == ({"bends"} if fixed_ends else {"start", "bends", "end"})


@curves
def test_saved_curves_come_back(make, tmp_path):
    curve = make()
    curve.save(tmp_path / "curve.safetensors", model="mlp")
    back = Geometry.load(tmp_path / "curve.safetensors")
    assert type(back) is type(curve) and torch.equal(back.anchors, curve.anchors)


def test_a_geometry_of_ones_own_is_found_by_its_name():
    assert kinds()["arc"] is Arc and "curve" not in kinds() and "plane" not in kinds()
    middle = bent(Arc, 1)(torch.tensor([0.5], dtype=torch.float64))[0]
    assert torch.allclose(middle, bent(Arc, 1).bends[0], atol=1e-12)


def test_plane_passes_through_its_points_with_distances_as_axes(tmp_path):
    curve = bent(Bezier, 1)
    a, bend, b = curve.start, curve.bends[0].detach(), curve.end
    flat = Plane.through(a, bend, b)
    located = flat.locate(torch.stack([a, bend, b]))
    assert located[:, 2].abs().max() < 1e-12
    assert located[0, :2].abs().max() < 1e-12 and located[2, 1].abs() < 1e-12
    assert located[2, 0].item() == pytest.approx((b - a).norm().item())
    assert located[1, :2].norm().item() == pytest.approx((bend - a).norm().item())
    assert torch.allclose(flat(located[:, :2]), torch.stack([a, bend, b]), atol=1e-12)
    flat.save(tmp_path / "plane.safetensors")
    back = Geometry.load(tmp_path / "plane.safetensors")
    assert torch.equal(back.grid(5), flat.grid(5))


def test_distance_from_a_plane_that_is_not_orthogonal():
    flat = Plane.around(torch.zeros(3), torch.tensor([1.0, 0, 0]), torch.tensor([1.0, 2.0, 0]))
    x, y, distance = flat.locate(torch.tensor([[4.0, 2.0, -3.0]]))[0].tolist()
    assert (x, y, distance) == pytest.approx((3.0, 1.0, 3.0))


def test_one_bend_bezier_lies_in_its_plane_but_two_bends_do_not():
    for bends, inside in ((1, True), (2, False)):
        curve = bent(Bezier, bends, dtype=torch.float32)
        flat = Plane.through(curve.start, curve.bends[0].detach(), curve.end)
        distance = flat.locate(curve(T).detach())[:, 2].max().item()
        assert (distance < 1e-5 * curve.length()) is inside


def test_plane_grid_is_rectangular_with_both_ends():
    grid = plane().grid((3, 4), margin=0.5)
    landmarks = plane().landmarks
    low, high = landmarks.min(0).values, landmarks.max(0).values
    assert len(grid) == 12 and len({tuple(row) for row in grid.tolist()}) == 12
    assert torch.allclose(grid.min(0).values, low - 0.5 * (high - low))
    assert torch.allclose(grid.max(0).values, high + 0.5 * (high - low))
    assert np.ptp(plane().grid(2, span=3.0).numpy()) == 6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Bezier(torch.zeros(3), torch.ones(3), bends=-1), "bends must be 0 or more, got -1"),
        (lambda: Line(torch.zeros(3), torch.ones(3), bends=2), "a line has 0 bends, got 2"),
        (lambda: Plane.through(torch.zeros(3), torch.ones(3) / 2, torch.ones(3)), "not on one line"),
        (lambda: Line(torch.zeros(3), torch.ones(3)).grid(1), "points must be 2 or more, got 1"),
        (lambda: Line(torch.zeros(3), torch.ones(3)).grid(5, 0.2, 1.0), "got 0.2 to 1.0"),
        (lambda: Plane.around(*torch.eye(3)).grid(3), "pass span="),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(PathfinderError, match=words):
        call()


def test_ends_of_two_networks_are_refused(without_shapes):
    with pytest.raises(PathfinderError, match="got 3 and 4"):
        Bezier(torch.zeros(3), torch.ones(4))
