import pytest
import torch
from helpers import NETWORKS, Frozen, data, network
from networks import MODELS, disturbed_model
from torch import nn
from torch.nn import functional as F

from pathfinder import PathfinderError, WeightSpace, build_model
from pathfinder.symmetry.matching import match_weights, structure_of
from pathfinder.symmetry.proof import revealing_permutations
from pathfinder.symmetry.structure import ProvedStructure, Structure

X, _ = data(3)


class Odd(nn.Module):
    """Depthwise and grouped convolutions, norms, concatenation, a slice, several pools, functional calls."""

    def __init__(self):
        super().__init__()
        self.first, self.depthwise = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 12, 3, padding=1, groups=6)
        self.grouped, self.norm = nn.Conv2d(12, 12, 1, groups=6), nn.GroupNorm(3, 12)
        self.side, self.up = nn.Conv2d(6, 5, 1), nn.ConvTranspose2d(5, 4, 2, stride=2)
        self.hidden, self.scale, self.out = nn.Linear(23 * 4, 7), nn.LayerNorm(7), nn.Linear(7, 3)

    def forward(self, x):
        x = F.gelu(self.first(x))
        left = F.relu(self.norm(self.grouped(F.silu(self.depthwise(x)))))
        right = torch.tanh(self.side(x))
        lifted = F.max_pool2d(self.up(right), 2)
        joined = torch.cat([left, right, lifted, right[:, :2]], dim=1)
        pooled = F.avg_pool2d(joined, 2)
        return self.out(self.scale(F.elu(self.hidden(pooled.flatten(1)))))


class Words(nn.Module):
    """An embedding, an LSTM, and the mean over a sequence."""

    def __init__(self):
        super().__init__()
        self.table, self.lstm, self.out = nn.Embedding(9, 4), nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.lstm(self.table(x))[0].mean(1))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_keeps_its_outputs_when_its_units_are_permuted(name):
    module, x = disturbed_model(name)
    before = Frozen.of(module)
    structure = Structure.of(module, x)
    structure.prove(module, x)
    assert all(len(group) > 1 for group in structure.groups)
    before.check(module)


def test_a_classifier_of_torchvision_is_recovered():
    module, x = build_model("torchvision:resnet18", num_classes=10), torch.randn(2, 3, 33, 33)
    space = WeightSpace(module)
    structure, a = structure_of(space, x), space.vector(module)
    assert sorted({len(group) for group in structure.groups}) == [64, 128, 256, 512]
    moved = structure.permute(space.parts(a), structure.random_permutations(0))
    b = space.join(moved)
    assert torch.equal(match_weights(space, a, b, structure=structure, orders=1).vector, a)


def test_groups_are_those_that_reading_the_network_gives():
    module, x = disturbed_model("mlp")
    found = {group.name: len(group) for group in Structure.of(module, x).groups}
    hidden = [name for name, tensor in module.named_parameters() if tensor.ndim == 2][:-1]
    assert found == dict(zip(hidden, [8, 6], strict=True))
    module, x = disturbed_model("resnet20")
    structure = Structure.of(module, x)  # a stream for each stage, and the inside of each block
    assert sorted(len(group) for group in structure.groups) == sorted([4, 8, 16] + 3 * [4, 8, 16])
    stream = next(group for group in structure.groups if group.name == "conv1.weight")
    assert {place.tensor for place in stream.places} >= {
        "bn1.running_var",
        "layer1.2.conv2.weight",
        "layer2.0.conv1.weight",
    }
    module, x = disturbed_model("convnet")
    last = Structure.of(module, x).groups[-1]
    flat = next(place for place in last.places if place.axis == 1)
    assert flat.index.shape[0] == 6 and flat.index.numel() == module.state_dict()[flat.tensor].shape[1]


@pytest.mark.parametrize("module, x", [(Odd(), torch.randn(2, 2, 4, 4)), (Words(), torch.randint(9, (2, 4)))])
def test_awkward_layers(module, x):
    structure = Structure.of(module, x)
    structure.prove(module, x)
    units = sorted(len(group) for group in structure.groups)
    assert units == ([2, 3, 3, 4, 7] if isinstance(module, Odd) else [4, 5])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("mixed-dtypes", "tied", "lstm")])
def test_small_networks(name):
    module = network(name)
    Structure.of(module, X).prove(module, X)


class Sequences(nn.Module):
    """A recurrent layer and the mean over a sequence."""

    def __init__(self, layer, **settings):
        super().__init__()
        self.layer = layer(2, 5, batch_first=True, **settings)
        self.out = nn.Linear(10 if self.layer.bidirectional else 5, 3)

    def forward(self, x):
        return self.out(self.layer(x.view(len(x), 3, 2))[0].mean(1))


