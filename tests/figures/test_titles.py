"""Titles of panels tell networks, settings and BatchNorm statistics apart."""

import pandas as pd

from pathfinder.figures.panels import make_panels
from pathfinder.figures.titles import panel_titles
from pathfinder.figures.words import batch_norm_notes

MINIMA = pd.DataFrame({"model": ["resnet56", "resnet56-noshort"], "test_error": [6.34, 13.31]}, index=["a", "b"])


def test_networks_are_named_by_their_model_and_statistics_by_the_table():
    notes = [["BatchNorm as stored"], ["BatchNorm as stored"], ["BatchNorm re-estimated from clean inputs"]]
    assert panel_titles([("a", "s"), ("b", "s"), ("b", "r")], MINIMA, notes) == [
        "ResNet-56 with shortcuts; BatchNorm as stored",
        "ResNet-56 without shortcuts; BatchNorm as stored",
        "ResNet-56 without shortcuts; BatchNorm re-estimated from clean inputs",
    ]


def test_settings_and_then_names_tell_equal_networks_apart():
    table = pd.DataFrame(
        {"model": "vgg9", "batch_size": [128, 128, 2048], "seed": [0, 2, 0]}, index=["p-a", "q-a", "b"]
    )
    titles = panel_titles([(name, "s") for name in table.index], table)
    assert titles == ["VGG-9, batch 128, seed 0", "VGG-9, batch 128, seed 2", "VGG-9, batch 2048, seed 0"]
    bare = pd.DataFrame({"model": ["resnet", "resnet"]}, index=["k2-a", "k2-noshort-a"])
    assert panel_titles([(name, "s") for name in bare.index], bare) == [
        "ResNet, k2, with shortcuts",
        "ResNet, k2, without shortcuts",
    ]


def test_repair_does_not_count_as_batch_norm():
    rows = pd.DataFrame({"path": ["line", "aligned-line-repair"], "batch_norm_examples": [0, 500]})
    assert batch_norm_notes(rows) == []
    assert batch_norm_notes(rows.assign(batch_norm=["training", "training"])) == [
        "BatchNorm re-estimated from inputs as in training"
    ]
    assert batch_norm_notes(rows.assign(batch_norm="none", batch_norm_examples=9)) == []


def test_long_titles_of_panels_break_after_a_comma():
    table = pd.DataFrame(
        {"model": "vgg9", "batch_size": [128, 2048, 128], "weight_decay": [0.0, 5e-4, 5e-4], "test_error": 44.12},
        index=["a", "b", "c"],
    )
    rows = pd.DataFrame({"name": ["a", "b", "c"], "surface": "s", "x": 0.0, "y": 0.0, "train_loss": 1.0})
    panels = make_panels(rows, table, size=(2.4, 3.0))
    assert [panel.ax.get_title() for panel in panels] == [
        "VGG-9, batch 128,\nno weight decay\ntest error 44.1 %",
        "VGG-9, batch 2048,\nweight decay 0.0005\ntest error 44.1 %",
        "VGG-9, batch 128,\nweight decay 0.0005\ntest error 44.1 %",
    ]
