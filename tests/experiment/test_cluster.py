"""Pieces on the workers of a Dask cluster: the same bytes, whoever does them and whatever dies on the way."""

import os
import random
import re
import signal
import socket
import ssl
import time
import urllib.request
import warnings
from pathlib import Path
from types import SimpleNamespace

import dask
import psutil
import pytest
import torch
from clusters import certificates, cluster
from helpers import TINY
from processes import Command

from pathfinder.errors import FailedWorkError, PathfinderError, PathfinderWarning
from pathfinder.experiment import worker
from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.engines import count_workers, make_engine
from pathfinder.experiment.kept import kept_file
from pathfinder.experiment.run import Experiment
from pathfinder.experiment.workplace import Workplace
from pathfinder.memory import THRESHOLDS
from pathfinder.progress import WORKERS
from pathfinder.tables.csv_files import read_table

# tiny runs train too briefly for the running averages of BatchNorm
pytestmark = pytest.mark.filterwarnings("ignore:.*running averages lag:pathfinder.errors.PathfinderWarning")


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(Experiment, "draw", lambda self, engine: None)


@pytest.fixture(scope="module")
def serial(tiny, tmp_path_factory):
    """The tables of a run in one process."""
    folder = tmp_path_factory.mktemp("runs") / "serial"
    Experiment(load_config(tiny), folder).run()
    return csv_bytes(folder)


def csv_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("*.csv"))}


def listening():
    """The addresses at which this process and its children listen."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = []
    for process in family:
        try:
            found += [one.laddr for one in process.net_connections() if one.status == psutil.CONN_LISTEN]
        except psutil.Error:  # it ended
            continue
    return found


def test_two_workers_give_the_same_bytes_and_nobody_else_gets_in(tiny, serial, tmp_path):
    before, seen, refused, at_work = {*listening()}, set(), [], []

    def report(name):
        if name == WORKERS:
            return lambda *counts: at_work.append(counts)
        if not refused:
            seen.update({*listening()} - before)
            refused.extend(is_refused(address) for address in sorted(seen))
        return lambda done, total: None

    Experiment(load_config(tiny), tmp_path / "run", report).run(workers=2)
    assert csv_bytes(tmp_path / "run") == serial
    assert (2, 2) in at_work and at_work[-1] == (0, 2) and {count for _, count in at_work} == {2}
    assert len(seen) >= 3 and {address.ip for address in seen} == {"127.0.0.1"}
    assert refused and all(refused)


def environment():
    """Of a worker."""
    return dict(os.environ)


def places_made():
    """How often a worker has loaded its data."""
    return worker._place.cache_info().misses


def test_workers_keep_freed_memory_and_load_their_data_once(tiny, tmp_path):
    experiment = Experiment(load_config(tiny), tmp_path / "run")
    engine = make_engine(experiment.place, 2)
    run, found = engine.run, {}

    def look(*given):
        failed = run(*given)
        found.update({work: engine._client.run(work) for work in (environment, places_made)})
        return failed

    engine.run = look
    experiment.run_with(engine)
    for own in found[environment].values():
        assert {name: own[name] for name in THRESHOLDS} == {name: str(2**30) for name in THRESHOLDS}
        assert own["OMP_NUM_THREADS"] == own["MALLOC_ARENA_MAX"] == "1"
    assert list(found[places_made].values()) == [1, 1]


@pytest.mark.parametrize(
    ("device", "name", "gpus", "chosen", "said"),
    [
        ("cuda", 0, 4, 0, 0), ("cuda", 3, 4, 3, 0), ("cuda", "6", 4, 2, 0), ("cuda:1", 3, 4, None, 0),
        ("cuda", 3, 1, None, 0), ("cpu", 3, 4, None, 0), ("cuda", "tcp://127.0.0.1:4", 4, None, 1),
    ],
)  # fmt: skip
def test_workers_of_a_computer_take_turns_at_its_gpus(device, name, gpus, chosen, said, monkeypatch):
    monkeypatch.setattr(worker, "find_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    taken = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        worker._choose_gpu(SimpleNamespace(device=device), name)
    assert taken == ([] if chosen is None else [chosen]) and len(notes) == said
    assert all("start each with a number as its --name" in str(note.message) for note in notes)


@pytest.mark.filterwarnings("ignore:.*has no worker yet:pathfinder.errors.PathfinderWarning")
def test_a_cluster_with_certificates_of_ones_own_is_used_without_a_warning_of_plain_text(tiny, serial, tmp_path):
    files = certificates(tmp_path)
    own = {f"distributed.comm.tls.client.{name}": files[name] for name in ("cert", "key")}
    with cluster(tmp_path, files) as (address, _):
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises(PathfinderError, match="needs certificates .* distributed.comm.tls"):
            Experiment(load_config(tiny), tmp_path / "none").run(scheduler=address)
        assert not list(tmp_path.glob("none/*.csv"))
        with dask.config.set({"distributed.comm.tls.ca-file": files["ca-file"], **own}):
            Experiment(load_config(tiny), tmp_path / "run").run(scheduler=address)
    assert csv_bytes(tmp_path / "run") == serial


def test_a_dashboard_is_announced_and_seen_from_this_computer_alone(tiny, tmp_path):
    before = {*listening()}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", PathfinderWarning)
        with make_engine(Workplace(load_config(tiny), tmp_path), dashboard=True):
            seen = {*listening()} - before
            (link,) = re.findall(r"http://127\.0\.0\.1:\d+/status", str(said[0].message))
            page = urllib.request.urlopen(link, timeout=30).read()
    assert b"Bokeh" in page and "unencrypted, to everyone on this computer" in str(said[0].message)
    assert {address.ip for address in seen} == {"127.0.0.1"}


def test_a_dashboard_that_cannot_be_shown_is_refused(tmp_path, monkeypatch):
    with pytest.raises(PathfinderError, match="tls://node1:8786 has a dashboard of its own"):
        make_engine(None, scheduler="tls://node1:8786", dashboard=True)
    monkeypatch.setattr("pathfinder.experiment.cluster.find_spec", lambda name: None)
    with pytest.raises(PathfinderError, match=r"needs bokeh; install pathfinder\[dashboard\]"):
        make_engine(None, dashboard=True)


def test_more_workers_than_there_is_room_for_are_warned_of(monkeypatch):
    monkeypatch.setattr("pathfinder.experiment.engines.usable_workers", lambda device, threads: 4 // threads)
    assert count_workers("auto", None, "cpu", 1, lambda: 9) == 4
    assert count_workers("auto", None, "cpu", 4, lambda: 9) == 1
    assert count_workers(4, None, "cpu", 1, lambda: 9) == 4
    with pytest.warns(
        PathfinderWarning, match="4 workers of 2 threads each on cpu, but there is room for 2: .*--threads 1"
    ):
        assert count_workers(4, None, "cpu", 2, lambda: 9) == 4


def is_refused(address):
    """Whether somebody without the credentials of the run is turned away: neither TLS nor HTTP tells anything."""
    with socket.create_connection(address, 10) as plain:
        plain.settimeout(1)
        plain.sendall(b"GET /info/main/workers.html HTTP/1.0\r\n\r\n")
        try:
            answer = plain.recv(100)
        except OSError:
            answer = b""
    if answer.startswith(b"HTTP") and b" 404 " not in answer:
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(address, 2) as plain, context.wrap_socket(plain) as safe:
            safe.settimeout(2)
            return safe.recv(1) == b""
    except OSError:  # an alert of TLS, or silence
        return True


def test_workers_and_the_run_itself_may_be_killed_at_any_moment(tiny, serial, tmp_path):
    chance = random.Random(0)
    work = tmp_path / "run" / ".work"
    with cluster(tmp_path) as (address, workers):
        command = ["run", tiny, "--out", tmp_path / "run", "--scheduler", address]
        run = Command(*command)
        wait_for_work(work, 1)
        for child in psutil.Process(chance.choice(workers).pid).children():
            os.kill(child.pid, signal.SIGKILL)
        wait_for_work(work, 1)
        run.send_signal(signal.SIGKILL)
        run.finish()
        assert not (tmp_path / "run" / "summary.csv").exists()
        code, lines = Command(*command).finish()
    assert code == 0, lines
    assert csv_bytes(tmp_path / "run") == serial


@pytest.mark.filterwarnings("ignore:.*has no worker yet:pathfinder.errors.PathfinderWarning")
def test_a_run_whose_results_another_one_overwrote_says_so(tiny, tmp_path, monkeypatch):
    finish = Experiment._finish

    def overwritten(self, done):
        finish(self, done)
        if done.piece.title == "score convnet-bn-bezier":
            path = kept_file(self.folder.path, "curve convnet-bn-bezier")
            torch.save({**torch.load(path), "key": "of other settings"}, path)

    monkeypatch.setattr(Experiment, "_finish", overwritten)
    says = "`curve convnet-bn-bezier` was overwritten by a worker that an interrupted run with other settings left"
    with cluster(tmp_path) as (address, _), pytest.raises(FailedWorkError, match=says):
        Experiment(load_config(tiny), tmp_path / "run").run(scheduler=address)


def wait_for_work(folder, pieces):
    """Wait until so many further pieces have begun to be kept."""
    before = len([*folder.glob("*.pt")])
    for _ in range(1200):
        if len([*folder.glob("*.pt")]) >= before + pieces:
            return
        time.sleep(0.05)


_DEADLY = """
import multiprocessing
import os

