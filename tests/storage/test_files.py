import os
import pickle

import pytest
import torch

from pathfinder import PathfinderError
from pathfinder.storage import StageFile, load_tensors, load_weights, save_tensors, write, write_text

STATE = {"layer.weight": torch.randn(3, 2), "layer.bias": torch.randn(3)}


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".t7"])
def test_checkpoints_of_others_are_read(wrap, prefix, suffix, tmp_path):
    torch.save(wrap({prefix + name: tensor for name, tensor in STATE.items()}), tmp_path / f"a{suffix}")
    found = load_weights(tmp_path / f"a{suffix}")
    assert list(found) == list(STATE) and all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_a_name_that_looks_like_a_wrapper_is_left_alone(tmp_path):
    torch.save({"module.weight": torch.ones(1), "head.weight": torch.ones(1)}, tmp_path / "a.pt")
    assert list(load_weights(tmp_path / "a.pt")) == ["module.weight", "head.weight"]


def test_safetensors_with_metadata_come_back(tmp_path):
    save_tensors(tmp_path / "a.safetensors", STATE, {"kind": "x", "numbers": [1, 2.5]})
    tensors, metadata = load_tensors(tmp_path / "a.safetensors")
    assert metadata == {"kind": "x", "numbers": [1, 2.5]} and torch.equal(tensors["layer.bias"], STATE["layer.bias"])


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def test_a_pickle_that_would_run_code_does_not(tmp_path):
    for save, name in ((torch.save, "a.pt"), (lambda value, path: path.write_bytes(pickle.dumps(value)), "b.pth")):
        save({"state_dict": Malicious(tmp_path / "ran")}, tmp_path / name)
        with pytest.raises(PathfinderError, match=rf"{name}.*(not unpickled|cannot be read)"):
            load_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_truncated_files_are_named(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    if suffix == ".pt":
        torch.save(STATE, path)
    else:
        save_tensors(path, STATE, {})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PathfinderError, match=f"a{suffix}"):
        load_weights(path)


def test_missing_files_folders_and_empty_checkpoints_are_named(tmp_path):
    with pytest.raises(PathfinderError, match="no.pt does not exist"):
        load_weights(tmp_path / "no.pt")
    with pytest.raises(PathfinderError, match="is a folder"):
        load_weights(tmp_path)
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(PathfinderError, match="holds no state dict but `epoch`"):
        load_weights(tmp_path / "a.pt")


def test_a_failed_write_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "a.csv", "old\n")

    def fail(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(PathfinderError, match=r"cannot write .*a.csv: No space left on device; free some space"):
        write(tmp_path / "a.csv", fail)
    assert (tmp_path / "a.csv").read_text() == "old\n" and list(tmp_path.iterdir()) == [tmp_path / "a.csv"]


def test_a_stage_is_trusted_under_its_own_key_only(tmp_path):
    stage = StageFile(tmp_path / "s.pt", "key")
    assert stage.load() is None and not stage.due()
    stage.save({"rows": [{"x": 1.5}], "tensor": torch.ones(2)})
    assert stage.load()["rows"] == [{"x": 1.5}]
    assert StageFile(tmp_path / "s.pt", "other").load() is None
    (tmp_path / "s.pt").write_bytes(b"damaged")
    assert stage.load() is None
    assert StageFile(tmp_path / "s.pt", "key", every=0.0).due()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(PathfinderError, match="is a pipe or a device; name a file"):
        load_weights(tmp_path / "pipe.pt")
