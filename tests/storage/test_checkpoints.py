"""What is read from files, and what the user's own code raises: each mistake is one line that says what to do."""

import io
import json
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from pathfinder import Geometry, PathfinderError, WeightSpace, build_model, cli, load_data
from pathfinder.errors import users_code
from pathfinder.experiment.config_file import load_config, read_override
from pathfinder.experiment.network import Network
from pathfinder.storage import load_header, load_tensors, load_weights, read_checkpoint
from pathfinder.training.trajectory import trajectory_in
from pathfinder.weights.tensors import load_state


def line_of(call, *arguments):
    """The one line a call must end in."""
    with pytest.raises(PathfinderError) as caught:
        call(*arguments)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 600, line
    return line


def saved(value, **how):
    content = io.BytesIO()
    torch.save(value, content, **how)
    return content.getvalue()


def itself():
    """A dictionary that holds itself where the weights are looked for."""
    content = {"epoch": 3}
    content["model"] = content
    return content


CHECKPOINTS = {
    "sparse": (saved({"w": torch.eye(3).to_sparse()}), "`w` is torch.sparse_coo", "save plain tensors"),
    "without values": (saved({"w": torch.empty(3, device="meta")}), "`w` is empty (torch.float32)", "with values"),
    "of itself": (saved(itself()), "holds no state dict but `epoch`, `model`", "save model.state_dict()"),
    "of a tensor": (saved(torch.ones(3)), "holds no state dict but Tensor", "save model.state_dict()"),
    "of long names": (
        saved({"n" * 9000: 1, "\x1b[31m": 2}),
        "holds no state dict but `nnnn",
        "save model.state_dict()",
    ),
    "empty": (b"", "cannot be read", "is it cut short?"),
    "text": (b"weights\n" * 99, "damaged or holds more than tensors", "save model.state_dict()"),
    "old and cut short": (saved({"w": torch.ones(9)}, _use_new_zipfile_serialization=False)[:-40], "x.pt", ""),
    "old with a wrong stack": (b"\x80\x02s.", "x.pt", ""),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints_that_hold_no_plain_weights_are_one_line(kind, tmp_path):
    content, words, remedy = CHECKPOINTS[kind]
    (tmp_path / "x.pt").write_bytes(content)
    line = line_of(load_weights, tmp_path / "x.pt")
    assert words in line and remedy in line, line


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.ones(3, 2, dtype=torch.complex64), "`weight` is torch.complex64, not torch.float32"),
        (torch.ones(3, 2, dtype=torch.int64), "`weight` is torch.int64, not torch.float32"),
        (torch.ones(3, 2, dtype=torch.bool), "`weight` is torch.bool, not torch.float32"),
    ],
)
def test_weights_that_are_no_real_numbers_are_refused(tensor, words):
    assert words in line_of(load_state, nn.Linear(2, 3), {"weight": tensor, "bias": torch.ones(3)})
    module = nn.Linear(2, 3)
    load_state(module, {"weight": torch.ones(3, 2, dtype=torch.float16), "bias": torch.ones(3)})
    assert bool((module.weight == 1).all())


def test_counters_may_be_of_another_type():
    module = nn.BatchNorm1d(2)
    load_state(module, {**module.state_dict(), "num_batches_tracked": torch.tensor(3.0)})
    assert int(module.num_batches_tracked) == 3


