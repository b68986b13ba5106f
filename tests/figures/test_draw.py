import importlib
import io
import re
import shutil

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from pathfinder import PathfinderError
from pathfinder.figures.draw import draw, draw_together
from pathfinder.figures.image_files import as_png
from pathfinder.figures.levels import Scale
from pathfinder.figures.paths import _at, _common
from pathfinder.figures.style import CLIP, MINIMA, colours
from pathfinder.figures.surfaces import surface_figures
from pathfinder.figures.words import surroundings
from pathfinder.tables.csv_files import read_table, write_table

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
    with pytest.raises(PathfinderError, match="no surface named `none`; they hold `flat`, `ray`"):
        draw_together([landscape], tmp_path / "one", surfaces=["none"])
    with pytest.raises(PathfinderError, match="the clip of a figure must be more than 0, got -1"):
        draw(landscape, clip=-1.0)


def test_panels_share_one_scale(landscape):
    """Equal losses or levels have equal colours, and each panel has the lines of the levels between its own losses."""
    surfaces = read_table(landscape / "surfaces.csv").query("surface == 'flat'")
    empty, scale = pd.DataFrame(columns=["name", "surface", "x", "y"]), Scale(CLIP)
    figures = surface_figures(surfaces, empty, pd.DataFrame(), scale)
    low, high = np.log10([surfaces["train_loss"].min(), CLIP])
    levels = {"contours-flat": np.arange(0.1, 10, 0.5), "filled-flat": scale.levels(surfaces["train_loss"]).edges}
    ends = scale.line_levels(surfaces["train_loss"]).edges[[0, -1]]
    limits = {"contours-flat": np.log10(ends), "filled-flat": (low, high)}
    for name, edges in levels.items():
        maps = [[part for part in ax.collections if isinstance(part, ContourSet)] for ax in figures[name].axes]
        maps = [parts for parts in maps if parts]  # the colour bar has none
        for parts, (_, own) in zip(maps, surfaces.groupby("name"), strict=True):
            assert any(np.allclose(part.get_clim(), limits[name]) for part in parts)
            (lines,) = [part for part in parts if not part.filled]
            losses = own["train_loss"].clip(upper=CLIP)
            between = edges[(edges > losses.min()) & (edges < losses.max())]
            assert np.allclose(10**lines.levels, between) and all(len(path) for path in lines.get_paths())
    assert {ax.get_zlim()[1] for ax in figures["relief-flat"].axes} == {high}


def test_pdf_files_are_vector_graphics_of_the_size_of_the_figure(landscape):
    (landscape / "curvature.csv").unlink()
    drawn = {path.name: path for path in draw(landscape, pdf=True)}
    first = {name: path.read_bytes() for name, path in drawn.items()}
    assert {path.name: path.read_bytes() for path in draw(landscape)} == first  # those that are there stay up to date
    content = drawn["profile-ray.pdf"].read_bytes()
    assert content.startswith(b"%PDF-1.4") and content.rstrip().endswith(b"%%EOF") and b"CreationDate" not in content
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
    height, width = matplotlib.image.imread(drawn["profile-ray.png"]).shape[:2]  # 150 dots per inch, 72 points
    assert [float(side) for side in box.groups()] == pytest.approx([width * 72 / 150, height * 72 / 150], abs=1)
    assert b"/Subtype /Type42" in content or b"/FontFile2" in content  # letters, not their outlines
    assert b"/Subtype /Image" not in content and b"/Subtype /Image" in drawn["relief-flat.pdf"].read_bytes()


def test_chosen_surfaces_share_a_figure(landscape, tmp_path):
    together = draw_together([landscape], tmp_path / "one", surfaces=["ray"])
    assert [path.stem for path in together] == ["profile-ray"]
    table = read_table(landscape / "surfaces.csv")
    other = table[table["surface"] == "flat"].assign(surface="steep")
    write_table(landscape / "surfaces.csv", pd.concat([table, other]))
    stems = {path.stem for path in draw_together([landscape], tmp_path / "two", surfaces=["flat", "steep"])}
    assert stems == {"contours-flat+steep", "filled-flat+steep", "relief-flat+steep", "ratio-flat"}


def test_dark_figures_have_light_letters(landscape, tmp_path):
    (landscape / "curvature.csv").unlink()
    light, dark = (draw_together([landscape], tmp_path / str(dark), dark=dark) for dark in (False, True))
    for own, other in zip(light, dark, strict=True):
        white, black = (matplotlib.image.imread(path)[..., :3] for path in (own, other))
        assert (white[0, 0] == 1).all() and (black[0, 0] < 0.1).all()
        title = slice(4, 40)  # rows of the title
        assert white[title].min() < 0.2 and black[title].max() > 0.8


