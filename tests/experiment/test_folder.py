"""What may be in the folder of a run, what is removed from it, and who works in it."""

import json
import multiprocessing
import os
import time
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from pathfinder import PathfinderError
from pathfinder.errors import PathfinderWarning
from pathfinder.experiment import work
from pathfinder.experiment.engines import Serial, do
from pathfinder.experiment.folder import Run
from pathfinder.experiment.pieces import Piece
from pathfinder.experiment.progress import SharedProgress
from pathfinder.progress import silent
from pathfinder.storage import StageFile, hold_lock, write, write_text
from pathfinder.storage.resume import map_points


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.is_dir() or path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def keep(monkeypatch):
    """Do a piece in the folder of a run, which gives a state to be kept; returns what was kept before."""

    def keep(run, name, state=None, lasting=False):
        found = []

        def act(place, stage, progress):
            found.append(stage.load())
            return state

        monkeypatch.setattr(work, "act", act, raising=False)
        run.note(do(Piece(name, "act", (), "key", lasting=lasting), SimpleNamespace(folder=run.path), silent))
        return found[0]

    return keep


@pytest.fixture
def run(tmp_path, keep):
    """The folder of a run called `mine`, with one piece of work in it."""
    folder = Run(tmp_path / "run", "mine")
    with folder:
        keep(folder, "piece one", {"rows": [1.5], "finished": True})
    return tmp_path / "run"


def test_a_folder_that_is_refused_loses_nothing(tmp_path):
    (tmp_path / "home" / "docs").mkdir(parents=True)
    (tmp_path / "home" / ".x.tmp").mkdir()
    for name in ("docs/.draft.tmp", "notes.txt", ".paths.csv.0123abcd.tmp", ".lock"):
        (tmp_path / "home" / name).write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(PathfinderError, match="holds other files, not `mine`; choose another folder"):
        Run(tmp_path / "home", "mine")
    assert tree(tmp_path) == before


def test_only_what_a_killed_write_left_is_removed(run):
    ours = [".paths.csv.0123abcd.tmp", ".work/.piece.pt.0123abcd.tmp", "figures/.a.png.0123abcd.tmp"]
    theirs = ["figures/.draft.tmp", "notes/.a.csv.0123abcd.tmp", ".x.0123abcd.tmp", "figures/a.tmp"]
    for name in [*ours, *theirs]:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("x")
    (run / ".y.csv.0123abcd.tmp").mkdir()
    with Run(run, "mine"):
        pass
    assert not any((run / name).exists() for name in ours)
    assert all((run / name).exists() for name in theirs) and (run / ".y.csv.0123abcd.tmp").is_dir()


def test_a_folder_that_leads_elsewhere_is_refused(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (run / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PathfinderError, match="figures is a link"):
        Run(run, "mine")


@pytest.mark.parametrize(
    "record", ["", "[]", "[" * 100_000, '{"name": 3}', '{"name": "mine"', "\ud800".encode("utf-8", "surrogatepass")]
)
def test_an_odd_record_is_another_experiment(record, run):
    (run / "run.json").write_bytes(record if isinstance(record, bytes) else record.encode())
    with pytest.raises(PathfinderError, match="choose another folder"):
        Run(run, "mine")


@pytest.mark.parametrize("seconds", ["[]", "3", "null", '{"piece one": "long", "b": NaN, "c": [1]}'])
def test_odd_seconds_in_a_record_are_left_out(seconds, run, keep):
    (run / "run.json").write_text(f'{{"name": "mine", "seconds": {seconds}}}')
    with Run(run, "mine") as folder:
        keep(folder, "piece one")
    found = json.loads((run / "run.json").read_text())["seconds"]
    assert list(found) == ["piece one"] and found["piece one"] >= 0


def _hold(path, held):
    with hold_lock(path, "held"):
        held.set()
        time.sleep(60)


def test_a_second_process_is_told_who_holds_the_folder(run):
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(run / ".lock", held))
    other.start()
    assert held.wait(60)
    before = tree(run)
    with (
        pytest.raises(PathfinderError, match=rf"run is in use by process {other.pid} on .* since \d.*; wait"),
        Run(run, "mine"),
    ):
        pass
    assert tree(run) == before
    os.kill(other.pid, 9)  # the kernel frees the lock of the dead
    other.join()
    with Run(run, "mine"):
        assert f"process {os.getpid()}" in (run / ".lock").read_text()
    assert not (run / ".lock").exists()


