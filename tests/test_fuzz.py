"""Files damaged at random: a reader gives what it can or one line, never another error, and writes nothing."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from pathfinder import Geometry, PathfinderError, build_model, load_data
from pathfinder.experiment.config import Config
from pathfinder.experiment.config_file import load_config, read_override
from pathfinder.experiment.folder import Run
from pathfinder.experiment.network import data_in, network_in
from pathfinder.storage import StageFile, load_weights, read_checkpoint
from pathfinder.tables.csv_files import read_table
from pathfinder.tables.schema import SUMMARY

MLP = {"name": "mlp", "arguments": {"widths": [4], "num_classes": 10, "input_shape": [1, 8, 8]}}
SAYS = {"model": MLP, "data": {"name": "npz:x.npz", "crop": 1}}


def checkpoint() -> dict[str, Any]:
    return {"state_dict": build_model("mlp", seed=0, widths=[4], input_shape=(1, 8, 8)).state_dict(), "epoch": 3}


def torch_file(**how: Any) -> bytes:
    content = io.BytesIO()
    torch.save(checkpoint(), content, **how)
    return content.getvalue()


def safetensors(tensors: dict[str, torch.Tensor], **said: Any) -> bytes:
    return save(tensors, {key: json.dumps(value) for key, value in said.items()})


def npz() -> bytes:
    content, x, y = io.BytesIO(), np.linspace(0, 1, 20).reshape(5, 4), np.arange(5) % 2
    np.savez(content, x_train=x, y_train=y, x_test=x, y_test=y)
    return content.getvalue()


def table() -> bytes:
    rows = [f"mlp,mlp,line,{split},loss,{i / 7},{i}" for i, split in enumerate(("train", "test"))]
    return "\n".join(["group,pair,path,split,metric,barrier,argmax", *rows, ""]).encode()


CURVE = {"start": torch.zeros(6), "bends": torch.ones(2, 6), "end": torch.ones(6)}


STATE = {"rows": [{"x": 0.5}], "losses": [{("loss", "train"): torch.ones(3)}], "done": 2}


def stage() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        StageFile(Path(folder) / "x.pt", "key").save(STATE)
        return (Path(folder) / "x.pt").read_bytes()


def resumed(path: Path) -> None:
    """What is kept counts as none, or is as it was saved."""
    found = StageFile(path, "key").load()
    assert found is None or repr(found) == repr(STATE)


def recorded(path: Path) -> None:
    """The seconds of an earlier run, whatever its record says, can be added to."""
    for seconds in Run(path.parent, "tiny")._seconds.values():
        assert seconds + 1.0 > seconds or abs(seconds) > 1e15


@dataclass
class Reader:
    """What reads a kind of file: the file's name, good content, and the call, which takes the path."""

    name: str
    good: Callable[[], bytes]
    read: Callable[[Path], object]


READERS = {
    "config": Reader("x.toml", lambda: TINY.encode(), load_config),
    "weights": Reader("x.safetensors", lambda: safetensors(checkpoint()["state_dict"], **SAYS), load_weights),
    "curve": Reader("x.safetensors", lambda: safetensors(CURVE, kind="bezier", **SAYS), Geometry.load),
    "checkpoint": Reader("x.pt", torch_file, load_weights),
    "old checkpoint": Reader("x.pt", lambda: torch_file(_use_new_zipfile_serialization=False), load_weights),
    "arrays": Reader("x.npz", npz, lambda path: load_data(f"npz:{path}")),
    "table": Reader("summary.csv", table, lambda path: read_table(path, SUMMARY, ["pair", "path", "barrier"])),
    "record": Reader("run.json", lambda: b'{"name": "tiny", "seconds": {"minimum a": 3.25}}', recorded),
    "stage": Reader("x.pt", stage, resumed),
}
ARCHIVES = ["checkpoint", "arrays", "stage"]  # whose members are damaged too, under a right checksum

PARTS = [b"\0", b"\xff" * 4, b"\n", b'"', b"[" * 50, b"{", b",", b"=", b"1e999", b"-1", b"nan", b"9" * 30, b"\x80\x02."]
EDITS = st.lists(
    st.tuples(
        st.integers(0, 2**16 - 1),  # where, as a share of the length
        st.sampled_from(["flip", "drop", "put", "repeat", "cut"]),
        st.one_of(st.binary(min_size=1, max_size=6), st.sampled_from(PARTS)),
    ),
    min_size=1,
    max_size=3,
)
EXAMPLES = 400  # of each reader


