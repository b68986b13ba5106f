import importlib
import shutil

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from pathfinder import PathfinderError
from pathfinder.figures.draw import draw, draw_together
from pathfinder.figures.words import surroundings
from pathfinder.tables.csv_files import write_table

T = np.linspace(0, 1, 11)


def path(pair, name, height):
    hill = 0.01 + height * np.sin(np.pi * T)
    table = pd.DataFrame({"pair": pair, "path": name, "t": T, "train_loss": hill, "train_error": 10 * hill})
    return table.assign(
        test_loss=hill,
        test_error=10 * hill,
        **{f"{s}_{m}_se": 0.01 for s in ("train", "test") for m in ("loss", "error")},
    )


@pytest.fixture
def folder(tmp_path):
    """The tables of a run with two groups of pairs, as if somebody else had written them."""
    pairs = ["solo", "many-1", "many-2"]
    paths = [path(pair, name, height) for pair in pairs for name, height in (("line", 2.0), ("own", 0.02))]
    write_table(tmp_path / "paths.csv", pd.concat(paths))
    write_table(tmp_path / "summary.csv", pd.DataFrame({"group": ["solo", "many", "many"], "pair": pairs}))
    x, y = (side.ravel() for side in np.meshgrid(np.linspace(-1, 3, 5), np.linspace(-1, 2, 4), indexing="ij"))
    plane = pd.DataFrame(
        {"pair": "solo", "plane": "own", "x": x, "y": y, "train_loss": 1e-3 + x**2, "test_error": y**2}
    )
    plane.loc[3, "train_loss"] = np.nan  # far from the minima a loss may overflow
    write_table(tmp_path / "planes.csv", plane)
    marks = {"pair": "solo", "plane": "own", "name": ["a", "bend", "b"], "x": [0, 1, 2.0], "y": [0, 1.5, 0]}
    write_table(tmp_path / "plane_markers.csv", pd.DataFrame(marks).assign(distance=0.0))
    drawn = pd.DataFrame({"pair": "solo", "plane": "own", "path": "own", "t": T, "x": 2 * T, "y": T, "distance": 0.0})
    write_table(tmp_path / "plane_paths.csv", pd.concat([drawn, drawn.assign(path="line", y=0.0)]))
    history = pd.DataFrame(
        {"epoch": [1, 2], "step": [1, 2], "lr": 0.1, "train_loss": [1.0, 0.1], "train_error": [90.0, 0.0]}
    )
    fits = [history.assign(pair=pair, fit=fit) for pair in pairs for fit in ("a", "b", "own")]
    write_table(tmp_path / "training.csv", pd.concat(fits))
    return tmp_path


def test_every_figure_is_drawn_from_the_tables_alone(folder):
    drawn = draw(folder)
    names = {"paths-solo", "paths-many", "plane-solo-own", "training-solo", "training-many"}
    assert {path.stem for path in drawn} == names
    for path in drawn:
        image = matplotlib.image.imread(path)
        assert image.shape[1] > 1000 and len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 20


def test_figures_are_the_same_bytes_each_time(folder):
    first = [path.read_bytes() for path in draw(folder)]
    assert [path.read_bytes() for path in draw(folder)] == first


def test_a_scored_line_alone_has_a_figure_too(folder):
    for name in ("planes", "plane_markers", "plane_paths", "training"):
        (folder / f"{name}.csv").unlink()
    assert {path.stem for path in draw(folder)} == {"paths-solo", "paths-many"}


@pytest.fixture
def landscape(tmp_path):
    """Profiles, surfaces with a trajectory, and curvature along paths and over a surface, of two minima."""
    x, y = (side.ravel() for side in np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 4), indexing="ij"))
    grids, walks, maps = [], [], []
    for name, steep in (("p-a", 1.0), ("p-b", 30.0)):
        keys = {"pair": "p", "name": name}
        loss = 0.01 + steep * (x**2 + y**2)
        grids.append(pd.DataFrame({**keys, "surface": "flat", "x": x, "y": y, "train_loss": loss, "test_loss": loss}))
        line = pd.DataFrame({**keys, "surface": "ray", "x": T - 0.5, "train_loss": 0.1 + steep * (T - 0.5) ** 2})
        grids.append(line.assign(test_loss=1.0, train_error=5.0, test_error=9.0))
        walk = {**keys, "surface": "flat", "epoch": [0, 1], "x": [0.9, 0.0], "y": [0.5, 0.0], "explained_x": 0.8}
        walks.append(pd.DataFrame(walk).assign(distance=0.0, explained_y=0.1))
        ends = {"lambda_min": -0.1 * steep, "lambda_max": 2.0, "ratio": 0.05 * steep, "converged": x < 0.9}
        maps.append(pd.DataFrame({**keys, "along": "flat", "x": x, "y": y, **ends}))
    along = {"pair": "p", "name": "", "t": T, "lambda_min": -T, "lambda_max": 1 + T, "ratio": 0.1, "converged": T < 0.8}
    maps += [pd.DataFrame({**along, "along": path, "trace": 3 + T, "trace_se": 0.2}) for path in ("line", "bezier")]
    for name, tables in (("surfaces", grids), ("trajectory", walks), ("curvature", maps)):
        write_table(tmp_path / f"{name}.csv", pd.concat(tables))
    return tmp_path


