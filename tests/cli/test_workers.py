"""How commands share work between processes, show a plan, and name what other settings redo."""

from itertools import combinations

import pytest
from command_line import train_arguments

from pathfinder.tables.csv_files import read_table

pytestmark = pytest.mark.filterwarnings("ignore:.*running averages lag:pathfinder.errors.PathfinderWarning")


def tables(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def test_workers_change_nothing_in_the_tables_of_score(command, minima, tmp_path):
    line = ["score", "line", minima / "a.safetensors", minima / "b.safetensors", "--points", 130]
    for workers in (1, 2):
        code, _, err = command(*line, "-o", tmp_path / str(workers), "--workers", workers)
        assert code == 0, err
    assert tables(tmp_path / "1") == tables(tmp_path / "2")
    assert len([*(tmp_path / "2" / ".work").glob("score-line@*.pt")]) == 3


def test_every_two_minima_are_aligned_by_any_number_of_workers(command, minima, tmp_path):
    (tmp_path / "more").mkdir()
    files = [minima / "a.safetensors", minima / "b.safetensors", tmp_path / "more" / "a.safetensors"]
    assert command(*train_arguments(files[2], "[8, 8]"), "--seed", 2)[0] == 0
    for workers in (1, 2):
        words = ["align", "--every-pair", *files, "--points", 5, "-o", tmp_path / str(workers), "--workers", workers]
        code, out, err = command(*words)
        assert code == 0, err
        assert "test error" in err and "normalisation: " in err and "aligned by" in out
    assert tables(tmp_path / "1") == tables(tmp_path / "2")
    found = read_table(tmp_path / "1" / "barriers.csv")
    names = [f"{minima.name}-a", f"{minima.name}-b", "more-a"]
    assert [*zip(found["a"], found["b"], strict=True)][::2] == [*combinations(names, 2)]
    assert found["method"].tolist() == ["none", "weights"] * 3 and set(found["group"]) == {"mlp"}
    for row in found.to_dict("records"):  # each barrier is that of the line between the files, aligned one by one
        ends = [files[names.index(row[side])] for side in "ab"]
        if row["method"] == "weights":
            assert command("align", *ends, "-o", tmp_path / "own.safetensors", "--force")[0] == 0
            ends[1] = tmp_path / "own.safetensors"
        line = tmp_path / "-".join(["line", row["a"], row["b"], row["method"]])
        assert command("score", "line", *ends, "--points", 5, "-o", line)[0] == 0
        own = read_table(line / "summary.csv").set_index(["split", "metric"])
        assert own.loc[("train", "loss"), "barrier"] == pytest.approx(row["train_loss_barrier"], rel=1e-5)
        assert own.loc[("test", "error"), "barrier"] == pytest.approx(row["test_error_barrier"], abs=1e-4)
    code, _, err = command(*words, "--orders", 2)
    assert code == 2 and "align.orders" in err and "3 barriers redone" in err


def test_a_line_may_choose_its_points(command, minima, tmp_path):
    line = ["score", "line", minima / "a.safetensors", minima / "b.safetensors", "--points", "auto"]
    assert command(*line, "-o", tmp_path / "fine", "--tolerance", 0.001)[0] == 0
    assert command(*line, "-o", tmp_path / "rough")[0] == 0
    fine, rough = (read_table(tmp_path / name / "paths.csv")["t"].tolist() for name in ("fine", "rough"))
    assert set(rough) < set(fine) and len(rough) >= 7
    code, _, err = command(*line, "-o", tmp_path / "far", "--to", 2)
    assert code == 2 and "points = auto looks between the minima, so range must be [0, 1]" in err
    code, _, err = command(*line[:-1], "many", "-o", tmp_path / "far")
    assert code == 2 and "--points must be a number or auto, got many" in err
    code, _, err = command(*line, "-o", tmp_path / "far", "--tolerance", 2)
    assert code == 2 and "tolerance" in err and not (tmp_path / "far").exists()


def test_a_plan_is_shown_and_nothing_is_done(command, work, tmp_path):
    code, out, _ = command("run", work / "tiny.toml", "--plan", "-o", tmp_path / "run")
    assert code == 0 and not (tmp_path / "run").exists()
    rows = {line.rsplit(maxsplit=3)[0].strip(): line.split()[-3:] for line in out.splitlines()[1:6]}
    counts = {"minimum": "2", "minimum scores": "2", "curve": "1", "score": "2", "plane": "1"}
    assert {name: row[:2] for name, row in rows.items()} == {name: [count, "0"] for name, count in counts.items()}
    assert all(float(row[2]) > 0 for row in rows.values()) and "of work for one process" in out
    assert command("run", work / "tiny.toml", "-o", tmp_path / "run")[0] == 0
    before = tables(tmp_path / "run")
    out = command("run", work / "tiny.toml", "--plan", "-o", tmp_path / "run", "--set", "planes.points=5")[1]
    rows = {line.rsplit(maxsplit=3)[0].strip(): line.split()[-3:] for line in out.splitlines()[1:6]}
    assert rows["curve"][:2] == ["1", "1"] and float(rows["curve"][2]) == 0
    assert rows["plane"][:2] == ["1", "0"] and tables(tmp_path / "run") == before
    out = command("run", work / "tiny.toml", "--plan", "-o", tmp_path / "run", "--fresh")[1]
    rows = {line.rsplit(maxsplit=3)[0].strip(): line.split()[-3:] for line in out.splitlines()[1:6]}
    assert all(float(row[2]) > 0 for row in rows.values()) and tables(tmp_path / "run") == before


@pytest.mark.parametrize("workers", ["0", "-1", "two", "1.5", "99999"])
def test_a_wrong_number_of_workers_is_refused(command, minima, tmp_path, workers):
    code, _, err = command("score", "point", minima / "a.safetensors", "-o", tmp_path / "p", f"--workers={workers}")
    assert code == 2 and "--workers must be a number from 1 to 9999 or auto" in err and not (tmp_path / "p").exists()


def test_a_scheduler_that_does_not_answer_is_one_line_and_nothing_is_written(command, minima, tmp_path, monkeypatch):
    import dask

    files = minima / "a.safetensors", minima / "b.safetensors"
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        for address in ("tcp://127.0.0.1:1", "nonsense"):
            code, _, err = command("score", "line", *files, "-o", tmp_path / "line", "--scheduler", address)
            assert code == 2 and f"no Dask scheduler answers at {address}" in err.splitlines()[-1]
            assert not (tmp_path / "line").exists()


def test_other_settings_are_named_before_anything_is_overwritten(command, minima, tmp_path):
    point = ["score", "line", minima / "a.safetensors", minima / "b.safetensors", "-o", tmp_path / "line"]
    assert command(*point, "--points", 3)[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "line").iterdir() if path.is_file()}
    code, _, err = command(*point, "--points", 4)
    assert code == 2 and "(points 3 -> 4): 1 scored path redone; add --force" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "line").iterdir() if path.is_file()} == before
    code, _, err = command(*point, "--points", 4, "--force")
    assert code == 0 and "note: " in err and "1 scored path redone" in err
    code, _, err = command(*point, "--points", 4, "--examples", 50, "--fresh")
    assert code == 0 and "holds this run" not in err