import torch


class Deadly(torch.nn.Sequential):
    def forward(self, x):
        if self.training and multiprocessing.parent_process() is not None:
            os._exit(1)  # as when the kernel kills it for lack of memory
        return super().forward(x)


def build(num_classes, input_shape):
    return Deadly(torch.nn.Flatten(), torch.nn.Linear(64, num_classes))
"""


def test_a_piece_that_kills_three_workers_ends_the_run_with_its_name(tmp_path, monkeypatch):
    (tmp_path / "deadly_net.py").write_text(_DEADLY)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / "deadly.toml"
    config.write_text("[data]\nname = 'digits'\n[model]\nname = 'deadly_net:build'\n[minimum]\nepochs = 1\n")
    with (
        pytest.warns(PathfinderWarning, match="the worker tls://.* has ended; what it did is done by others"),
        pytest.raises(FailedWorkError, match=r"`minimum deadly_net-build-\w` ended the process .* 3 times"),
    ):
        Experiment(load_config(config), tmp_path / "run").run(workers=2)


def test_a_training_that_diverges_on_a_worker_leaves_the_rest(tmp_path):
    config = tmp_path / "pairs.toml"
    text = TINY.replace("[planes]\npoints = 4\n", "")
    text += "[[pairs]]\nname = 'wild'\nminimum = { lr = 1e12, schedule = 'constant', epochs = 20 }\n"
    config.write_text(text + "[[pairs]]\nname = 'calm'\ncurves = []\n")
    with pytest.raises(
        FailedWorkError,
        match=r"wild-a: training diverged.* `minimum wild-b` failed too\. \d+ other pieces of work need",
    ):
        Experiment(load_config(config), tmp_path / "run").run(workers=2)
    assert read_table(tmp_path / "run" / "summary.csv")["pair"].unique().tolist() == ["calm"]
    assert (tmp_path / "run" / "wild-a.last-good.safetensors").exists()
