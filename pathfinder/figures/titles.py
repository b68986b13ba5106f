"""Titles of panels: what their networks are, and what tells one panel from another."""

import re
from collections.abc import Callable, Sequence

import pandas as pd

from pathfinder.figures.words import NO_SHORTCUTS, has_size, model_label, name_label

SETTINGS = ("batch_size", "weight_decay", "lr", "epochs", "momentum", "label_smoothing")  # that may tell minima apart
_WORDS = {"batch_size": "batch", "lr": "learning rate"}


def setting_words(setting: str, value: int | float) -> str:
    """A setting of training as text.

    >>> setting_words("batch_size", 2048), setting_words("weight_decay", 0), setting_words("lr", 0.1)
    ('batch 2048', 'no weight decay', 'learning rate 0.1')
    """
    words = _WORDS.get(setting, setting.replace("_", " "))
    return f"no {words}" if value == 0 and setting != "seed" else f"{words} {value:g}"


def panel_titles(
    panels: Sequence[tuple[str, str]], minima: pd.DataFrame, notes: Sequence[Sequence[str]] = ()
) -> list[str]:
    """A title for each panel, all different where anything tells the panels apart.

    Args:
        panels: the name of the minimum and of the surface of each.
        minima: the table of minima, indexed by name.
        notes: what is said of each panel where they differ, such as its BatchNorm statistics.

    >>> table = pd.DataFrame({"model": ["vgg9", "vgg9"], "batch_size": [128, 2048]}, index=["p-a", "p-b"])
    >>> panel_titles([("p-a", "map"), ("p-b", "map")], table)
    ['VGG-9, batch 128', 'VGG-9, batch 2048']
    """
    titles = _networks([name for name, _ in panels], minima)
    for i, own in enumerate(notes):
        titles[i] = "; ".join([titles[i], *own])
    parts: list[Callable[[int], str]] = [
        *(lambda i, s=setting: _setting(panels[i][0], s, minima) for setting in (*SETTINGS, "aligned", "seed")),
        lambda i: panels[i][1],
        lambda i: panels[i][0],
    ]
    for part in parts:
        longer = [_add(title, part(i)) for i, title in enumerate(titles)]
        if len(set(longer)) > len(set(titles)):
            titles = longer
    return titles


def _add(title: str, part: str) -> str:
    """The title of a network with one more part, before the notes."""
    network, *notes = title.split("; ")
    longer = part if part.startswith(network) else ", ".join(filter(None, [network, part]))
    return "; ".join([longer or network, *notes])


def _networks(names: Sequence[str], minima: pd.DataFrame) -> list[str]:
    """The network of each minimum; with its name where the network alone is only a family."""
    models = [minima["model"].get(name) if "model" in minima else None for name in names]
    labels = [model_label(model) if isinstance(model, str) else "" for model in models]
    if (not all(label and has_size(label) for label in labels) and len(set(names)) > 1) or "" in labels:
        own = [name_label(name.rpartition(" ")[2]) for name in names]  # without the title of its run
        labels = [
            label if word in label else ", ".join(filter(None, [label, word]))
            for label, word in zip(labels, own, strict=True)
        ]
        labels = [_once(label) for label in labels]
    plain = {re.sub(f",? {NO_SHORTCUTS}", "", label) for label in labels if NO_SHORTCUTS in label}
    return [f"{label}{',' * (',' in label)} with shortcuts" if label in plain else label for label in labels]


def _once(label: str) -> str:
    """A label that says only once that it has no shortcuts."""
    parts = label.split(", ")
    return ", ".join([part for i, part in enumerate(parts) if not any(part in before for before in parts[:i])])


def _setting(name: str, setting: str, minima: pd.DataFrame) -> str:
    value = minima[setting].get(name) if setting in minima else None
    if value is None or pd.isna(value):
        return ""
    return "aligned" if setting == "aligned" else setting_words(setting, float(value))
