import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pathfinder import PathfinderError, Split
from pathfinder.data import augment


@pytest.mark.parametrize(("crop", "flip"), [(4, True), (2, False), (0, True)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_batch_moves_as_each_image_would_alone(crop, flip, dtype):
    x = torch.randint(0, 256, (20, 3, 5, 7)).to(dtype)
    moves = augment.draw_moves(np.random.default_rng(0), 20, crop, flip)
    found = augment.apply_moves(x, moves, crop)
    for image, (down, right, mirrored), out in zip(x, moves.tolist(), found, strict=True):
        wanted = F.pad(image, (crop,) * 4)[:, down : down + 5, right : right + 7]
        assert torch.equal(out, wanted.flip(2) if mirrored else wanted)


def test_every_window_and_both_sides_come_up():
    moves = augment.draw_moves(np.random.default_rng(0), 2000, 2, True)
    assert sorted(set(moves[:, 0].tolist())) == sorted(set(moves[:, 1].tolist())) == [0, 1, 2, 3, 4]
    assert 0.45 < moves[:, 2].double().mean() < 0.55
    assert augment.draw_moves(np.random.default_rng(0), 5, 0, False) is None


def test_only_fitting_sees_moved_images_and_a_late_start_sees_the_same():
    x = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8)
    plain = Split(x, torch.arange(50), mean=torch.full((3,), 0.5), std=torch.full((3,), 0.25))
    split = plain.augmented(crop=2, flip=True)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(split.batches(16), plain.batches(16), strict=True))
    batches = list(split.epoch(16, np.random.default_rng(3)))
    assert not torch.equal(batches[0][0], plain.batch(batches[0][1])[0])
    late = list(split.epoch(16, np.random.default_rng(3), start=2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batches[2:], late, strict=True))
    assert split.digest == plain.digest


def test_inputs_that_are_no_images_are_named():
    with pytest.raises(PathfinderError, match=r"crop and flip need images .* got inputs of shape \(6,\)"):
        Split(torch.zeros(4, 6), torch.zeros(4)).augmented(flip=True)
