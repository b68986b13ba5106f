import copy

import pytest
import torch
from helpers import NETWORKS, Frozen, Tied, Unused, data, network, plain_loss
from torch import nn

from pathfinder import Evaluator, PathfinderError, Structure, WeightSpace
from pathfinder.scoring.losses import as_logits

networks = pytest.mark.parametrize("name", NETWORKS)
X, Y = data(20)


@networks
def test_there_and_back(name):
    module, other = network(name), network(name, seed=1)
    other.load_state_dict({**other.state_dict(), **_unmoved(module)})
    space, before = WeightSpace(module), Frozen.of(module)
    for source in (other, other.state_dict()):
        theta, statistics = space.vector(source), space.statistics(source)
        state = space.state_dict(theta, statistics if space.has_statistics else None)
        twin = space.module(theta, statistics if space.has_statistics else None)
        assert list(state) == list(module.state_dict())
        for key, tensor in other.state_dict().items():
            assert "num_batches" in key or (state[key].dtype == tensor.dtype and torch.equal(state[key], tensor)), key
        assert plain_loss(twin, X, Y) == plain_loss(other, X, Y)
    before.check(module)


@networks
def test_call_is_the_module_with_these_weights(name):
    module = network(name).eval()
    space = WeightSpace(module)
    theta = space.vector(module)
    with torch.no_grad():
        assert torch.allclose(as_logits(space.call(theta, X)), as_logits(module(X)), atol=1e-6)
    before = Frozen.of(module)
    moved = theta + 0.1 * torch.randn(space.size)
    with torch.no_grad():
        assert torch.allclose(as_logits(space.call(moved, X)), as_logits(space.module(moved)(X)), atol=1e-5)
    before.check(module)


@networks
def test_gradient_is_that_of_the_module(name):
    module = network(name).eval()
    space = WeightSpace(module)
    theta = space.vector(module).requires_grad_()
    torch.nn.functional.cross_entropy(as_logits(space.call(theta, X)).float(), Y).backward()
    torch.nn.functional.cross_entropy(as_logits(module(X)).float(), Y).backward()
    named = dict(module.named_parameters())
    wanted = [named[key].grad for key in space.names]
    wanted = [torch.zeros_like(named[k]) if g is None else g for k, g in zip(space.names, wanted, strict=True)]
    assert torch.allclose(theta.grad, torch.cat([g.float().reshape(-1) for g in wanted]), atol=1e-6)


def test_tied_weights_count_once():
    module = Tied()
    space = WeightSpace(module)
    assert space.size == sum(parameter.numel() for parameter in module.parameters())
    assert {"first.weight", "second.weight"} <= set(space.state_dict(space.vector(module)))
    torn = {**module.state_dict(), "second.weight": torch.zeros(6, 6)}
    with pytest.raises(PathfinderError, match=r"`first.weight` differs from `second.weight`"):
        space.vector(torn)


def test_a_named_subset_moves_and_the_rest_stays():
    module = network("mlp")
    space = WeightSpace(module, only="2.*")
    assert space.names == ["2.weight", "2.bias"] and space.size == 27
    moved = space.module(torch.zeros(27))
    assert torch.equal(moved[0].weight, module[0].weight) and not moved[2].weight.any()
    assert WeightSpace(Tied(), only="second.weight").names == ["first.weight"]
    with pytest.raises(PathfinderError, match="no trainable parameter named `layer9"):
        WeightSpace(module, only="layer9.*")


def test_networks_that_differ_in_what_does_not_move_are_refused():
    module, other = Unused(), Unused()
    other.load_state_dict({**module.state_dict(), "order": torch.tensor([0, 1, 2])})
    with pytest.raises(PathfinderError, match="differ in `order`"):
        WeightSpace(module).vector(other)
    assert "frozen.weight" not in WeightSpace(module).names and "idle.weight" in WeightSpace(module).names


