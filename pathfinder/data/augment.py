"""Augmentation: random crops and flips of a whole batch of images at once, drawn in advance for an epoch."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, Shaped
from torch import Tensor


def draw_moves(rng: np.random.Generator, examples: int, crop: int, flip: bool) -> Int[Tensor, "examples 3"] | None:
    """Draw for each example how far down and right its window lies, 0 to 2 * crop, and whether it is mirrored.

    Without crop and flip it returns None and leaves the generator as it is.

    Args:
        rng: draws.
        examples: how many.
        crop: pixels of padding.
        flip: whether images may be mirrored.
    """
    if not crop and not flip:
        return None
    windows = rng.integers(0, 2 * crop, (examples, 2), endpoint=True)
    mirrored = rng.integers(0, int(flip), (examples, 1), endpoint=True)
    return torch.from_numpy(np.concatenate([windows, mirrored], axis=1))


def apply_moves(
    x: Shaped[Tensor, "batch channels height width"], moves: Int[Tensor, "batch 3"], crop: int
) -> Shaped[Tensor, "batch channels height width"]:
    """Pad each image with `crop` zeros on every side, cut out its window, and mirror it where its row says so.

    Zeros are black in images of `uint8`, which are normalised after the crop, as torchvision's `RandomCrop(size,
    padding=crop)` does in front of `ToTensor` and `Normalize`; in inputs that are floats already they are just zeros.
    One gather does this for all images, and leaves the channels last in memory, which makes convolutions fast.
    """
    height, width = x.shape[2:]
    padded = F.pad(x, (crop,) * 4).permute(0, 2, 3, 1).contiguous()
    down, right, mirrored = moves.unbind(1)
    along = torch.arange(width, device=x.device)
    rows = down[:, None] + torch.arange(height, device=x.device)
    columns = right[:, None] + torch.where(mirrored[:, None] == 1, width - 1 - along, along)
    example = torch.arange(len(x), device=x.device)[:, None, None]
    return padded[example, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
