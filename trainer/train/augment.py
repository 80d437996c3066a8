"""What an object may look like on the belt: turned, mirrored, moved, nearer or farther, under a slightly other lamp.

Turned by quarters no pixel is interpolated: a speck stays a speck. Free turns, scale and shift resample the picture,
which blurs small things and teaches much where samples are few. Strengths are settings; 0 is off. All chance comes from
the generator that is passed in.

>>> augment(torch.zeros(2, 3, 8, 8), AugmentSettings(), torch.Generator().manual_seed(0)).shape
torch.Size([2, 3, 8, 8])
"""

from math import log, pi
from typing import Annotated

import msgspec
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["AugmentSettings", "augment", "mix"]

Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class AugmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far samples are changed while training.

    Attributes:
        rotation_deg: free turns by up to so many degrees to either side; 0 turns by quarters only.
        scale: larger or smaller by up to this share; only where size tells nothing about the class.
        shift: moved by up to this share of the side.
        gain: brighter or darker by up to this share: lamp ageing and exposure.
        tint: each channel by up to this share: colour temperature.
        offset: all values up or down by up to this share of full scale: stray light.
        contrast: differences from the mean larger or smaller by up to this share.
        erase: probability that a square of a tenth to a half of the side is replaced by the mean.
        mixup: probability that a sample is blended with another one, labels alike.
        cutmix: probability that a square of another sample covers it, labels by area.
    """

    rotation_deg: Annotated[float, msgspec.Meta(ge=0.0, le=180.0)] = 0.0
    scale: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    shift: Annotated[float, msgspec.Meta(ge=0.0, le=0.5)] = 0.0
    gain: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.08
    tint: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.03
    offset: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    contrast: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    erase: Probability = 0.0
    mixup: Probability = 0.0
    cutmix: Probability = 0.0

    @property
    def is_resampled(self) -> bool:
        """Whether pixels are interpolated."""
        return max(self.rotation_deg, self.scale, self.shift) > 0


def augment(pixels: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Return pixels (N, C, S, S) float32 in 0..1, each turned, mirrored, moved and re-lit at random.

    Args:
        pixels: unchanged; on any device.
        settings: how far.
        generator: source of all randomness, on the processor.
    """
    moved = _warp(pixels, settings, generator) if settings.is_resampled else _turn_by_quarters(pixels, generator)
    lit = _light(moved, settings, generator)
    return _erase(lit, settings.erase, generator) if settings.erase else lit


def mix(
    pixels: Tensor, targets: Tensor, settings: AugmentSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return pixels and targets blended with those of other samples of the batch, where mixup or cutmix says so.

    Args:
        pixels: (N, C, S, S) float32; unchanged.
        targets: (N, K) float32 shares of the classes; unchanged.
        settings: probabilities of both.
        generator: source of all randomness, on the processor.

    Source:
        Zhang et al. 2018, mixup; Yun et al. 2019, CutMix. Shares are uniform: Beta(1, 1), folded for mixup, so that a
        sample stays at least half itself.
    """
    if settings.mixup:
        other = torch.randperm(len(pixels), generator=generator).to(pixels.device)
        share = 1 - 0.5 * _uniform(len(pixels), generator) * _happens(len(pixels), settings.mixup, generator)
        share = share.to(pixels.device)
        pixels = share.reshape(-1, 1, 1, 1) * pixels + (1 - share).reshape(-1, 1, 1, 1) * pixels[other]
        targets = share[:, None] * targets + (1 - share)[:, None] * targets[other]
    if settings.cutmix:
        other = torch.randperm(len(pixels), generator=generator).to(pixels.device)
        hit = _squares(pixels, (0.1, 0.7), settings.cutmix, generator)  # (N, S, S)
        pixels = torch.where(hit[:, None], pixels[other], pixels)
        covered = hit.float().mean(dim=(1, 2))[:, None]
        targets = (1 - covered) * targets + covered * targets[other]
    return pixels, targets


def _turn_by_quarters(pixels: Tensor, generator: torch.Generator) -> Tensor:
    flags = torch.randint(0, 2, (3, len(pixels), 1, 1, 1), generator=generator).bool().to(pixels.device)
    sideways, upside, turned = flags
    moved = torch.where(sideways, pixels.flip(3), pixels)
    moved = torch.where(upside, moved.flip(2), moved)
    return torch.where(turned, moved.transpose(2, 3), moved)


def _warp(pixels: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    count = len(pixels)
    angles = _spread(count, generator) * settings.rotation_deg * pi / 180
    scales = torch.exp(_spread(count, generator) * log(1 + settings.scale))
    mirrored = 1 - 2 * _happens(count, 0.5, generator)
    shifts = torch.stack((_spread(count, generator), _spread(count, generator))) * 2 * settings.shift
    cosines, sines = torch.cos(angles) / scales, torch.sin(angles) / scales
    rows = (torch.stack((cosines * mirrored, -sines, shifts[0])), torch.stack((sines * mirrored, cosines, shifts[1])))
    maps = torch.stack(rows).permute(2, 0, 1).to(pixels.device)  # (N, 2, 3): where each pixel is taken from
    grid = functional.affine_grid(maps, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _light(pixels: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    count, channels = pixels.shape[:2]
    gains = 1 + _spread(count, generator).reshape(count, 1, 1, 1) * settings.gain
    tints = 1 + (torch.rand(count, channels, 1, 1, generator=generator) * 2 - 1) * settings.tint
    factors = (gains * tints).to(pixels.device)
    if settings.contrast:
        centre = pixels.mean(dim=(1, 2, 3), keepdim=True)
        contrasts = 1 + _spread(count, generator).reshape(count, 1, 1, 1).to(pixels.device) * settings.contrast
        pixels = (pixels - centre) * contrasts + centre
    lit = pixels * factors
    if settings.offset:
        lit = lit + _spread(count, generator).reshape(count, 1, 1, 1).to(pixels.device) * settings.offset
    return lit.clamp_(0, 1)


def _erase(pixels: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    hit = _squares(pixels, (0.1, 0.5), probability, generator)
    return torch.where(hit[:, None], pixels.mean(dim=(1, 2, 3), keepdim=True), pixels)


def _squares(pixels: Tensor, sides: tuple[float, float], probability: float, generator: torch.Generator) -> Tensor:
    """Return, (N, S, S) bool, a square at a random place for the samples that get one; sides as shares of S."""
    count, side_px = len(pixels), pixels.shape[2]
    least, most = sides
    halves = (least + (most - least) * _uniform(count, generator)) * side_px / 2
    halves = torch.where(_happens(count, probability, generator).bool(), halves, torch.zeros(()))
    centres = _uniform(2 * count, generator).reshape(2, count) * side_px
    places = torch.arange(side_px) + 0.5
    rows = (places[None, :] - centres[0][:, None]).abs() < halves[:, None]  # (N, S)
    columns = (places[None, :] - centres[1][:, None]).abs() < halves[:, None]
    return (rows[:, :, None] & columns[:, None, :]).to(pixels.device)


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator)


def _spread(count: int, generator: torch.Generator) -> Tensor:
    """Return (N,) in -1..1."""
    return torch.rand(count, generator=generator) * 2 - 1


def _happens(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Return (N,) float, 1 with this probability, else 0."""
    return (torch.rand(count, generator=generator) < probability).float()