def test_points_in_other_pieces_are_other_points(command, minima, tmp_path):
    line = ["score", "line", minima / "a.safetensors", minima / "b.safetensors", "-o", tmp_path / "line"]
    assert command(*line, "--points", 4)[0] == 0
    code, _, err = command(*line, "--points", 130)  # three pieces of work
    assert code == 2 and "(points 4 -> 130): 1 scored path redone; add --force" in err
    assert command(*line, "--points", 130, "--force")[0] == 0
    code, _, err = command(*line, "--points", 130)
    assert code == 0 and "redone" not in err
    code, _, err = command(*line, "--points", 3)
    assert code == 2 and "(points 130 -> 3): 1 scored path redone; add --force" in err


def test_plain_text_to_another_computer_is_warned_of():
    from pathfinder.errors import PathfinderWarning
    from pathfinder.experiment.cluster import _warn_of_plain

    for address in ("tcp://127.0.0.1:8786", "localhost:8786", "tcp://[::1]:8786", "tls://node1:8786"):
        _warn_of_plain(address)
    for address in ("tcp://node1:8786", "10.0.0.1:8786", "tcp://127.0.0.1.node1:8786", "localhost.node1:8786"):
        with pytest.warns(PathfinderWarning, match="is not encrypted: whoever reaches this"):
            _warn_of_plain(address)
