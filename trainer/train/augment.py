"""What an object may look like on the belt: turned by quarters, mirrored, under a slightly other lamp.

No pixel is interpolated: a turned speck stays a speck, where free turns by resampling would blur it.

>>> augment(torch.zeros(2, 3, 8, 8), torch.Generator().manual_seed(0)).shape
torch.Size([2, 3, 8, 8])
"""

import torch
from torch import Tensor

__all__ = ["augment"]

_GAIN = 0.08  # lamp ageing and exposure
_CHANNEL_GAIN = 0.03  # colour temperature


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Return pixels (N, C, S, S) float32 in 0..1, each turned, mirrored and re-lit at random.

    Args:
        pixels: unchanged.
        generator: source of all randomness.
    """
    count, channels = pixels.shape[:2]
    sideways, upside, turned = torch.randint(0, 2, (3, count, 1, 1, 1), generator=generator).bool().to(pixels.device)
    gains = 1 + (torch.rand(count, 1, 1, 1, generator=generator) * 2 - 1) * _GAIN
    tints = 1 + (torch.rand(count, channels, 1, 1, generator=generator) * 2 - 1) * _CHANNEL_GAIN
    moved = torch.where(sideways, pixels.flip(3), pixels)
    moved = torch.where(upside, moved.flip(2), moved)
    moved = torch.where(turned, moved.transpose(2, 3), moved)
    return (moved * (gains * tints).to(pixels.device)).clamp_(0, 1)