def fuzzing(examples: int) -> settings:
    """So many examples, the same on every run, however long one takes; nothing is kept of them."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def damaged(content: bytes, edits: list[tuple[int, str, bytes]]) -> bytes:
    """The content after some edits."""
    for share, how, part in edits:
        at = share * (len(content) + 1) >> 16
        before, after = content[:at], content[at:]
        if how == "flip":
            content = before + bytes(a ^ b for a, b in zip(after, part, strict=False)) + after[len(part) :]
        elif how == "drop":
            content = before + after[len(part) :]
        elif how == "put":
            content = before + part + after
        elif how == "repeat":
            content = before + after[: 8 * len(part)] + after
        elif share % 4 == 0:  # else most files would be cut short
            content = before
    return content


def repacked(content: bytes, member: int, edits: list[tuple[int, str, bytes]]) -> bytes:
    """An archive with one of its members damaged, and the checksum of that."""
    done = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(done, "w") as new:
        names = old.namelist()
        for name in names:
            data = old.read(name)
            new.writestr(name, damaged(data, edits) if name == names[member % len(names)] else data)
    return done.getvalue()


def check(reader: Reader, content: bytes, folder: Path) -> None:
    """Let a reader have the content: it may be read, or refused in one line; nothing else is in the folder then."""
    path = folder / reader.name
    path.write_bytes(content)
    try:
        reader.read(path)
    except PathfinderError as error:
        assert str(error).isprintable() and len(str(error)) < 1000
    assert [file.name for file in folder.iterdir()] == [reader.name] and path.read_bytes() == content


@pytest.fixture
def nothing_imported(monkeypatch, without_shapes):
    """Files that are read name no code."""

    def refuse(path: str) -> None:
        raise AssertionError(f"{path} was imported")

    monkeypatch.setattr("pathfinder.models.build.by_import_path", refuse)


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_read_or_refused_in_one_line(kind, tmp_path, nothing_imported):
    reader = READERS[kind]
    good = reader.good()
    (tmp_path / reader.name).write_bytes(good)
    reader.read(tmp_path / reader.name)

    @fuzzing(EXAMPLES)
    @given(edits=EDITS)
    def fuzz(edits):
        check(reader, damaged(good, edits), tmp_path)

    fuzz()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_damaged_member_of_an_archive_is_read_or_refused_in_one_line(kind, tmp_path, nothing_imported):
    good = READERS[kind].good()

    @fuzzing(EXAMPLES)
    @given(member=st.integers(0, 7), edits=EDITS)
    def fuzz(member, edits):
        check(READERS[kind], repacked(good, member, edits), tmp_path)

    fuzz()


NAMES = [
    "mlp",
    "resnet",
    "convnet-bn",
    "digits",
    "npz:x.npz",
    "os:system",
    "this:s",
    "torchvision:alexnet",
    "a:b:c",
    "",
]
KEYS = ["name", "arguments", "widths", "depth", "input_shape", "num_classes", "seed", "crop", "examples", "weights"]
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 40),
        st.sampled_from([2**31, 2**63, 10**40, -(10**10), 0.5, float("nan"), float("inf"), 1e300]),
        st.sampled_from(NAMES),
        st.text(max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=3)), inner, max_size=3),
    ),
    max_leaves=6,
)
MODELS = st.fixed_dictionaries(
    {"name": st.sampled_from(NAMES), "arguments": st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3)}
)


def test_whatever_a_file_says_of_itself_is_understood_or_refused_in_one_line(tmp_path, nothing_imported):
    tensors = checkpoint()["state_dict"]

    def read(path: Path) -> None:
        file = read_checkpoint(path)
        for asked in (lambda: network_in(file, {}), lambda: data_in(file), lambda: Geometry.load(file)):
            try:
                asked()
            except PathfinderError as error:
                assert str(error).isprintable() and len(str(error)) < 1000

    reader = Reader("x.safetensors", bytes, read)

    @fuzzing(EXAMPLES)
    @given(model=st.one_of(MODELS, VALUES), data=VALUES, kind=VALUES)
    def fuzz(model, data, kind):
        check(reader, safetensors(tensors, model=model, data=data, kind=kind), tmp_path)

    fuzz()


def leaves(table: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of nested tables, of tables too."""
    keys = [f"{prefix}{key}" for key in table]
    return keys + [
        name for key, part in table.items() if isinstance(part, dict) for name in leaves(part, f"{prefix}{key}.")
    ]


def test_any_value_of_a_config_is_taken_or_refused_in_one_line(tmp_path):
    (tmp_path / "x.toml").write_text(TINY)
    shapes = {name: field.annotation for name, field in Config.model_fields.items()}
    whole = load_config(tmp_path / "x.toml").model_dump()
    keys = leaves(whole) + [f"pairs.0.{key}" for key in leaves(whole["pairs"][0])]
    keys += [f"{table}.0.{key}" for table in ("curves",) for key in leaves(whole[table][0])]
    assert set(shapes) <= set(keys)

    @fuzzing(2 * EXAMPLES)
    @given(changes=st.lists(st.tuples(st.sampled_from(keys), VALUES), min_size=1, max_size=3))
    def fuzz(changes):
        try:
            load_config(tmp_path / "x.toml", [f"{key}={json.dumps(value)}" for key, value in changes])
        except PathfinderError as error:
            assert len(str(error).splitlines()) == 1

    fuzz()


@fuzzing(EXAMPLES)
@given(text=st.text(alphabet="ab.=[]{}\"'0123456789e-+_ ,\n#", max_size=24))
def test_any_text_of_a_setting_is_taken_or_refused(text):
    try:
        key, _ = read_override(text, "--set")
    except PathfinderError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert key == text.partition("=")[0].strip()
