"""Learning-rate schedules."""

import math
from typing import Literal

Schedule = Literal["constant", "step", "li", "cosine", "onecycle", "garipov"]


def _step(step: int, steps: int, epochs: int) -> float:
    share = (step // steps) / epochs
    return 0.01 if share >= 0.75 else 0.1 if share >= 0.5 else 1.0


def _li(step: int, steps: int, epochs: int) -> float:
    return _step(step, steps, epochs) * (0.1 if 12 * (step // steps) >= 11 * epochs else 1.0)


def _cosine(step: int, steps: int, epochs: int) -> float:
    return (1 + math.cos(math.pi * step / (steps * epochs))) / 2


def _onecycle(step: int, steps: int, epochs: int) -> float:
    first, last, turn, end = 1 / 25, 1 / 250_000, 0.3 * steps * epochs - 1, steps * epochs - 1
    if step <= turn:
        return _between(first, 1.0, step / turn)
    return _between(1.0, last, (step - turn) / (end - turn))


def _garipov(step: int, steps: int, epochs: int) -> float:
    share = (step // steps + 1) / epochs
    if share <= 0.5:
        return 1.0
    return 1.0 - (share - 0.5) / 0.4 * 0.99 if share <= 0.9 else 0.01


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES = {
    "constant": lambda step, steps, epochs: 1.0,
    "step": _step,
    "li": _li,
    "cosine": _cosine,
    "onecycle": _onecycle,
    "garipov": _garipov,
}
