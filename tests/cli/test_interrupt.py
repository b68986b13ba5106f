"""Stops are clean: one line, the usual exit code, and the same result in the end."""

import importlib
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from helpers import TINY
from processes import Command, signal_when_due

from pathfinder import interrupts as interrupt
from pathfinder.storage import StageFile, load_weights

LINE = "Interrupted; rerun the same command to resume."
TRAIN = ["train", "mlp", "--data", "digits", "--model-arg", "widths=[8]", "--set", "epochs=3", "-o"]


def stopped(number, stage, calls, *arguments):
    """The command, which gets a signal when a piece of work asks for the nth time whether to save."""
    return Command(*arguments, patched=signal_when_due, given=(int(number), stage, calls)).finish()


def test_a_stopped_run_says_so_in_one_line_and_ends_with_the_same_bytes(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    run = ["run", tmp_path / "tiny.toml", "--set", "planes.points=2", "--out"]
    folder = tmp_path / "stopped"
    for number, stage, calls in ((signal.SIGINT, "minimum-convnet-bn-b", 5), (signal.SIGTERM, "score-convnet", 3)):
        code, lines = stopped(number, stage, calls, *run, folder)
        assert (code, [line for line in lines if not line.startswith("note: ")]) == (128 + number, [LINE])
        assert not (folder / "summary.csv").exists()
        assert not [path for path in folder.rglob("*") if path.suffix == ".tmp" or path.name == ".lock"]
    assert Command(*run, folder).finish()[0] == 0
    assert Command(*run, tmp_path / "straight").finish()[0] == 0
    for path in (tmp_path / "straight").glob("*.csv"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_a_stopped_run_leaves_no_worker_and_is_resumed_by_others(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY.replace("epochs = 2", "epochs = 400"))
    run = ["run", tmp_path / "tiny.toml", "--workers", 2, "--out", tmp_path / "stopped"]
    process = Command(*run)
    while process.pid and len([*(tmp_path / "stopped" / ".work").glob("minimum-*.pt")]) < 2:
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    code, lines = process.finish()
    assert (code, [line for line in lines if not line.startswith(("note: ", "2 workers, "))]) == (130, [LINE])
    assert len(workers) >= 2 and not psutil.wait_procs(workers, timeout=10)[1]


def test_a_stopped_training_loses_no_step(tmp_path):
    out, kept = tmp_path / "a.safetensors", tmp_path / ".a.safetensors.partial"
    for number, calls in ((signal.SIGTERM, 20), (signal.SIGHUP, 5)):
        assert stopped(number, "partial", calls, *TRAIN, out) == (128 + number, [LINE])
        assert [path.name for path in tmp_path.iterdir()] == [kept.name]
    assert torch.load(kept, weights_only=True)["state"]["done"] == 19 + 4
    assert Command(*TRAIN, out).finish()[0] == 0
    assert Command(*TRAIN, tmp_path / "b.safetensors").finish()[0] == 0
    wanted = load_weights(tmp_path / "b.safetensors")
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in load_weights(out).items())
    assert out.read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("after", [0.06, 0.12, 0.2, 0.6])
def test_a_signal_during_the_start_is_one_line_too(after, tmp_path):
    command = [sys.executable, "-m", "pathfinder", *TRAIN, str(tmp_path / "a.safetensors")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(after)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    lines = [line for line in err.splitlines() if " s left" not in line]
    assert (process.returncode, lines) in ((143, [LINE]), (0, []), (-15, []))  # before Python is up, nobody can answer


def test_a_signal_waits_while_a_piece_of_work_is_done_and_a_second_does_not(tmp_path):
    stage = StageFile(tmp_path / "s.pt", "key")
    with pytest.raises(SystemExit) as stop, interrupt.handle_signals(), interrupt.defer_interrupts():
        signal.raise_signal(signal.SIGTERM)
        assert stage.due() and not stage.path.exists()
        stage.save({"rows": [1]})
        raise AssertionError("the save must not return")
    assert stop.value.code == 143 and stage.load() == {"rows": [1]}
    with pytest.raises(SystemExit) as stop, interrupt.handle_signals(), interrupt.defer_interrupts():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second signal must not wait")
    assert stop.value.code == 130 and not interrupt.interrupt_requested()
    with pytest.raises(SystemExit), interrupt.handle_signals():
        with interrupt.defer_interrupts():
            signal.raise_signal(signal.SIGTERM)
        raise AssertionError("the signal must not outlast the work")


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_waits_for_the_end_of_an_import_and_a_second_does_not(signals, tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text(
        "import signal, time\n"
        f"for _ in range({signals}):\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "time.sleep(0.2)\n"
        "done = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_module", raising=False)
    with pytest.raises(SystemExit) as stop, interrupt.handle_signals():
        importlib.import_module("slow_module")
        time.sleep(5)
        raise AssertionError("the signal must not be lost")
    assert stop.value.code == 143
    assert hasattr(sys.modules.get("slow_module"), "done") == (signals == 1)


def test_a_signal_that_waits_is_answered_at_once_on_a_terminal(monkeypatch, capfd):
    monkeypatch.setattr(interrupt.sys, "stderr", type("Terminal", (), {"isatty": lambda self: True, "write": len})())
    with pytest.raises(SystemExit), interrupt.handle_signals(), interrupt.defer_interrupts():
        signal.raise_signal(signal.SIGINT)
        assert capfd.readouterr().err == f"{interrupt.WAIT}\n"


def test_handlers_are_put_back_and_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt.handle_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