@pytest.mark.parametrize("settings", [{}, {"num_layers": 2}, {"bidirectional": True}])
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers(layer, settings):
    module = Sequences(layer, **settings)
    structure = Structure.of(module, X)
    structure.prove(module, X)
    assert [len(group) for group in structure.groups] == [5]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_old_weight_normalisation_is_followed_and_its_permuted_copy_recovered():
    module = nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.utils.weight_norm(nn.Linear(8, 3)))
    space = WeightSpace(module)
    a = space.vector(module)
    structure = structure_of(space, X)
    assert [len(group) for group in structure.groups] == [8]
    b = space.join(structure.permute(space.parts(a), structure.random_permutations(0)))
    assert not torch.equal(a, b)
    assert torch.equal(match_weights(space, a, b, structure=structure, orders=1).vector, a)


def test_a_structure_written_as_a_table_is_that_found():
    module, x = network("mlp"), X
    by_hand = Structure.by_hand({"hidden": ["0.weight:0", "0.bias:0", "2.weight:1"]}, module)
    by_hand.prove(module, x)
    found = Structure.of(module, x)
    assert [[(p.tensor, p.axis) for p in g.places] for g in by_hand.groups] == [
        [(p.tensor, p.axis) for p in g.places] for g in found.groups
    ]
    with pytest.raises(PathfinderError, match="gives other outputs .* so the structure is wrong; write it as a table"):
        Structure.by_hand({"hidden": ["0.weight:0", "2.weight:1"]}, module).prove(module, x)
    with pytest.raises(PathfinderError, match="group `hidden` names `0.wight:0`, but the network has no such axis"):
        Structure.by_hand({"hidden": ["0.wight:0"]}, module)
    with pytest.raises(PathfinderError, match="needs axes whose lengths are multiples of the shortest"):
        Structure.by_hand({"hidden": ["0.weight:0", "0.weight:1"]}, module)


