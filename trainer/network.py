"""The networks: small plain convolutions, channels in multiples of 16, no depthwise layers.

Depthwise layers multiply less but run slower in onnxruntime on the boards' processors.
"""

from typing import Final, Literal

import torch
from torch import Tensor, nn

__all__ = ["CropNetwork", "NetworkSize", "make_network"]

NetworkSize = Literal["small", "middle", "large"]

# (channels, stride) of each 3 x 3 convolution.
_LAYERS: Final[dict[NetworkSize, tuple[tuple[int, int], ...]]] = {
    "small": ((16, 2), (32, 2), (64, 2), (64, 1)),
    "middle": ((16, 2), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)),
    "large": ((32, 2), (64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (256, 1)),
}


class CropNetwork(nn.Module):
    """Crops to logits."""

    def __init__(self, size: NetworkSize, channels: int, class_count: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, stride in _LAYERS[size]:
            layers += [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(channels, class_count)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, K) of pixels (N, C, S, S) float32 in 0..1."""
        features = self.body(pixels)  # (N, F, S', S')
        pooled = features.mean(dim=(2, 3))  # (N, F)
        logits: Tensor = self.head(self.dropout(pooled))  # (N, K)
        return logits


def make_network(size: NetworkSize, channels: int, class_count: int, *, seed: int) -> CropNetwork:
    """Return a freshly initialised network, the same for the same seed.

    Args:
        size: member of the family.
        channels: C of the crops.
        class_count: K.
        seed: of the weights.

    Note:
        The process's random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CropNetwork(size, channels, class_count)
