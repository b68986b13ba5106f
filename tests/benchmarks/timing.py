"""Two functions timed in turns, so that what else the machine does weighs on both."""

import statistics
import time
from collections.abc import Callable


def in_turns(
    ours: Callable[[], object], other: Callable[[], object], repeats: int, warm_up: bool = True
) -> list[tuple[float, float]]:
    """Seconds of both, `repeats` times; a first turn that warms up is left out, unless one takes minutes anyway."""
    times: list[tuple[float, float]] = []
    for repeat in range(repeats + warm_up):
        pair = []
        for function in (ours, other) if repeat % 2 else (other, ours):
            began = time.perf_counter()
            function()
            pair.append(time.perf_counter() - began)
        times.append((pair[0], pair[1]) if repeat % 2 else (pair[1], pair[0]))
    return times[warm_up:]


def compared(times: list[tuple[float, float]]) -> dict[str, float]:
    """The median of the ratios of neighbours, with the smallest and the largest."""
    ratios = [a / b for a, b in times]
    return {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
