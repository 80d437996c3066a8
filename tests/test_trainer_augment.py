"""Augmentation: an object turned, mirrored, shifted and re-lit, never something else."""

import torch
from torch import Tensor

from trainer.train.augment import augment


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disc(count: int, level: float = 0.5) -> Tensor:
    """A disc in the middle: the same after every rotation."""
    ticks = torch.arange(32) - 15.5
    inside = (ticks[:, None] ** 2 + ticks[None] ** 2) < 8**2
    return (inside * level).expand(count, 3, 32, 32).contiguous()


def test_same_generator_state_gives_the_same_pixels_and_the_input_stays() -> None:
    pixels = torch.rand(4, 3, 16, 16, generator=seeded(1))
    before = pixels.clone()
    first, again = (augment(pixels, seeded(2)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(pixels, before)
    assert not torch.equal(first, augment(pixels, seeded(3)))


def test_only_the_given_generator_is_drawn_from() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    augment(disc(2), seeded(0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_values_stay_in_range_and_background_stays_black() -> None:
    told = augment(disc(64, 1.0), seeded(0))
    assert (float(told.min()), float(told.max())) == (0.0, 1.0)
    assert float(told[:, :, :3, :3].max()) == 0.0


def test_an_object_keeps_its_size_and_nearly_its_brightness() -> None:
    told = augment(disc(64), seeded(0))
    areas = (told > 0.25).float().sum(dim=(1, 2, 3)) / (disc(1) > 0.25).float().sum()
    levels = told.amax(dim=(2, 3)) / 0.5
    assert float((areas - 1).abs().max()) < 0.05
    assert float((levels - 1).abs().max()) < 0.12


def test_a_piece_takes_all_eight_poses_and_no_other() -> None:
    """Quarter turns and mirrors of an uneven corner, and not one pixel interpolated."""
    corner = torch.zeros(200, 1, 4, 4)
    corner[:, :, 0, 1] = 0.5
    told = augment(corner, seeded(0))
    poses = {tuple(piece.flatten().nonzero().flatten().tolist()) for piece in told}
    assert poses == {(1,), (2,), (4,), (7,), (8,), (11,), (13,), (14,)}
