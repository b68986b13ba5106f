import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import minimum_filter

from pathfinder.tables.surface_shapes import strict_minima, surface_shape


def surface(losses):
    rows, columns = losses.shape
    x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
    return pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "train_loss": losses.ravel()})


@pytest.mark.parametrize("shape", [(9, 9), (7, 12), (3, 3), (2, 5)])
def test_strict_minima_are_those_of_a_filter(shape):
    losses = np.random.default_rng(0).random(shape)
    around = np.ones((3, 3), dtype=bool)
    around[1, 1] = False
    wanted = losses < minimum_filter(losses, footprint=around, mode="constant", cval=-np.inf)
    assert (strict_minima(losses) == wanted).all()


def test_only_strict_minima_above_the_centre_are_counted():
    losses = np.full((9, 9), 5.0)
    losses[4, 4], losses[1, 1], losses[1, 6], losses[7, 3] = 0.1, 2.0, 3.0, 0.05
    shape = surface_shape(surface(losses))
    assert shape["local_minima"] == 2  # that at (7, 3) is lower than the centre
    assert shape["centre"] == 0.1 and shape["largest"] == shape["median"] == 5.0 and shape["points"] == 81
    assert shape["share_low"] == pytest.approx(100 * 2 / 81)
    losses[1, 2] = 2.0  # as low as its neighbour
    losses[1, 6], losses[0, 7] = 5.0, 1.0  # at the edge
    assert surface_shape(surface(losses))["local_minima"] == 0
