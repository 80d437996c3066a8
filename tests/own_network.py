"""Networks of one's own, as a user would write them, for the tests of import paths."""

import torch
from torch import Tensor, nn

__all__ = ["Pooled", "number"]


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


def number(channels: int, class_count: int) -> int:
    """Return no network at all."""
    return channels + class_count
