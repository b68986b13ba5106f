"""How examples are cut into batches."""

from collections.abc import Iterator

from pathfinder.data.trees import Tree, count, mapped
from pathfinder.errors import PathfinderError


def parts(batch: tuple[Tree, Tree], size: int | None) -> Iterator[tuple[Tree, Tree]]:
    """A batch in pieces of `size` examples, or whole."""
    examples = count(batch[0])
    for piece in [slice(None)] if size is None or size >= examples else slices(examples, size):
        yield tuple(mapped(lambda leaf, piece=piece: leaf[piece], tree) for tree in batch)


def slices(examples: int, size: int) -> list[slice]:
    """Consecutive ranges of `size` examples; a lone last one joins the range before (BatchNorm needs two)."""
    if size < 1:
        raise PathfinderError(f"batch_size must be 1 or more, got {size}.")
    starts = list(range(0, examples, size))
    if len(starts) > 1 and size > 1 and examples - starts[-1] == 1:
        starts.pop()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], examples], strict=True)]
