"""Augmentation: an object turned, mirrored, shifted and re-lit, never something else."""

import torch
from torch import Tensor

from trainer.train.augment import AugmentSettings, augment, mix

PLAIN = AugmentSettings()
FREE = AugmentSettings(rotation_deg=180, scale=0.25, shift=0.1, offset=0.05, contrast=0.2, erase=0.5)
BLEND = AugmentSettings(mixup=1.0, cutmix=0.5)


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
    first, again = (augment(pixels, PLAIN, seeded(2)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(pixels, before)
    assert not torch.equal(first, augment(pixels, PLAIN, seeded(3)))


def test_only_the_given_generator_is_drawn_from() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    augment(disc(2), PLAIN, seeded(0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_values_stay_in_range_and_background_stays_black() -> None:
    told = augment(disc(64, 1.0), PLAIN, seeded(0))
    assert (float(told.min()), float(told.max())) == (0.0, 1.0)
    assert float(told[:, :, :3, :3].max()) == 0.0


def test_an_object_keeps_its_size_and_nearly_its_brightness() -> None:
    told = augment(disc(64), PLAIN, seeded(0))
    areas = (told > 0.25).float().sum(dim=(1, 2, 3)) / (disc(1) > 0.25).float().sum()
    levels = told.amax(dim=(2, 3)) / 0.5
    assert float((areas - 1).abs().max()) < 0.05
    assert float((levels - 1).abs().max()) < 0.12


def test_a_piece_takes_all_eight_poses_and_no_other() -> None:
    """Quarter turns and mirrors of an uneven corner, and not one pixel interpolated."""
    corner = torch.zeros(200, 1, 4, 4)
    corner[:, :, 0, 1] = 0.5
    told = augment(corner, PLAIN, seeded(0))
    poses = {tuple(piece.flatten().nonzero().flatten().tolist()) for piece in told}
    assert poses == {(1,), (2,), (4,), (7,), (8,), (11,), (13,), (14,)}


def test_free_turns_draw_from_the_given_generator_alone_and_leave_the_input_as_it_is() -> None:
    pixels = torch.rand(8, 3, 16, 16, generator=seeded(1))
    before, state = pixels.clone(), torch.random.get_rng_state()
    first, again = (augment(pixels, FREE, seeded(2)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(pixels, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (float(first.min()), float(first.max())) >= (0.0, 0.0)


def test_a_free_turn_keeps_the_area_of_a_disc_and_a_scale_changes_it_as_far_as_it_may() -> None:
    area = float((disc(1) > 0.25).sum())
    turned = augment(disc(200), AugmentSettings(rotation_deg=180, gain=0, tint=0), seeded(0))
    areas = (turned > 0.25).float().sum(dim=(1, 2, 3)) / area
    assert float((areas - 1).abs().max()) < 0.08
    scaled = augment(disc(200), AugmentSettings(scale=0.25, gain=0, tint=0), seeded(0))
    factors = ((scaled > 0.25).float().sum(dim=(1, 2, 3)) / area).sqrt()
    assert 0.75 < float(factors.min()) < 0.85
    assert 1.18 < float(factors.max()) < 1.32


def test_a_shift_moves_by_no_more_than_its_share_of_the_side() -> None:
    moved = augment(disc(200), AugmentSettings(shift=0.1, gain=0, tint=0), seeded(0))
    columns = torch.arange(32.0)
    weights = moved.sum(dim=(1, 2))  # (N, S)
    centres = (weights * columns).sum(dim=1) / weights.sum(dim=1) - 15.5
    assert 2.7 < float(centres.abs().max()) < 3.4


def test_mixing_keeps_the_shares_of_each_sample_whole() -> None:
    pixels, targets = torch.rand(64, 3, 8, 8, generator=seeded(1)), torch.eye(4).repeat(16, 1)
    blended, shares = mix(pixels, targets, BLEND, seeded(0))
    assert torch.allclose(shares.sum(dim=1), torch.ones(64))
    assert float((shares * targets).sum(dim=1).min()) > 0.0
    assert not torch.equal(blended, pixels)
    same, untouched = mix(pixels, targets, PLAIN, seeded(0))
    assert torch.equal(same, pixels)
    assert torch.equal(untouched, targets)


def test_a_mixed_sample_stays_at_least_half_itself() -> None:
    targets = torch.eye(64)
    _, shares = mix(torch.zeros(64, 1, 2, 2), targets, AugmentSettings(mixup=1.0), seeded(0))
    own = (shares * targets).sum(dim=1)
    assert 0.5 <= float(own.min()) < 0.6
    assert float(own.max()) <= 1.0


def test_cutmix_gives_the_other_label_the_share_of_the_square() -> None:
    """White samples of class 0, black ones of class 1: the mean brightness is the share of class 0."""
    pixels = torch.cat((torch.ones(32, 1, 16, 16), torch.zeros(32, 1, 16, 16)))
    targets = torch.cat((torch.eye(2)[:1].repeat(32, 1), torch.eye(2)[1:].repeat(32, 1)))
    told, shares = mix(pixels, targets, AugmentSettings(cutmix=1.0), seeded(0))
    assert torch.allclose(told.mean(dim=(1, 2, 3)), shares[:, 0], atol=1e-6)
    assert int((shares[:, 0] % 1 > 0).sum()) > 0


def test_erasing_takes_a_square_of_no_more_than_half_the_side() -> None:
    pixels = torch.rand(200, 1, 16, 16, generator=seeded(3))
    told = augment(pixels, AugmentSettings(rotation_deg=1e-9, gain=0, tint=0, erase=1.0), seeded(0))
    plain = augment(pixels, AugmentSettings(rotation_deg=1e-9, gain=0, tint=0), seeded(0))
    share = (told != plain).float().mean(dim=(1, 2, 3))
    assert 0.0 < float(share.max()) <= 0.28
    assert float(share.mean()) > 0.03
