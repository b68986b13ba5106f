import math

import numpy as np
import pytest
import torch
from helpers import CURVES, WEIGHTS, Arc, bent, plane

from pathfinder import Bezier, Curve, Geometry, Line, PathfinderError, Plane, PolyChain, Ray
from pathfinder.geometry import base
from pathfinder.geometry.base import kinds
from pathfinder.geometry.inner import blocks, distance, gram, inner

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
    assert kinds(Curve)["arc"] is Arc and "curve" not in kinds(Curve) and "plane" not in kinds(Curve)
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


def test_a_single_point_of_a_ray_or_a_plane_lies_in_the_middle():
    assert Ray(torch.zeros(3), torch.ones(3)).grid(1).tolist() == [0]
    assert Ray(torch.zeros(3), torch.ones(3)).grid(1, span=(1, 3)).tolist() == [2]
    assert Plane.around(*torch.eye(3)).grid(1, span=1.0).tolist() == [[0, 0]]
    assert Plane.around(*torch.eye(3)).grid((1, 2), span=1.0).tolist() == [[0, -1], [0, 1]]


def test_a_kind_belongs_to_one_class(monkeypatch):
    monkeypatch.setattr(base, "_KINDS", dict(base._KINDS))

    def define(name, module):
        return type(Curve)(name, (Curve,), {"__module__": module, "coefficients": Bezier.coefficients})

    first, again = define("Wave", "mine"), define("Wave", "mine")  # as a notebook does
    assert first is not again and kinds(Curve)["wave"] is again
    with pytest.raises(PathfinderError, match=r"the kind `wave` is taken by mine.Wave; rename theirs.Wave\.$"):
        define("Wave", "theirs")
    with pytest.raises(PathfinderError, match="the kind `bezier` is taken by pathfinder.geometry.curves.Bezier"):
        define("Bezier", "mine")
    assert kinds(Curve)["bezier"] is Bezier


def test_ends_of_two_networks_are_refused(without_shapes):
    with pytest.raises(PathfinderError, match="got 3 and 4"):
        Bezier(torch.zeros(3), torch.ones(4))


@pytest.mark.parametrize("size", [1, 7, 8, 9, 21])
def test_blocks_give_what_whole_vectors_give(size, monkeypatch):
    """Every inner product, norm and coordinate, however the vectors are cut."""
    a, b, c = torch.randn(3, size, dtype=torch.float64)
    rows = [a, b, c]

    def found():
        curve = PolyChain(a, b, bends=c[None])
        numbers = [gram(rows).flatten(), distance(a, b)[None], torch.tensor([inner(a, b)]), curve.norm(T)]
        numbers += [curve.arc_length(T), Bezier(a, b, bends=c[None]).arc_length(T)]
        if size > 2:
            flat = Plane.through(a, c, b)
            numbers += [flat.u, flat.v, flat.landmarks.flatten(), flat.locate([a + b, c]).flatten()]
        return torch.cat(numbers)

    whole = found()
    assert torch.allclose(gram(rows), torch.stack(rows) @ torch.stack(rows).T, rtol=1e-13, atol=1e-13)
    monkeypatch.setattr("pathfinder.geometry.inner.BLOCK", 4)
    assert [part.stop - part.start for part in blocks(size)] == [4] * (size // 4) + [size % 4] * (size % 4 > 0)
    assert torch.allclose(found(), whole, rtol=1e-12, atol=1e-12)


def test_lengths_near_a_point_far_from_zero_do_not_cancel():
    draw = torch.Generator().manual_seed(3)
    point = torch.randn(100_000, generator=draw, dtype=torch.float64) * 10
    offsets = torch.randn(3, 100_000, generator=draw, dtype=torch.float64) * 1e-3
    here, there = Bezier(*offsets[:2], bends=offsets[2:]), Bezier(*(point + offsets[:2]), bends=point + offsets[2:])
    moved = [row - there.start for row in there.rows()]  # what the rounding of point + offset left, exactly
    exact = Bezier(moved[0], moved[2], bends=moved[1][None].detach())
    assert there.norm(T).min() > 3000 and there.chord() < 0.5
    assert torch.allclose(there.arc_length(T), exact.arc_length(T), rtol=1e-12, atol=0)
    assert there.length() == pytest.approx(here.length(), rel=1e-9)


class Shrinking(Curve):
    """Coefficients that do not sum to one: the length needs the start itself."""

    def coefficients(self, t):
        return torch.stack([(1 - t) * 2, 0 * t, t], dim=1)


def test_lengths_of_coefficients_that_do_not_sum_to_one():
    curve = Shrinking(*torch.randn(2, WEIGHTS, dtype=torch.float64))
    assert curve.length() == pytest.approx(float((curve.end - 2 * curve.start).norm()), rel=1e-12)


def test_arrays_are_taken_as_tensors(without_shapes):
    a, b, bend = np.random.default_rng(0).standard_normal((3, WEIGHTS))
    kept = a.copy()
    curve = Bezier(a, b, bends=bend[None])
    assert torch.equal(curve.anchors, torch.tensor(np.stack([a, bend, b])))
    assert len(Bezier(a, b, bends=np.int64(2)).bends) == 2
    with torch.no_grad():
        curve.start.add_(1)
    assert np.array_equal(a, kept)


ZEROS, ONES = torch.zeros(3), torch.ones(3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Bezier(ZEROS, ONES, bends=ONES), r"bends must be \(bends, 3\).* got \(3,\); write bends\[None\]"),
        (lambda: Bezier(ZEROS, ONES, bends=torch.ones(1, 4)), r"bends must be \(bends, 3\) .* got \(1, 4\)\.$"),
        (lambda: PolyChain(ZEROS, ONES, bends=torch.ones(4)), r"as the ends are \(3,\), got \(4,\)\.$"),
        (lambda: Bezier(ZEROS, ONES, bends=torch.full((1, 3), math.nan)), "the bends hold NaN or infinity"),
        (lambda: Bezier(ZEROS, ONES / 0), "an end holds NaN or infinity"),
        (lambda: Line(torch.arange(3), ONES), "real floating-point weights, got torch.int64"),
        (lambda: Line(ZEROS, ONES.to(torch.complex64)), "real floating-point weights, got torch.complex64"),
        (lambda: Line(torch.zeros(1, 3), ONES), r"must be a vector \(weights,\), got \(1, 3\)"),
        (lambda: Line({"w": ONES}, ONES), "must be a tensor of weights, got dict"),
        (lambda: Line(ZEROS, ONES, bends=torch.ones(2, 3)), "a line has 0 bends, got 2"),
        (lambda: Plane.around(ZEROS, ONES, -2 * ONES), "directions of a plane are parallel"),
        (lambda: Plane.around(ZEROS, ONES, ZEROS), "a direction must not be zero"),
        (lambda: Ray(ONES, ZEROS).locate([ONES]), "a direction must not be zero"),
        (lambda: plane().grid((3, 3, 3)), r"a plane has two axes, so points must be .* got \[3, 3, 3\]"),
        (lambda: plane().grid(3, span=[1.0, 2.0, 3.0]), "a plane has two axes, so span must be"),
    ],
)
def test_what_is_no_curve_or_plane_is_refused_in_one_line(call, words, without_shapes):
    with pytest.raises(PathfinderError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
