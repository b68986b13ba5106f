import threading

import pytest
import torch
from torch import nn

from pathfinder import PathfinderError, build_model
from pathfinder.threads import SMALL, threads, threads_for

MACHINE = 3


@pytest.fixture(autouse=True)
def machine():
    """A machine on which torch finds three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(MACHINE)
    yield
    torch.set_num_threads(before)


class Weights(nn.Module):
    """A module of so many weights, some of them frozen, all of them tied to a second name."""

    def __init__(self, size):
        super().__init__()
        self.trained, self.frozen = nn.Parameter(torch.zeros(size - 10)), nn.Parameter(torch.zeros(10), False)
        self.other_name, self.more = self.trained, nn.Buffer(torch.zeros(size))


@pytest.mark.parametrize(("size", "number"), [(11, 1), (SMALL - 1, 1), (SMALL, MACHINE), (2 * SMALL, MACHINE)])
def test_the_number_follows_from_the_number_of_weights(size, number):
    assert threads_for(Weights(size)) == number
    assert threads_for(Weights(size), 2) == 2


@pytest.mark.parametrize(("name", "number"), [("mlp", 1), ("convnet", 1), ("convnet-bn", 1), ("resnet20", MACHINE)])
def test_networks_of_this_project(name, number):
    shape = (3, 32, 32) if name == "resnet20" else (1, 8, 8)
    assert threads_for(build_model(name, input_shape=shape, seed=0)) == number


@pytest.mark.parametrize("wrong", [0, -1, 1025, 10**30, 1.0, True, "2"])
def test_a_number_that_cannot_be_is_refused(wrong, without_shapes):
    with pytest.raises(PathfinderError, match="^threads must be"):
        threads_for(Weights(11), wrong)
    assert torch.get_num_threads() == MACHINE


def test_the_number_is_restored_after_errors_too():
    with threads(2):
        assert torch.get_num_threads() == 2
        with threads():
            torch.set_num_threads(1)
        assert torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError), threads(1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == MACHINE


@pytest.mark.skipif(not torch.backends.openmp.is_available(), reason="the number belongs to a thread with OpenMP")
def test_another_thread_keeps_its_own_number():
    found = []

    def work():
        with threads(1):
            found.append(torch.get_num_threads())
            inside.set()
            go.wait(60)

    inside, go = threading.Event(), threading.Event()
    other = threading.Thread(target=work)
    other.start()
    assert inside.wait(60)
    found.append(torch.get_num_threads())
    go.set()
    other.join()
    assert found == [1, MACHINE] and torch.get_num_threads() == MACHINE
