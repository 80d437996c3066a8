"""What an object may look like on the belt: turned, mirrored, under a slightly other lamp. Plain tensor operations.

>>> augment(torch.zeros(2, 3, 8, 8), torch.Generator().manual_seed(0), turn_degrees=180.0).shape
torch.Size([2, 3, 8, 8])
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["augment"]

_GAIN = 0.08  # lamp ageing and exposure
_CHANNEL_GAIN = 0.03  # colour temperature
_SHIFT = 0.04  # of the side: where the segmentation puts the middle


def augment(pixels: Tensor, generator: torch.Generator, *, turn_degrees: float) -> Tensor:
    """Return pixels (N, C, S, S) float32 in 0..1, each turned, mirrored, shifted and re-lit at random.

    Args:
        pixels: unchanged.
        generator: source of all randomness.
        turn_degrees: largest rotation either way; 180 for masked objects, little for whole pictures.
    """
    count, channels = pixels.shape[:2]
    angles = (torch.rand(count, generator=generator) * 2 - 1) * math.radians(turn_degrees)
    mirrors = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1.0
    shifts = (torch.rand(count, 2, generator=generator) * 2 - 1) * 2 * _SHIFT
    gains = 1 + (torch.rand(count, 1, 1, 1, generator=generator) * 2 - 1) * _GAIN
    tints = 1 + (torch.rand(count, channels, 1, 1, generator=generator) * 2 - 1) * _CHANNEL_GAIN
    cosines, sines = torch.cos(angles), torch.sin(angles)
    rows = (
        torch.stack((cosines * mirrors, -sines, shifts[:, 0]), 1),
        torch.stack((sines * mirrors, cosines, shifts[:, 1]), 1),
    )
    grid = functional.affine_grid(torch.stack(rows, 1).to(pixels.device), list(pixels.shape), align_corners=False)
    moved = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (moved * (gains * tints).to(pixels.device)).clamp_(0, 1)