def test_landscapes_are_drawn_alone_and_of_several_runs(landscape, tmp_path):
    names = {"profile-ray", "contours-flat", "filled-flat", "relief-flat", "curvature-p", "ratio-flat"}
    drawn = {path.stem: matplotlib.image.imread(path) for path in draw(landscape)}
    assert set(drawn) == names
    linear = {path.stem: path for path in draw(landscape, clip=2.0, log=False)}
    for name in ("contours-flat", "filled-flat", "relief-flat"):
        assert not np.array_equal(matplotlib.image.imread(linear[name]), drawn[name])
    shutil.copytree(landscape, tmp_path / "other")
    together = {path.stem: path for path in draw_together([landscape, tmp_path / "other"], tmp_path / "both")}
    assert set(together) == names - {"curvature-p"} | {f"curvature-{name} p" for name in (landscape.name, "other")}
    assert (landscape / "figures" / "ratio-flat.png").exists()
    first = [path.read_bytes() for path in draw(landscape, pdf=True)]
    assert [path.suffix for path in draw(landscape)] == [".png", ".pdf"] * 6  # those that are there stay up to date
    assert [path.read_bytes() for path in draw(landscape)] == first
    with pytest.raises(PathfinderError, match="no surface named none"):
        draw_together([landscape], tmp_path / "one", surfaces=["none"])
    with pytest.raises(PathfinderError, match="the clip of a figure must be more than 0, got -1"):
        draw(landscape, clip=-1.0)


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(PathfinderError, match="holds no table to draw"):
        draw(tmp_path)
    with pytest.raises(PathfinderError, match="is not a folder"):
        draw(tmp_path / "no")
    with pytest.raises(PathfinderError, match=r"hold no surfaces.csv and no curvature.csv"):
        draw_together([tmp_path], tmp_path / "both")


def test_figures_say_what_they_show(folder, landscape, monkeypatch):
    titles, labels = {}, {}

    def look(figures, folder):
        for name, figure in figures.items():
            titles[name] = " ".join(figure.get_suptitle().split())
            labels[name] = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        return []

    monkeypatch.setattr(importlib.import_module("pathfinder.figures.draw"), "_save", look)
    draw(folder)
    assert titles == {
        "paths-solo": "Paths between the minima of solo",
        "paths-many": "Paths between the minima of many",
        "plane-solo-own": "Plane of the curve own between the minima of solo",
        "training-solo": "Training of the minima and curves of solo",
        "training-many": "Training of the minima and curves of many",
        "profile-ray": "Loss and error around the minima",
        **dict.fromkeys(("contours-flat", "filled-flat", "relief-flat"), "Train loss (nats) around the minima"),
        "curvature-p": "Hessian of the train loss along paths between the minima of p",
        "ratio-flat": "Smallest over largest eigenvalue of the Hessian around the minima",
    }
    assert labels["paths-solo"] == ["line", "own"] and labels["curvature-p"] == ["line", "Bezier curve"]
    assert labels["training-solo"] == ["minimum a", "minimum b", "own", "train"]
    assert labels["filled-flat"] == ["checkpoints of its training", "start", "end (minimum)"]


@pytest.mark.parametrize(
    "minima, surface, where",
    [
        (["digits"], "filter-2d", "around digits, along filter-normalised random directions"),
        (["minimum"], "none-1d", "around the minimum, along a random direction"),
        (["p-a", "p-b"], "trajectory-2d", "around the minima, along the principal directions of training"),
        (["p-a", "p-b"], "my-2d", "around the minima"),
    ],
)
def test_surroundings_are_named_by_their_directions(minima, surface, where):
    assert surroundings(minima, surface) == where


def test_a_folder_of_runs_names_one_of_them(folder, tmp_path_factory):
    above = tmp_path_factory.mktemp("runs")
    shutil.copytree(folder, above / "digits")
    with pytest.raises(PathfinderError, match=r"give the folder of a run, such as .*runs\d*/digits\.$"):
        draw(above)
