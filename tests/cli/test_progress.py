import sys

from rich.console import Console

from pathfinder.cli.progress import Reporter
from pathfinder.progress import WORKERS


def test_without_a_terminal_a_line_at_the_end_of_each_piece(capsys):
    with Reporter() as report:
        for name in ("first", "second"):
            progress = report(name)
            for done in range(101):
                progress(done, 100)
    assert capsys.readouterr().err.splitlines() == ["first: 100/100, 0 s left", "second: 100/100, 0 s left"]


def test_long_work_reports_on_the_way_but_not_too_often(capsys, monkeypatch):
    clock = iter(range(0, 10_000))
    monkeypatch.setattr("pathfinder.cli.progress.time.monotonic", lambda: next(clock))
    progress = Reporter()("work")
    for done in range(101):
        progress(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "work: 10/100, 90 s left" and 8 <= len(lines) <= 20 and lines[-1] == "work: 100/100, 0 s left"


def test_the_time_left_of_resumed_work_counts_what_was_done_since(capsys, monkeypatch):
    clock = iter(range(0, 10_000))
    monkeypatch.setattr("pathfinder.cli.progress.time.monotonic", lambda: next(clock))
    progress = Reporter()("work")
    for done in range(50, 101):
        progress(done, 100)
    assert capsys.readouterr().err.splitlines()[0] == "work: 60/100, 40 s left"


def test_without_a_terminal_the_end_is_said_once_though_each_part_says_it(capsys):
    progress = Reporter()("work")
    for _ in range(3):
        progress(9, 9)
    assert capsys.readouterr().err.splitlines() == ["work: 9/9, 0 s left"]


def test_without_a_terminal_workers_are_counted_when_one_joins_or_ends_and_each_minute(capsys, monkeypatch):
    clock = iter([0, 1, 2, 30, 95, 96])
    monkeypatch.setattr("pathfinder.cli.progress.time.monotonic", lambda: next(clock))
    progress = Reporter()(WORKERS)
    for at_work, count in ((0, 2), (1, 2), (2, 2), (2, 1), (1, 1), (0, 1)):
        progress(at_work, count)
    lines = ["2 workers, 1 at work", "1 worker, 2 at work", "1 worker, 1 at work"]
    assert capsys.readouterr().err.splitlines() == lines


def test_on_a_terminal_there_are_bars(monkeypatch, capsys):
    monkeypatch.setattr(
        "pathfinder.cli.progress.Console", lambda **_: Console(file=sys.stderr, force_terminal=True, width=100)
    )
    with Reporter() as report:
        progress = report("score line")
        progress(3, 7)
        progress(7, 7)
    shown = capsys.readouterr().err
    assert "score line" in shown and "7/7" in shown


def test_many_works_of_a_kind_share_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(
        "pathfinder.cli.progress.Console", lambda **_: Console(file=sys.stderr, force_terminal=True, width=140)
    )
    with Reporter() as report:
        report.expect([*(f"curve p-{i}" for i in range(21)), "plane p"])
        for i in range(2):
            report(f"curve p-{i}")(4, 4)
        report("curve p-2")(3, 4)
        report("plane p")(1, 7)
        report(WORKERS)(3, 4)
    last = capsys.readouterr().err.rpartition("curve")[2]
    assert "4 workers, 3 at work" in last
    assert "p-2 75%" in last and "2/21" in last and "1/7" in last and "p-1" not in last
