"""Augmentation: an object turned, mirrored, shifted and re-lit, never something else."""

import pytest
import torch
from torch import Tensor

from trainer.augment import augment


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
    first, again = (augment(pixels, seeded(2), turn_degrees=180.0) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(pixels, before)
    assert not torch.equal(first, augment(pixels, seeded(3), turn_degrees=180.0))


def test_only_the_given_generator_is_drawn_from() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    augment(disc(2), seeded(0), turn_degrees=180.0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_values_stay_in_range_and_background_stays_black() -> None:
    told = augment(disc(64, 1.0), seeded(0), turn_degrees=180.0)
    assert (float(told.min()), float(told.max())) == (0.0, 1.0)
    assert float(told[:, :, :3, :3].max()) == 0.0


def test_an_object_keeps_its_size_and_nearly_its_brightness() -> None:
    told = augment(disc(64), seeded(0), turn_degrees=180.0)
    areas = (told > 0.25).float().sum(dim=(1, 2, 3)) / (disc(1) > 0.25).float().sum()
    levels = told.amax(dim=(2, 3)) / 0.5
    assert float((areas - 1).abs().max()) < 0.05
    assert float((levels - 1).abs().max()) < 0.12


@pytest.mark.parametrize("turn_degrees", [0.0, 180.0])
def test_turns_stay_within_their_limit(turn_degrees: float) -> None:
    """A bar along one axis: without a turn it stays along it, with every turn allowed it does not."""
    bar = torch.zeros(64, 3, 32, 32)
    bar[:, :, 15:17, 6:26] = 0.5
    told = augment(bar, seeded(0), turn_degrees=turn_degrees)
    height = (told.amax(dim=(1, 3)) > 0.1).sum(dim=1)
    assert (int(height.max()) > 12) == (turn_degrees > 0)