def bomb(path, size):
    """An archive that says it would unpack to `size` bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x_train.npy", bytes(2**20))
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24  # where the table of the archive holds the size
    content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize(("name", "read"), [("x.pt", load_weights), ("x.npz", lambda path: load_data(f"npz:{path}"))])
def test_an_archive_made_to_fill_the_memory_is_not_unpacked(name, read, tmp_path):
    bomb(tmp_path / name, 2**29)
    line = line_of(read, tmp_path / name)
    assert "would unpack 0.0" in line and "MiB to 0.5 GiB, which no real file does" in line, line


CURVE = {"start": torch.zeros(3), "bends": torch.ones(1, 3), "end": torch.ones(3)}
CURVES = {
    "no start": ({"start": None}, "no whole bezier ('start')"),
    "no bends": ({"bends": None}, "no whole bezier ('bends')"),
    "ends of two lengths": ({"end": torch.ones(4)}, "no whole bezier"),
    "bends of another length": ({"bends": torch.ones(1, 4)}, "no whole bezier (bends must be (bends, 3)"),
    "bends as a vector": ({"bends": torch.ones(3)}, "write bends[None] for one bend"),
    "whole numbers": ({name: t.long() for name, t in CURVE.items()}, "no whole bezier"),
    "bends of another type": ({"bends": torch.ones(1, 3, dtype=torch.float64)}, "torch.float64 (3,)"),
    "NaN": ({"end": torch.ones(3) * torch.nan}, "holds NaN or infinity"),
}


@pytest.mark.parametrize("kind", CURVES)
def test_a_curve_that_is_not_whole_is_named(kind, tmp_path, without_shapes):
    change, words = CURVES[kind]
    tensors = {name: tensor for name, tensor in {**CURVE, **change}.items() if tensor is not None}
    save_file(tensors, tmp_path / "x.safetensors", {"kind": '"bezier"'})
    line = line_of(Geometry.load, tmp_path / "x.safetensors")
    assert words in line and "x.safetensors" in line, line


def test_a_header_is_read_without_the_tensors(tmp_path):
    deep = "[" * 50_000
    save_file(CURVE, tmp_path / "x.safetensors", {"kind": '"bezier"', "deep": deep, "long": "1" * 5000})
    values, metadata = load_header(tmp_path / "x.safetensors")
    assert values == 9 and metadata == load_tensors(tmp_path / "x.safetensors")[1]
    assert metadata == {"kind": "bezier", "deep": deep, "long": "1" * 5000}


def arrays(path, **change):
    x, y = np.zeros((4, 2), np.float32), np.arange(4) % 2
    given = {"x_train": x, "y_train": y, "x_test": x, "y_test": y} | change
    np.savez(path, **given)


def encrypted(path):
    arrays(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 8] |= 1
    content[6] |= 1
    path.write_bytes(content)


def claims(shape):
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def claimed(path, shape):
    with zipfile.ZipFile(path, "w") as packed:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            packed.writestr(f"{name}.npy", claims(shape))


NPZ = {
    "complex numbers": (lambda p: arrays(p, x_train=np.ones((4, 2), np.complex64)), "real numbers, got complex64"),
    "complex targets": (lambda p: arrays(p, y_test=np.ones(4, np.complex128)), "y of the split test must hold real"),
    "text": (lambda p: arrays(p, x_test=np.array([["1.5", "2"]] * 4)), "real numbers, got <U3"),
    "dates": (lambda p: arrays(p, x_train=np.zeros((4, 2), "M8[s]")), "real numbers, got datetime64[s]"),
    "encrypted": (encrypted, "encrypted"),
    "four terabytes": (lambda p: claimed(p, (10**12,)), "not a readable npz"),
    "more than can be": (lambda p: claimed(p, (2**62, 2**62)), "not a readable npz"),
    "numbers beyond float32": (lambda p: arrays(p, x_train=np.full((4, 2), 1e300)), "inf"),
}


@pytest.mark.parametrize("kind", NPZ)
def test_arrays_that_are_no_data_are_one_line(kind, tmp_path):
    make, words = NPZ[kind]
    make(tmp_path / "x.npz")
    assert words in line_of(load_data, f"npz:{tmp_path / 'x.npz'}")


def test_a_picture_made_to_fill_the_memory_is_named(tmp_path):
    for name, side in (("train/cat", 4), ("train/dog", 4)):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (side, side)).save(tmp_path / name / "a.png")
    picture = bytearray((tmp_path / "train" / "dog" / "a.png").read_bytes())
    picture[16:24] = struct.pack(">II", 12_000, 10_000)
    picture[29:33] = struct.pack(">I", zlib.crc32(picture[12:29]))
    (tmp_path / "train" / "dog" / "large.png").write_bytes(picture)
    line = line_of(load_data, f"folder:{tmp_path}")
    assert "large.png cannot be read" in line and "120000000 pixels" in line


@pytest.mark.parametrize("name", ["npz:" + "n" * 300, "npz:a\0b", "folder:" + "n" * 300, "folder:a\0b"])
def test_names_that_no_file_can_have_are_one_line(name):
    with pytest.raises(PathfinderError):
        load_data(name)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    torch.save({"w": torch.ones(2)}, tmp_path / "x.pt")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "x.pt cannot be read; check its permissions" in line_of(load_weights, tmp_path / "x.pt")


def test_names_and_shapes_from_a_file_are_shown_in_short(tmp_path):
    save_file({"n" * 5000: torch.ones([1] * 200), "\x1b[31m": torch.ones(1)}, tmp_path / "x.safetensors")
    line = line_of(load_state, nn.Linear(2, 3), load_weights(tmp_path / "x.safetensors"))
    assert "unexpected: `" in line and "`nnnn" in line and "both need the same architecture" in line


def test_only_numbered_checkpoints_are_of_a_trajectory(tmp_path):
    module = nn.Linear(2, 3)
    for name in ("0001", "0012", "\N{SUPERSCRIPT TWO}", "last"):
        save_file(module.state_dict(), tmp_path / f"epoch-{name}.safetensors")
    assert trajectory_in(tmp_path, WeightSpace(module)).epochs == [1, 12]


TOML = {
    "a number of 5000 digits": "seed = " + "9" * 5000,
    "brackets 3000 deep": "seed = " + "[" * 3000 + "]" * 3000,
    "tables 3000 deep": "seed = " + "{a=" * 3000 + "1" + "}" * 3000,
    "a key of 3000 parts": "a." * 3000 + "b = 1",
    "a NUL": "seed = 1\0",
    "no UTF-8": b"seed = '\xff'",
}


@pytest.mark.parametrize("kind", TOML)
def test_numbers_and_brackets_beyond_reading_are_one_line(kind, tmp_path):
    text = TOML[kind]
    (tmp_path / "x.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    line_of(load_config, tmp_path / "x.toml")


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 3000 + "]" * 3000, "{a=" * 3000 + "1" + "}" * 3000])
def test_the_same_in_a_setting(value, tmp_path):
    assert "--set seed has no value TOML can hold" in line_of(read_override, f"seed={value}", "--set")
    (tmp_path / "tiny.toml").write_text(TINY)
    with pytest.raises(PathfinderError, match="--set seed"):
        load_config(tmp_path / "tiny.toml", [f"seed={value}"])


@pytest.mark.parametrize("value", ["x" * 5000, f"[{'1,' * 3000}]", "9" * 4000, "[" * 300 + "]" * 300])
@pytest.mark.parametrize("key", ["score.points", "minimum.schedule", "curves", "n" * 5000, "data.name.x", "model.a.b"])
def test_long_values_are_shown_in_short(key, value, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    try:
        load_config(tmp_path / "tiny.toml", [f"{key}={value}"])
    except PathfinderError as error:
        assert len(str(error)) < 600, error
    else:
        assert key == "model.a.b" or value.isdigit()  # a number that is large, but one


NETS = """
import sys
import torch
from torch import nn

