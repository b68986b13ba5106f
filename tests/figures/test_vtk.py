import builtins

import numpy as np
import pandas as pd
import pytest

from pathfinder import PathfinderError
from pathfinder.figures.vtk import export_surfaces

X, Y = [-1.0, 0.0, 1.0], [0.0, 0.5]


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"pair": "p", "name": name, "surface": surface, "x": x, "y": y, "norm": 3.0, "train_loss": 0.1 + x * x + y}
        for name, surface in (("p-a", "filter-2d"), ("p-b", "filter-2d"))
        for x in X
        for y in Y
    ]
    rows.append({"pair": "p", "name": "p-a", "surface": "filter-1d", "x": 0.0, "norm": 3.0, "train_loss": 1.0})
    pd.DataFrame(rows).to_csv(tmp_path / "surfaces.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("log", [True, False])
def test_a_surface_read_back_holds_every_row_at_its_coordinates(folder, log):
    import pyvista

    files = export_surfaces(folder, clip=1.0, log=log)
    assert [file.name for file in files] == ["filter-2d-p-a.vts", "filter-2d-p-b.vts"]
    grid = pyvista.read(files[0])
    assert grid.dimensions == (3, 2, 1) and set(grid.point_data) == {"norm", "train_loss"}
    assert grid.points[:, :2].tolist() == [[x, y] for y in Y for x in X]
    losses = np.array([0.1 + x * x + y for y in Y for x in X])
    assert np.allclose(grid.point_data["train_loss"], losses)
    heights = np.minimum(losses, 1.0)
    assert np.allclose(grid.points[:, 2], np.log10(heights) if log else heights)


def test_mistakes_are_named(folder, monkeypatch):
    table = pd.read_csv(folder / "surfaces.csv")
    table[table["y"].isna()].to_csv(folder / "surfaces.csv", index=False)
    with pytest.raises(PathfinderError, match="holds profiles only"):
        export_surfaces(folder)
    (folder / "surfaces.csv").unlink()
    with pytest.raises(PathfinderError, match=rf"{folder} has no table surfaces.csv; make one with .*score surface"):
        export_surfaces(folder)
    with pytest.raises(PathfinderError, match="no-such is not a folder"):
        export_surfaces(folder / "no-such")
    table.to_csv(folder / "surfaces.csv", index=False)
    found = builtins.__import__

    def missing(name, *args):
        if name == "pyvista":
            raise ImportError
        return found(name, *args)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(PathfinderError, match=r"need pyvista; install pathfinder-landscapes\[vtk\]"):
        export_surfaces(folder)
    assert not (folder / "vtk").exists()
