"""Networks of one's own, as a user would write them, for the tests of import paths."""

import torch
from torch import Tensor, nn

__all__ = ["Looking", "Pooled", "Unnamed", "crooked", "number"]


class Pooled(nn.Module):
    """One convolution with batch norm, its mean, one matrix."""

    def __init__(self, channels: int, class_count: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, class_count)

    def features(self, pixels: Tensor) -> Tensor:
        return torch.relu(self.norm(self.convolution(pixels))).mean(dim=(2, 3))

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(pixels))
        return logits


class Unnamed(nn.Sequential):
    """Layers that have numbers for names."""

    def __init__(self, channels: int, class_count: int) -> None:
        flat = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), flat, nn.Linear(8, class_count))


class Looking(nn.Module):
    """A network that makes a picture larger again, which no sorting machine does."""

    def __init__(self, channels: int, class_count: int) -> None:
        super().__init__()
        self.inner = Pooled(channels, class_count)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.inner(nn.functional.interpolate(pixels, scale_factor=2))
        return logits


def crooked(channels: int, class_count: int) -> nn.Module:
    """Return a network with a class too many."""
    return Unnamed(channels, class_count + 1)


def number(channels: int, class_count: int) -> int:
    """Return no network at all."""
    return channels + class_count