def test_a_lock_that_is_a_link_is_not_followed(run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (run / ".lock").symlink_to(tmp_path / "notes.txt")
    with pytest.raises(PathfinderError, match="cannot write"), Run(run, "mine"):
        pass
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_work_of_another_maker_is_used_if_it_is_a_finished_training(run, keep, monkeypatch):
    with monkeypatch.context() as other:
        other.setattr("pathfinder.storage.resume.maker", lambda: {"pathfinder": "other", "torch": "2", "threads": 1})
        with Run(run, "mine") as folder:
            assert keep(folder, "piece one") is None
        reused = pytest.warns(PathfinderWarning, match="`piece one` made by another version .* --fresh trains again")
        with reused, Run(run, "mine") as folder:
            assert keep(folder, "piece one", lasting=True) == {"rows": [1.5], "finished": True}
            keep(folder, "piece two", {"finished": False}, lasting=True)
        made_by = json.loads((run / "run.json").read_text())["made_by"]
        assert [one["stages"] for one in made_by] == [["piece one"], ["piece two"]]
        assert made_by[0]["pathfinder"] != made_by[1]["pathfinder"] == "other"
    with Run(run, "mine") as folder:
        assert keep(folder, "piece two", lasting=True) is None  # half done
    with Run(run, "mine", fresh=True) as folder:
        assert keep(folder, "piece one") is None


def test_every_flipped_byte_of_kept_work_is_noticed(tmp_path):
    stage = StageFile(tmp_path / "s.pt", "key")
    state = {"rows": [{"x": 1.5, 3: None}], "losses": [{("loss", "train"): torch.arange(5.0)}], "done": 7}
    stage.save(state)
    content, wrong = (tmp_path / "s.pt").read_bytes(), 0
    for at in range(len(content)):
        (tmp_path / "s.pt").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        found = stage.load()
        wrong += found is not None and repr(found) != repr(state)
    assert wrong == 0


def odd(key):
    return [torch.zeros(2), [1], {"key": key}, {"key": key, "state": 3, "digest": ""}, {"key": key, "state": {}}]


@pytest.mark.parametrize("which", range(5))
def test_kept_work_of_another_shape_counts_as_none(which, tmp_path):
    torch.save(odd("key")[which], tmp_path / "s.pt")
    assert StageFile(tmp_path / "s.pt", "key").load() is None


def test_files_are_made_with_the_users_umask_and_a_full_disk_is_named(tmp_path):
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "a.csv", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o600

    def fill(path):
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 640 vs 534")  # noqa: B904

    with pytest.raises(PathfinderError, match=r"cannot write .*: No space left on device; free some space"):
        write(tmp_path / "s.pt", fill)


def test_the_same_tensors_are_the_same_bytes(tmp_path):
    from pathfinder.storage import load_tensors, save_tensors

    metadata = {"model": {"name": "mlp", "arguments": {}}, "data": {"name": "digits"}, "key": "abc", "epoch": 3}
    theta, files = torch.randn(10), set()
    for order in (metadata, dict(reversed(metadata.items()))):
        for _ in range(5):
            save_tensors(tmp_path / "a.safetensors", {"w": theta[:4].view(2, 2), "v": theta[4:]}, order)
            files.add((tmp_path / "a.safetensors").read_bytes())
    tensors, found = load_tensors(tmp_path / "a.safetensors")
    assert len(files) == 1 and found == metadata and torch.equal(tensors["v"], theta[4:])


def test_progress_says_what_is_kept_and_adds_up_the_parts_of_a_work(tmp_path, monkeypatch):
    shown = []

    def report(name):
        return lambda done, total: shown.append((name, done, total))

    def score(place, stage, progress, start, stop):
        map_points(lambda t: t.tolist(), torch.arange(start, stop), progress=progress, stage=stage)

    monkeypatch.setattr(work, "score", score, raising=False)
    monkeypatch.setattr(work, "one", lambda place, stage, progress: {"done": True}, raising=False)
    pieces = [Piece(f"points@{i}", "score", (i, i + 2), f"{i}", whole="points", points=2) for i in (0, 2)]
    pieces.append(Piece("one piece", "one", (), "key"))
    for _ in range(2):
        with Run(tmp_path / "run", "mine") as run:
            assert not Serial(SimpleNamespace(folder=run.path)).run(pieces, SharedProgress(report, pieces), run.note)
    first = [("points", done, 4) for done in (0, 0, 1, 2, 2, 2, 3, 4)]
    again = [("points", 2, 4), ("points", 4, 4), ("one piece (kept)", 1, 1)]
    assert shown == [*first, ("one piece", 0, 1), ("one piece", 1, 1), *again]


def test_leaving_with_an_error_writes_no_table_and_frees_the_folder(run):
    with pytest.raises(ValueError), Run(run, "mine") as again:
        again.results.add("minima", pd.DataFrame([{"pair": "p", "name": "a"}]))
        raise ValueError
    assert not (run / "minima.csv").exists() and not (run / ".lock").exists()
    (run / "minima.csv").write_text("pair,name\np,a\n")
    with Run(run, "mine"):
        pass
    assert not (run / "minima.csv").exists()  # no run has it any more