class Sorted(nn.Module):
    """An operation without a rule."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.inner(x).sort(1).values)


def test_what_cannot_be_followed_is_named(without_shapes):
    with pytest.raises(
        PathfinderError, match="units cannot be followed through `sort` in module `Sorted`; match weights, with a"
    ):
        Structure.of(Sorted(), X)
    with pytest.raises(PathfinderError, match="Linear has no hidden units that can be permuted"):
        Structure.of(nn.Linear(6, 3), X)
    with pytest.raises(PathfinderError, match="cannot be followed on these inputs in float64"):
        Structure.of(network("mlp"), torch.randn(2, 5))
    module = network("mlp")
    module[0].requires_grad_(False)
    with pytest.raises(PathfinderError, match="also lies in `0.bias`, `0.weight`, which are not in"):
        structure_of(WeightSpace(module), X)


class Gate(nn.Module):
    """Two units that every other depends on, one to scale and one to shift: they cannot be exchanged."""

    def __init__(self):
        super().__init__()
        self.inner, self.head, self.out = nn.Linear(6, 8), nn.Linear(8, 2), nn.Linear(8, 3)

    def forward(self, x):
        h = torch.relu(self.inner(x))
        scale, shift = self.head(h).chunk(2, 1)
        return self.out(h) * scale + shift


class Cropped(nn.Module):
    """Padding of less than nothing, over pixels and over channels, and the largest class next to the logits."""

    def __init__(self):
        super().__init__()
        self.inner, self.out = nn.Conv2d(2, 5, 1), nn.Linear(4, 3)

    def forward(self, x):
        logits = self.out(F.pad(torch.relu(self.inner(x)), (-1, -1, -1, -1, -1, 0)).mean((2, 3)))
        return logits, logits.argmax(1)


class Largest(nn.Module):
    """An output that depends on which unit is largest."""

    def __init__(self):
        super().__init__()
        self.inner, self.out = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = self.inner(x)
        return self.out(h) + (h.max(1)[1] > 3).to(h.dtype)[:, None] * self.out(h)


class Padded(nn.Module):
    """Channels padded with zeros, a mask of ones, PReLU, and an output that is no tensor next to the logits."""

    def __init__(self):
        super().__init__()
        self.inner, self.act, self.out = nn.Conv2d(2, 4, 1), nn.PReLU(4), nn.Linear(6, 3)

    def forward(self, x):
        h = F.pad(self.act(self.inner(x)), (0, 0, 0, 0, 1, 1))
        mask = torch.ones(len(x), 1, dtype=x.dtype).triu()
        return self.out(h.mean((2, 3))) + 0 * mask, None


def test_units_that_are_told_apart_stay():
    gate = Structure.of(Gate(), X)
    assert [group.name for group in gate.groups] == ["inner.weight"]
    gate.prove(Gate(), X)
    with pytest.raises(PathfinderError, match="Largest has no hidden units that can be permuted"):
        Structure.of(Largest(), X)
    module, x = Padded(), torch.randn(2, 2, 3, 3)
    padded = Structure.of(module, x)
    padded.prove(module, x)
    assert [len(group) for group in padded.groups] == [4]
    module, x = Cropped(), torch.randn(2, 2, 4, 4)
    cropped = Structure.of(module, x)
    cropped.prove(module, x)
    assert [len(group) for group in cropped.groups] == [4]  # not the channel that is cut off


def test_a_proof_moves_every_group_and_needs_outputs(without_shapes):
    module = Gate()
    wrong = Structure.by_hand({"head": ["head.weight:0", "head.bias:0"]}, module)
    with pytest.raises(PathfinderError, match="gives other outputs"):
        wrong.prove(module, X)
    silent = nn.Sequential(nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    for useless in (torch.zeros(2, 6), torch.full((2, 6), float("nan"))):
        with pytest.raises(PathfinderError, match="gives only zeros, NaN or infinity on these inputs, which proves"):
            Structure.by_hand({"h": ["0.weight:0"]}, silent).prove(silent, useless)


def test_a_proof_sees_what_an_initialisation_hides(without_shapes):
    """Norms of ones and zeros, and a last layer of zeros, give the same outputs in any order."""
    normed = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        normed[3].weight.zero_()
    before = Frozen.of(normed)
    with pytest.raises(PathfinderError, match="gives other outputs"):
        Structure.by_hand({"h": ["0.weight:0", "0.bias:0", "3.weight:1"]}, normed).prove(normed, X)
    places = ["0.weight:0", "0.bias:0", "1.weight:0", "1.bias:0", "1.running_mean:0", "1.running_var:0", "3.weight:1"]
    Structure.by_hand({"h": places}, normed).prove(normed, X)
    for missing in places:
        with pytest.raises(PathfinderError, match="gives other outputs"):
            Structure.by_hand({"h": [place for place in places if place != missing]}, normed).prove(normed, X)
    before.check(normed)


def test_a_proof_needs_no_more_than_the_network_gives(without_shapes):
    """Outputs that are masked, positive weights of several axes, frozen whole numbers."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.out = nn.Linear(6, 8), nn.Linear(8, 3)
            self.spread = nn.Parameter(torch.full((1, 8), 0.01))
            self.which = nn.Parameter(torch.arange(3), requires_grad=False)

        def forward(self, x):
            logits = self.out(torch.relu(self.inner(x)) / self.spread.sqrt())
            return logits.masked_fill(self.which == 1, -torch.inf)

    module = Masked()
    structure = Structure.of(module, X)
    proved = structure.prove(module, X)
    assert structure.proved and type(proved) is ProvedStructure and proved.groups == structure.groups
    assert repr(proved) == "ProvedStructure(groups=1, units=8)" and [len(group) for group in structure.groups] == [8]
    with pytest.raises(PathfinderError, match="gives other outputs"):
        structure.prove(Largest(), X)
    assert not structure.proved


def test_a_proof_moves_groups_apart(without_shapes):
    """Two groups that are one: permuted in the same way they would pass."""
    module = nn.Sequential(nn.Linear(6, 2), nn.ReLU(), nn.Linear(2, 3))
    apart = {"first": ["0.weight:0", "0.bias:0"], "next": ["2.weight:1"]}
    with pytest.raises(PathfinderError, match="gives other outputs"):
        Structure.by_hand(apart, module).prove(module, X)
    sizes = [3] * 5
    moved = [
        {g for g, order in enumerate(proof) if order.tolist() != [0, 1, 2]} for proof in revealing_permutations(sizes)
    ]
    assert set.union(*moved) == set(range(5))
    assert all(any((a in some) != (b in some) for some in moved) for a in range(5) for b in range(a))


def test_activations_are_those_that_layers_take():
    class Scaled(nn.Linear):
        def forward(self, x):
            return F.linear(x, 0.5 * self.weight, self.bias)

    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.Tanh(), Scaled(5, 3))
    ((first,), (second,)) = Structure.of(module, X).activations(module, X)
    assert torch.allclose(first, module[:2](X)) and torch.allclose(second, module[:4](X))


def test_activations_need_units_that_are_told_apart(without_shapes):
    """A structure written as a table may hold more than one pass shows."""
    module = Largest()
    by_hand = Structure.by_hand({"h": ["inner.weight:0", "inner.bias:0", "out.weight:1"]}, module)
    with pytest.raises(PathfinderError, match="no layer is seen to take the units of `inner.weight` one by one"):
        by_hand.activations(module, X)