@pytest.mark.parametrize("column, note", [("training", "inputs as in training"), ("reestimate", "clean inputs")])
def test_captions_say_how_batch_norm_was_scored(landscape, monkeypatch, column, note):
    notes = {}

    def look(figures, folder, pdf):
        for name, figure in figures.items():
            notes[name] = " ".join(text.get_text() for text in figure.artists if isinstance(text, Annotation))
        return []

    monkeypatch.setattr(importlib.import_module("pathfinder.figures.draw"), "_save", look)
    for name in ("surfaces", "curvature"):
        table = read_table(landscape / f"{name}.csv")
        write_table(landscape / f"{name}.csv", table.assign(batch_norm=column))
    draw(landscape)
    assert len(notes) == 6 and all(f"BatchNorm re-estimated from {note}" in text for text in notes.values())


def test_large_figures_get_fewer_colours_and_white_stays_white():
    figure = Figure(figsize=(8, 6))
    noise = np.random.default_rng(0).random((300, 300, 3))
    noise[:, :150] = 1.0
    figure.figimage(noise, resize=False)
    content = as_png(figure)
    image = matplotlib.image.imread(io.BytesIO(content), format="png")
    assert len(content) <= 300_000
    assert image.shape[:2] <= (900, 1200) and (image[-50:, -50:, :3] == 1).all()  # the figure's own background
    assert content == as_png(figure)


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(PathfinderError, match="holds no table to draw"):
        draw(tmp_path)
    with pytest.raises(PathfinderError, match="is not a folder"):
        draw(tmp_path / "no")


def test_a_run_without_a_landscape_is_named(folder, tmp_path_factory):
    with pytest.raises(PathfinderError, match=rf"{folder} has no table surfaces.csv and no curv.*score surface"):
        draw_together([folder], folder / "both")
    steep = tmp_path_factory.mktemp("steep")
    line = pd.DataFrame({"pair": "p", "name": "p-a", "surface": "ray", "x": T, "train_loss": 1 + T})
    write_table(steep / "surfaces.csv", line)
    with pytest.raises(PathfinderError, match=rf"{folder} has no table"):
        draw_together([steep, folder], folder / "both")
    assert not (folder / "both").exists()


def test_figures_say_what_they_show(folder, landscape, monkeypatch):
    titles, notes, panels, labels = {}, {}, {}, {}

    def look(figures, folder, pdf):
        for name, figure in figures.items():
            titles[name] = " ".join(figure.get_suptitle().split())
            notes[name] = " ".join(text.get_text() for text in figure.artists if isinstance(text, Annotation))
            panels[name] = [ax.get_title() for ax in figure.axes if ax.get_title()]
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
    assert notes["paths-solo"] == "shaded: 95 % interval over examples"
    assert notes["paths-many"] == "mean and range over 2 pairs"
    assert notes["curvature-p"] == "shaded: 95 % interval over random vectors"
    assert notes["ratio-flat"] == "grey: did not converge; surface flat"
    assert notes["filled-flat"] == "clipped at 10 nats; surface flat"
    assert panels["relief-flat"] == ["p-a", "p-b"]
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


def test_a_path_is_drawn_over_all_its_points_with_a_gap_where_a_loss_is_not_finite():
    uneven = np.array([-0.2, 0, 0.15, 0.3, 0.6, 1, 1.2])
    table = pd.DataFrame({"t": uneven, "train_loss": 1 + uneven**2, "path": "line", "pair": "solo"})
    t = _common([table])
    assert (t.min(), t.max()) == (-0.2, 1.2)
    assert np.abs(_at(t, table, "train_loss") - (1 + t**2)).max() < 0.03
    table.loc[3, "train_loss"] = np.inf
    unknown = np.isnan(_at(t, table, "train_loss"))
    assert unknown.any() and np.array_equal(unknown, (t > 0.15) & (t <= 0.6))


def test_points_on_all_examples_are_dots_in_the_figure_of_one_pair(folder, monkeypatch):
    t, ends = [0.25, 0.5], {"pair": "solo", "path": "ends", "t": [0.0, 1.0]}
    scored = {f"{split}_{metric}": 0.7 for split in ("train", "test") for metric in ("loss", "error")}
    own = {"pair": "solo", "path": "own", "t": t}
    rows = [pd.DataFrame(keys).assign(**scored) for keys in (ends, own, {**own, "pair": "many-1"})]
    write_table(folder / "rescored.csv", pd.concat(rows))
    drawn = {}
    monkeypatch.setattr(
        importlib.import_module("pathfinder.figures.draw"), "_save", lambda figures, *how: drawn.update(figures) or []
    )
    draw(folder)
    dots = {
        name: [(line.get_color(), *line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "o"]
        for name, figure in drawn.items()
    }
    assert dots["paths-solo"] == [("black", 0.0, 1.0), (colours(["line", "own"])["own"], *t)] and not dots["paths-many"]
    assert "dots: on all examples" in drawn["paths-solo"].artists[0].get_text()


def test_curves_of_ones_own_have_colours_of_their_own():
    chosen = colours(["line", "polychain", "bezier", *(f"c{i}" for i in range(8))])
    assert len(set(chosen.values())) == 11 and not set(chosen.values()) & set(MINIMA.values())