def test_another_architecture_is_named_by_its_first_tensors():
    space = WeightSpace(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    wider = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3), nn.Linear(3, 3))
    with pytest.raises(PathfinderError) as error:
        space.vector(wider)
    assert "`0.weight` is (9, 6), not (8, 6)" in str(error.value)
    assert "`0.bias` is (9,), not (8,)" in str(error.value) and "unexpected: `3.weight` (3, 3), `3.bias` (3,)" in str(
        error.value
    )
    with pytest.raises(PathfinderError, match=r"unexpected: `3.weight` \(3, 3\)"):
        space.vector(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Linear(3, 3)))
    with pytest.raises(PathfinderError, match=r"missing: `2.weight` \(3, 8\)"):
        space.vector(nn.Sequential(nn.Linear(6, 8)))


def test_nan_weights_are_refused():
    module = network("mlp")
    broken = copy.deepcopy(module)
    broken[2].bias.data[1] = float("nan")
    with pytest.raises(PathfinderError, match="`2.bias` holds NaN"):
        WeightSpace(module).vector(broken)


def test_mixed_dtypes_share_a_vector_wide_enough_for_all():
    assert WeightSpace(network("mixed-dtypes")).vector(network("mixed-dtypes")).dtype == torch.float32
    assert WeightSpace(network("mlp").double()).dtype == torch.float64


def test_nothing_to_move_is_an_error():
    with pytest.raises(PathfinderError, match="ReLU has no trainable parameter"):
        WeightSpace(nn.ReLU())


def test_extrapolated_variances_stay_above_zero():
    space = WeightSpace(network("batchnorm"))
    fixed = space.fixed(-torch.ones_like(space.statistics(network("batchnorm"))))
    assert fixed["2.running_var"].min() == 0 and fixed["2.running_mean"].max() == -1


def test_other_devices():
    device = "cuda" if torch.cuda.is_available() else "meta"
    space = WeightSpace(network("batchnorm"))
    theta = space.vector(network("batchnorm")).to(device)
    assert space.call(theta, X.to(device)).device.type == device
    assert (
        space.vector(network("batchnorm").to(device) if device == "cuda" else network("batchnorm")).shape == theta.shape
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("normed", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_weights_that_a_hook_makes_are_made_anew_in_a_copy(normed):
    """The tensor that old-style weight normalisation keeps knows its history, which deepcopy refuses."""
    module = nn.Sequential(normed(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))
    module(X)
    module.eval()
    space = WeightSpace(module)
    theta = space.vector(module)
    kept = module[0].weight.detach().clone()
    twin = space.module(2 * theta).eval()
    assert torch.equal(module[0].weight, kept)
    if normed is nn.utils.weight_norm:
        assert torch.allclose(twin[0].weight, 2 * kept)  # before any pass
    with torch.no_grad():
        assert torch.allclose(twin(X), space.call(2 * theta, X), atol=1e-6)


def _unmoved(module: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors two joined networks must share."""
    frozen = {key: p for key, p in module.named_parameters() if not p.requires_grad}
    return frozen | {
        key: b for key, b in module.state_dict().items() if key in dict(module.named_buffers()) and "running" not in key
    }


def test_a_module_that_changes_its_input_in_place_leaves_it_as_it_was():
    class InPlace(nn.Sequential):
        def forward(self, x):
            return super().forward(x.sub_(0.5))

    module = InPlace(nn.Linear(6, 3))
    space, (x, y) = WeightSpace(module), data()
    theta, before = space.vector(module), x.clone()
    first, second = (space.call(theta, x) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(x, before)
    found = [Evaluator(space, {"train": (x, y)}).at(theta)["train_loss"] for _ in range(2)]
    assert found[0] == found[1] and torch.equal(x, before)
    inplace = torch.nn.Sequential(
        torch.nn.ReLU(inplace=True), torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3)
    )
    assert Structure.of(inplace, x.double()).prove(inplace, x.double()) and torch.equal(x, before)
