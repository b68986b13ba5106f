"""Surfaces and planes of an experiment whose losses choose the points: rounds of pieces."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY

from pathfinder.cli import main
from pathfinder.errors import PathfinderWarning
from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.kept import kept_file
from pathfinder.experiment.run import Experiment
from pathfinder.figures.draw import draw
from pathfinder.figures.vtk import export_surfaces
from pathfinder.landscape.curvature import curvature_table
from pathfinder.scoring.adaptive_plane import MOST, ROUND

CONFIG = (
    TINY.replace("convnet-bn", "mlp").replace("points = 4", 'points = "auto"\ntolerance = 0.3')
    + """
[[surfaces]]
points = "auto"
tolerance = 1e-9
examples = 20
splits = ["train"]
"""
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auto")
    (folder / "auto.toml").write_text(CONFIG)
    with pytest.warns(PathfinderWarning, match="surface mlp-a-filter-2d is too rough for 400 points"):
        Experiment(load_config(folder / "auto.toml"), folder / "run").run()
    return folder


def tables(folder):
    return {name: (folder / f"{name}.csv").read_bytes() for name in ("planes", "surfaces", "surface_shapes")}


def test_a_tolerance_ends_the_rounds(run):
    plane, surface = (pd.read_csv(run / "run" / f"{name}.csv") for name in ("planes", "surfaces"))
    assert plane["converged"].all() and (plane["interpolation_gap"] <= 0.3).all()
    assert len(plane) < MOST and len(plane) % ROUND == 0
    assert len(surface) == MOST and not surface["converged"].any()
    assert not surface.duplicated(["x", "y"]).any() and np.allclose(surface[["x", "y"]].abs().max(), 1)
    shape = pd.read_csv(run / "run" / "surface_shapes.csv").iloc[0]
    assert shape["points"] == MOST and not shape["converged"]


def test_lost_pieces_are_done_again_with_the_same_points(run):
    before, folder = tables(run / "run"), run / "run"
    lost = [kept_file(folder, f"surface mlp-a-filter-2d@{start}") for start in (0, 125, 375)]
    for file in [*lost, kept_file(folder, "plane mlp-bezier@25")]:
        file.unlink()
    with pytest.warns(PathfinderWarning, match="is too rough"):
        Experiment(load_config(run / "auto.toml"), folder).run(workers=2)
    assert tables(folder) == before


def test_figures_and_vtk_files_interpolate(run):
    names = {path.name for path in (run / "run" / "figures").iterdir()}
    assert {"plane-mlp-bezier.png", "relief-filter-2d.png", "contours-filter-2d.png"} <= names
    before = {name: (run / "run" / "figures" / name).read_bytes() for name in names}
    draw(run / "run", points=True)
    changed = {name for name in names if (run / "run" / "figures" / name).read_bytes() != before[name]}
    assert changed == {"plane-mlp-bezier.png", "contours-filter-2d.png", "filled-filter-2d.png"}
    pyvista = pytest.importorskip("pyvista")
    (path,) = export_surfaces(run / "run")
    mesh = pyvista.read(path)
    assert mesh.dimensions[:2] == (51, 51) and np.isfinite(mesh.point_data["train_loss"]).all()
    surface, cloud = export_surfaces(run / "run", log=False, clip=1e9, points=True)
    assert surface == path and cloud.name == "filter-2d-mlp-a-points.vtp"
    scored, table = pyvista.read(cloud), pd.read_csv(run / "run" / "surfaces.csv")
    assert np.allclose(scored.points, table[["x", "y", "train_loss"]], rtol=1e-6)
    assert np.allclose(scored.point_data["train_loss_se"], table["train_loss_se"])


def test_a_profile_and_curvature_have_no_such_points(tmp_path):
    with pytest.raises(Exception, match="a profile has one axis, so points must be one number, got auto"):
        (tmp_path / "a.toml").write_text(
            CONFIG.replace('points = "auto"\ntolerance = 1e-9', 'axes = 1\npoints = "auto"')
        )
        load_config(tmp_path / "a.toml")


CURVED = (
    TINY.replace("convnet-bn", "mlp").replace("[planes]\npoints = 4\n", "")
    + """
[[surfaces]]
points = 2
examples = 20
[[curvature]]
along = "filter-2d"
points = "auto"
points_tolerance = 1.0
tolerance = 0.3
examples = 20
"""
)


@pytest.fixture(scope="module")
def curved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curved")
    (folder / "curved.toml").write_text(CURVED)
    experiment = Experiment(load_config(folder / "curved.toml"), folder / "run")
    experiment.run()
    return experiment


def test_the_ratio_of_eigenvalues_chooses_the_points_of_its_map(curved):
    folder = curved.folder.path
    table = pd.read_csv(folder / "curvature.csv")
    assert 50 <= len(table) < MOST and len(table) % ROUND == 0
    assert (table["interpolation_gap"] <= 1).all() and table["interpolation_converged"].all()
    assert not table.duplicated(["x", "y"]).any()
    found = curved.place.measured(("surface", "mlp-a", "filter-2d"))
    at = torch.tensor(table.loc[[3, 40], ["x", "y"]].to_numpy())
    again = curvature_table(found.space, found.geometry, at, found.data, tolerance=0.3, batch_size=128)
    assert again["ratio"].tolist() == pytest.approx(table.loc[[3, 40], "ratio"].tolist(), rel=1e-9)
    figure = folder / "figures" / "ratio-filter-2d.png"
    before = figure.read_bytes()
    draw(folder, points=True)
    assert figure.read_bytes() != before


def test_eigenvalues_that_did_not_converge_are_unknown(curved, tmp_path):
    changes = ["curvature=[{along='filter-2d', points='auto', tolerance=1e-9, most=5, examples=20}]"]
    config = load_config(curved.folder.path.parent / "curved.toml", changes)
    with pytest.warns(PathfinderWarning, match="too rough for 400 points: log ratios of eigenvalues were off by nan"):
        Experiment(config, tmp_path).run()
    table = pd.read_csv(tmp_path / "curvature.csv")
    assert not table["converged"].any() and table["interpolation_gap"].isna().all()
    assert not table["interpolation_converged"].any()
    assert (tmp_path / "figures" / "ratio-filter-2d.png").is_file()


def test_lost_curvature_is_measured_again_at_the_same_points(curved):
    folder, file = curved.folder.path, curved.folder.path / "curvature.csv"
    before = file.read_bytes()
    for start in (0, 26):
        kept_file(folder, f"curvature mlp-a-filter-2d@{start}").unlink()
    Experiment(curved.config, folder).run()
    assert file.read_bytes() == before


def test_the_command_measures_a_map_at_points_of_its_own(curved, tmp_path, monkeypatch):
    weights = curved.folder.path / "minima" / "mlp-a.safetensors"
    options = ["--points", "auto", "--examples", "20", "--most", "5", "--tolerance", "1", "--samples", "0"]
    monkeypatch.setattr("sys.argv", ["pathfinder", "curvature", "surface", str(weights), "-o", str(tmp_path), *options])
    with pytest.raises(SystemExit) as stop:
        main()
    table = pd.read_csv(tmp_path / "curvature.csv")
    assert not stop.value.code and len(table) % ROUND == 0 and table["interpolation_gap"].nunique() == 1
