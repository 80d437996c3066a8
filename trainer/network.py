"""The networks: small plain convolutions, channels in multiples of 16, no depthwise layers.

Halving by maximum, not by stride: a bored hole of two pixels survives it. Depthwise layers multiply less but run slower
in onnxruntime on the boards' processors.
"""

from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ConvolutionStage", "CropNetwork", "NetworkSize", "make_network"]

NetworkSize = Literal["small", "middle", "large"]

# (channels, whether the picture is halved after it) of each 3 x 3 convolution.
_STAGES: Final[dict[NetworkSize, tuple[tuple[int, bool], ...]]] = {
    "small": ((16, True), (32, True), (64, True), (64, False)),
    "middle": ((16, True), (32, False), (32, True), (64, False), (64, True), (128, False)),
    "large": ((32, True), (64, False), (64, True), (128, False), (128, True), (256, False), (256, False)),
}


class ConvolutionStage(nn.Module):
    """Convolution, batch norm, ReLU and, where `is_halved`, the maximum of each 2 x 2 block."""

    def __init__(self, inside: int, outside: int, *, is_halved: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outside)
        self.is_halved = is_halved

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, outside, H, W), or half of H and W, of features (N, inside, H, W)."""
        features = torch.relu(self.norm(self.convolution(features)))
        return functional.max_pool2d(features, 2) if self.is_halved else features


class CropNetwork(nn.Module):
    """Crops to logits."""

    def __init__(self, size: NetworkSize, channels: int, class_count: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for width, is_halved in _STAGES[size]:
            self.stages.append(ConvolutionStage(channels, width, is_halved=is_halved))
            channels = width
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(channels, class_count)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, K) of pixels (N, C, S, S) float32 in 0..1."""
        features = pixels
        for stage in self.stages:
            features = stage(features)  # (N, F, S', S')
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
