from pathlib import Path

import pytest
import torch

from pathfinder import PathfinderError
from pathfinder.data.settings import Data
from pathfinder.experiment.network import check_normalization, data_of
from pathfinder.storage import Checkpoint

GREY = {"mean": 0.5, "std": 0.25}


def checkpoint(data):
    """A file of weights that says this of its data, or nothing."""
    return Checkpoint(Path("a.safetensors"), {"w": torch.ones(2)}, {} if data is None else {"data": data}, "0")


@pytest.mark.parametrize(
    ("name", "settings", "wanted"),
    [
        (None, {}, {"name": "cifar10", "crop": 4, **GREY}),
        ("cifar100", {}, {"name": "cifar100", **GREY}),
        ("cifar10", {"flip": True}, {"name": "cifar10", "crop": 4, "flip": True, **GREY}),
        ("cifar100", {"mean": "none", "std": "none"}, {"name": "cifar100", "mean": "none", "std": "none"}),
        (None, {"mean": "data", "std": "data"}, {"name": "cifar10", "crop": 4, "mean": "data", "std": "data"}),
        (None, {"mean": 0.4}, {"name": "cifar10", "crop": 4, "mean": 0.4, "std": 0.25}),
    ],
)
def test_a_network_keeps_its_normalisation_unless_another_is_given(name, settings, wanted):
    found = data_of(name, settings, checkpoint({"name": "cifar10", "crop": 4, **GREY}))
    assert found == Data.parse(wanted)


@pytest.mark.parametrize(
    ("recorded", "used"),
    [
        ({"name": "cifar10", **GREY}, {"mean": (0.5, 0.5, 0.5), "std": 0.25}),
        ({"name": "cifar10"}, {"mean": "data", "std": "data"}),
        ("cifar10", {}),
        (None, GREY),  # a file of plain torch
        ({"mean": [123.7], "std": [58.4]}, GREY),  # a file of another program
        ({"name": 3, "mean": 0.1}, GREY),
    ],
)
def test_the_same_normalisation_may_be_written_in_two_ways_or_not_at_all(recorded, used):
    check_normalization(used, checkpoint(recorded))


@pytest.mark.parametrize(
    ("recorded", "used", "words"),
    [
        (GREY, {}, "trained with mean 0.5 and std 0.25, but the training data's own mean and std would be used"),
        ({}, {"mean": "none", "std": "none"}, "with the training data's own mean and std, but mean none and std none"),
        ({"mean": [0.5, 0.4], "std": 0.25}, GREY, "mean 0.5,0.4 and std 0.25, but mean 0.5 and std 0.25"),
        ({"mean": 0.5}, GREY, "a.safetensors records no normalisation that can be used: mean and std go together"),
        ({"mean": "grey", "std": 1}, GREY, "a.safetensors records no normalisation that can be used: mean must be"),
    ],
)
def test_another_normalisation_is_refused(recorded, used, words):
    with pytest.raises(PathfinderError) as error:
        check_normalization(used, checkpoint({"name": "cifar10", **recorded}))
    assert words in str(error.value) and "\n" not in str(error.value)
