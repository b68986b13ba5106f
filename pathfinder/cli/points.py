"""Points, ranges of coordinates and numbers of examples, as users type them."""

from typing import Any

import typer


def read_count(text: str | None, option: str) -> int | str | None:
    """A number, of points or of examples, or `auto`; None if the option was not given."""
    try:
        return text if text in (None, "auto") else int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} must be a number or auto, got {text}.") from error


def read_points(text: str) -> int | tuple[int, ...]:
    """Points per axis: one number, or one for each axis (51x31)."""
    try:
        counts = tuple(int(part) for part in text.split("x"))
    except ValueError as error:
        raise typer.BadParameter(f"--points must be 51 or 51x31, got {text}.") from error
    return counts[0] if len(counts) == 1 else counts


def read_surface_points(text: str) -> int | tuple[int, ...] | str:
    """Points over two axes: as for `read_points`, or `auto`."""
    return text if text == "auto" else read_points(text)


def read_span(text: str) -> float | tuple[Any, ...]:
    """A range of coordinates: one number, two ends (-1:2), or one of these for each axis (-1:2,-0.5:0.5)."""
    parts = [part.split(":") for part in text.split(",")]
    if len(parts) > 1:  # with several axes, each needs both ends
        parts = [part if len(part) == 2 else [f"-{part[0]}", part[0]] for part in parts]
    try:
        numbers = [tuple(float(number) for number in part) for part in parts]
    except ValueError as error:
        raise typer.BadParameter(f"--span must be 1, -1:2 or -1:2,-0.5:0.5, got {text}.") from error
    ends = [one[0] if len(one) == 1 else one for one in numbers]
    return ends[0] if len(ends) == 1 else tuple(ends)
