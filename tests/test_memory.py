"""Memory that a command frees stays with its process; each case runs in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from pathfinder import memory

CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
glibc = pytest.mark.skipif(not memory._is_glibc(), reason="needs glibc")

# page faults while 64 blocks of half a megabyte each are taken and freed
FAULTS = """
import ctypes, json, resource
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def faults():
    def turn():
        blocks = [libc.malloc(1 << 19) for _ in range(64)]
        for block in blocks: ctypes.memset(block, 1, 1 << 19)
        for block in blocks: libc.free(block)
    turn()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5): turn()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
SCORING = """
import resource, torch
torch.set_num_threads(1)
from pathfinder import Evaluator, Line, WeightSpace, build_model
module = build_model("convnet-bn", seed=0, input_shape=(1, 8, 8))
space = WeightSpace(module)
evaluator = Evaluator(space, {"train": (torch.rand(1024, 1, 8, 8), torch.arange(1024) % 10)}, batch_size=512)
line = Line(space.vector(module), 0.9 * space.vector(module))
evaluator.score(line, 3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
evaluator.score(line, 9)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
KEEP = "from pathfinder.memory import keep_freed_memory\nkept = keep_freed_memory()\n"


def run(code, **variables):
    """What a new process prints."""
    done = subprocess.run([sys.executable, "-c", code], env=CLEAN | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def counted(before, **variables):
    return run(f"{FAULTS}\nkept = None\n{before}\nprint(json.dumps([kept, faults()]))", **variables)


@glibc
def test_freed_memory_is_used_again_without_faults():
    assert counted("")[1] > 10_000
    kept, faults = counted(KEEP)
    assert kept is True and faults < 100


@glibc
def test_scoring_a_small_network_takes_a_fraction_of_the_faults():
    plain, kept = run(SCORING), run(KEEP + SCORING)
    assert plain > 2_000 and kept < plain / 5


@glibc
def test_importing_the_package_changes_nothing():
    assert (
        counted("import pathfinder\nfrom pathfinder import Evaluator, cli\nimport pathfinder.experiment.run")[1]
        > 10_000
    )


@glibc
@pytest.mark.parametrize(
    "variables",
    [
        {"MALLOC_TRIM_THRESHOLD_": "65536"},
        {"MALLOC_MMAP_THRESHOLD_": "65536"},
        {"MALLOC_ARENA_MAX": "2"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=65536"},
    ],
    ids=str,
)
def test_what_the_user_set_stays(variables):
    kept, faults = counted(KEEP, **variables)
    assert kept is False and faults > 10_000


@glibc
def test_other_tunables_of_glibc_are_no_choice_of_memory():
    assert counted(KEEP, GLIBC_TUNABLES="glibc.pthread.rseq=0")[0] is True


@glibc
def test_the_variables_for_a_child_process_do_the_same():
    assert counted("", **{name: str(bound) for name, bound in memory.THRESHOLDS.items()})[1] < 100


def _raise(error):
    def raised(*_):
        raise error

    return raised


@pytest.mark.parametrize("error", [OSError(22, "Invalid argument"), ValueError("unrecognized configuration name")])
def test_nothing_is_called_without_glibc(error, monkeypatch):  # musl refuses the name, macOS does not know it
    monkeypatch.setattr(os, "confstr", _raise(error))
    monkeypatch.setattr(memory.ctypes, "CDLL", _raise(AssertionError("a library was opened")))
    assert memory.keep_freed_memory() is False


def test_nothing_is_called_where_python_knows_no_such_names(monkeypatch):  # Windows
    monkeypatch.delattr(os, "confstr")
    monkeypatch.setattr(memory.ctypes, "CDLL", _raise(AssertionError("a library was opened")))
    assert memory.keep_freed_memory() is False


@glibc
def test_a_library_without_mallopt_is_left_alone(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert memory.keep_freed_memory() is False
