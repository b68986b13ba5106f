import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from pathfinder import PathfinderError
from pathfinder.figures import draw
from pathfinder.tables import write_table

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


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(PathfinderError, match="holds no table to draw"):
        draw(tmp_path)
    with pytest.raises(PathfinderError, match="is no folder"):
        draw(tmp_path / "no")
