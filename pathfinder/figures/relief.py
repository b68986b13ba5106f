"""A surface in three dimensions: shaded, with its contours on the floor."""

from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D
from scipy.ndimage import distance_transform_edt

from pathfinder.figures.contours import COLOURS, POINTS, UNKNOWN, line_colours
from pathfinder.figures.grid import Grid
from pathfinder.figures.levels import Levels

_POLYGONS = 101  # along each axis
_FLOOR = 0.45  # below the lowest height, as a share of the range of heights
_LIGHT = np.array([-0.455, -0.455, 0.766])  # a direction of length 1: from the left of the view, 50 degrees high
_STEEP = 0.8  # how far the range of heights reaches for the light, as a share of the width
_GLEAM = 4.0  # of white; a slope that faces the light is at most 1.3 times as bright as a level one
_MOST_TICKS = 6


def draw_relief(ax: Axes, nodes: Grid, levels: Levels, label: str) -> None:
    """Draw heights as a smooth surface, lit from the left; what is not a number is grey, as high as its neighbour.

    Args:
        ax: in three dimensions.
        nodes: the heights that were measured.
        levels: of the contours, and the limits of the heights.
        label: of the axis of heights.
    """
    solid, (low, high) = cast("Axes3D", ax), levels.limits
    floor = low - _FLOOR * (high - low)
    flat = nodes.refine(POINTS)
    if np.ptp(flat.heights) > 0:
        style = {"cmap": line_colours(), "vmin": low, "vmax": high, "linewidths": 0.9}
        lines = [height for height in levels.height(levels.edges) if height < high]
        solid.contour(flat.x, flat.y, flat.heights, lines, zdir="z", offset=floor, **style)
    grid = nodes.refine(_POLYGONS)
    unknown = np.ma.getmaskarray(grid.heights)
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    heights = grid.heights.filled(high)[tuple(nearest)]
    colours = _shade(heights, low, high)
    colours[unknown] = to_rgba(UNKNOWN)
    corners = np.stack([*np.meshgrid(grid.x, grid.y), heights], axis=-1)
    faces = [corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]]
    of_face = ((colours[:-1, :-1] + colours[:-1, 1:] + colours[1:, 1:] + colours[1:, :-1]) / 4).reshape(-1, 4)
    # `plot_surface` makes the same, ten times slower; edges of the same colour hide the gaps between faces
    style: dict[str, Any] = {"facecolors": of_face, "edgecolors": of_face, "linewidths": 0.3, "antialiaseds": False}
    surface = Poly3DCollection(np.stack(faces, axis=2).reshape(-1, 4, 3), **style)
    surface.set_rasterized(True)  # thousands of polygons
    solid.add_collection3d(surface)
    solid.set(xlabel="x", ylabel="y", xlim=(grid.x[0], grid.x[-1]), ylim=(grid.y[0], grid.y[-1]), zlim=(floor, high))
    place = ax.get_subplotspec()
    if place is None or place.is_last_col():  # it would touch the next panel
        solid.set_zlabel(label)
    words = dict(zip(levels.height(levels.edges), levels.words(), strict=True))
    shown = list(words)[:: -(-len(words) // _MOST_TICKS)]
    solid.zaxis.set_ticks(shown, labels=[words[height] for height in shown])
    solid.tick_params(labelsize=8.5, pad=1)
    solid.zaxis.set_tick_params(pad=4)
    solid.zaxis.labelpad = 7
    for axis in (solid.xaxis, solid.yaxis):  # labels at the corner would touch
        axis.set_major_locator(MaxNLocator(4, prune="both"))
    solid.patch.set_visible(False)  # it would cover the labels of the panel before
    solid.view_init(elev=28, azim=-55)
    solid.set_box_aspect((1, 1, 0.8), zoom=1.08)
    solid.set_title(solid.get_title(), fontsize=10.5, pad=-6)


def _shade(heights: np.ndarray, low: float, high: float) -> np.ndarray:
    """(rows, columns, rgba): the colour of each height under the light; a level plane keeps its own."""
    scaled = (heights - low) / (high - low)
    colours = mpl.colormaps[COLOURS](scaled)
    up, right = np.gradient(scaled * _STEEP, 1 / (heights.shape[0] - 1), 1 / (heights.shape[1] - 1))
    light = (_LIGHT[2] - _LIGHT[0] * right - _LIGHT[1] * up) / np.sqrt(1 + right**2 + up**2)  # the normal's share
    level = light.clip(0) / _LIGHT[2]
    dim, gleam = 0.5 + 0.5 * level.clip(max=1), _GLEAM * (level - 1).clip(0) ** 2
    shaded = colours[..., :3] * dim[..., None]
    colours[..., :3] = shaded + gleam.clip(max=0.6)[..., None] * (1 - shaded)
    return colours
