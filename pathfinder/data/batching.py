"""Cutting examples into batches, and batches into micro-batches."""

from collections.abc import Iterator

from pathfinder.data.trees import Tree, count, map_leaves
from pathfinder.errors import PathfinderError


def parts(batch: tuple[Tree, Tree], size: int | None) -> Iterator[tuple[Tree, Tree]]:
    """Cut a batch into pieces of `size` examples; None leaves it whole."""
    examples = count(batch[0])
    for piece in [slice(None)] if size is None or size >= examples else slices(examples, size):
        yield tuple(map_leaves(lambda leaf, piece=piece: leaf[piece], tree) for tree in batch)


def slices(examples: int, size: int) -> list[slice]:
    """Consecutive ranges of `size` examples; a single last example joins the range before, as BatchNorm needs two."""
    if size < 1:
        raise PathfinderError(f"batch_size must be 1 or more, got {size}.")
    starts = list(range(0, examples, size))
    if len(starts) > 1 and size > 1 and examples - starts[-1] == 1:
        starts.pop()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], examples], strict=True)]