class Net(nn.Linear):
    def __init__(self, num_classes, how=None):
        super().__init__(64, num_classes)
        self.how = how
        if how == "key":
            {}["depth"]
        if how == "assert":
            assert num_classes == 3
        if how == "exit":
            sys.exit(0)
        if how == "memory":
            raise MemoryError

    def forward(self, x):
        if self.how == "forward key":
            {}["x"]
        if self.how == "forward exit":
            sys.exit()
        if self.how == "training" and self.training:
            {}["train"]
        return super().forward(x.flatten(1))

class Silent(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(10)

    def forward(self, x):
        return self.head(x.flatten(1))

def key():
    return {}["train"]

def leave():
    sys.exit("no data today")

def needing(folder):
    return {}

def objects():
    import numpy as np
    return {"train": (np.array([None] * 4), np.arange(4)), "test": (np.zeros((4, 2)), np.arange(4))}
"""
AT_IMPORT = {
    "name": ("nmae", "NameError: name 'nmae' is not defined (at_name.py:3)"),
    "zero": ("1 / 0", "ZeroDivisionError: division by zero (at_zero.py:3)"),
    "key": ("{}['a']", "KeyError: 'a' (at_key.py:3)"),
    "assert": ("assert 0, 'no GPU'", "AssertionError: no GPU (at_assert.py:3)"),
    "syntax": ("def (:", "invalid syntax (at_syntax.py, line 3)"),
    "exit": ("import sys; sys.exit(0)", "SystemExit: 0 (at_exit.py:3)"),
    "stopping": ("exit()", "SystemExit"),
    "deep": ("f = lambda: f()\nf()", "RecursionError: maximum recursion depth exceeded (at_deep.py:3)"),
    "import": ("import no_such_package", "No module named 'no_such_package' (at_import.py:3)"),
    "lines": ("raise ValueError('first\\nsecond')", "ValueError: first (at_lines.py:3)"),
}
BUILT = {
    "key": "cannot be built: KeyError: 'depth' (own_code.py:11); see its arguments",
    "assert": "cannot be built: AssertionError (own_code.py:13); see",
    "exit": "cannot be built: SystemExit: 0 (own_code.py:15)",
    "memory": "cannot be built: MemoryError (own_code.py:17)",
    "forward key": "cannot score the data (split train, inputs (1, 8, 8)): KeyError: 'x' (own_code.py:21)",
    "forward exit": "cannot score the data (split train, inputs (1, 8, 8)): SystemExit (own_code.py:23)",
}
MADE = {
    "key": "data `own_code:key` cannot be made: KeyError: 'train' (own_code.py:42); it must be a function without",
    "leave": "cannot be made: SystemExit: no data today (own_code.py:45)",
    "needing": "cannot be made: needing() missing 1 required positional argument: 'folder'; it must be a function",
    "objects": "data `own_code:objects` cannot be used: can't convert np.ndarray of type numpy.object_",
    "missing": "cannot import `own_code:missing`: module 'own_code' has no attribute 'missing'; write package.module",
}


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, without_shapes):
    """Runs a command in a folder with code of the user's: the one line in which it must end, with nothing written."""
    (tmp_path / "own_code.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "pytest" not in path])
    for name in ("own_code", *(f"at_{kind}" for kind in AT_IMPORT)):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(*arguments, written=()):
        before = set(tmp_path.rglob("*"))
        monkeypatch.setattr(sys, "argv", ["pathfinder", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if " s left" not in line]
        assert (stop.value.code, out, len(lines)) == (2, "", 1), err
        assert {path.name for path in set(tmp_path.rglob("*")) - before} <= set(written)
        return lines[0]

    return run


@pytest.mark.parametrize("kind", AT_IMPORT)
def test_what_a_module_of_the_user_raises_when_imported_is_one_line(kind, refused):
    code, words = AT_IMPORT[kind]
    Path(f"at_{kind}.py").write_text(f"# mine\n\n{code}\n")
    for command in (["train", f"at_{kind}:Net", "--data", "digits"], ["train", "mlp", "--data", f"at_{kind}:make"]):
        line = refused(*command, "-o", "new.safetensors")
        assert f"cannot import `at_{kind}:" in line and words in line, line


@pytest.mark.parametrize("how", BUILT)
def test_what_a_network_of_the_user_raises_is_one_line(how, refused):
    line = refused("train", "own_code:Net", "--data", "digits", "-o", "new.safetensors", "--model-arg", f"how='{how}'")
    assert BUILT[how] in line, line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Silent", 'Module [Silent] is missing the required "forward" function'),
        ("Lazy", "network `own_code:Lazy` is lazy: `head.weight`, `head.bias` have no shape before it sees data"),
    ],
)
def test_networks_that_cannot_be_scored_are_one_line(name, words, refused):
    line = refused("train", f"own_code:{name}", "--data", "digits", "-o", "new.safetensors")
    assert words in line, line


def test_what_a_network_raises_in_training_alone_is_one_line_too(refused):
    options = ["--model-arg", "how='training'", "-o", "new.safetensors"]
    line = refused("train", "own_code:Net", "--data", "digits", *options, written=[".new.safetensors.partial"])
    assert "your code stopped the command: KeyError: 'train' (own_code.py:25); fix it there" in line, line


@pytest.mark.parametrize("name", MADE)
def test_what_data_of_the_user_raises_is_one_line(name, refused):
    line = refused("train", "mlp", "--data", f"own_code:{name}", "-o", "new.safetensors")
    assert MADE[name] in line, line


def test_ctrl_c_in_code_of_the_user_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt), users_code("nothing", "do nothing"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "name", ["mlp", "convnet-bn", "resnet", "preresnet110", "torchvision:resnet18", "torchvision:regnet_y_400mf"]
)
def test_what_train_writes_is_understood_again(name, tmp_path):
    from pathfinder.experiment.network import data_in, network_in

    sizes = {"resnet": {"depth": 8}, "preresnet110": {"depth": 11}}.get(name, {})
    arguments = {"num_classes": 3, "input_shape": [3, 32, 32], **sizes}
    network = Network(name, arguments, {"name": "npz:mine.npz", "crop": 2})
    network.save(tmp_path / "a.safetensors", build_model(name, **arguments).state_dict())
    found = read_checkpoint(tmp_path / "a.safetensors")
    assert network_in(found, network.data) == network
    assert data_in(found) == network.data


def test_metadata_of_others_says_nothing(tmp_path):
    from pathfinder.experiment.network import data_in, network_in

    for said in ({"format": "pt"}, {"model": "resnet"}, {"model": json.dumps({"name": 3, "arguments": {}})}):
        save_file({"w": torch.ones(2)}, tmp_path / "x.safetensors", said)
        found = read_checkpoint(tmp_path / "x.safetensors")
        assert network_in(found, {}) is None and data_in(found) is None
