"""The networks: small plain convolutions, channels in multiples of 16, no depthwise layers.

Halving by maximum, not by stride: a bored hole of two pixels survives it. The head sees the mean of every feature and
its maximum: how much of it there is, and whether it is anywhere. Depthwise layers multiply less but run slower in
onnxruntime on the boards' processors.
"""

from math import sqrt
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ConvolutionStage", "CropNetwork", "NetworkSize", "make_network", "mean_and_maximum"]

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
        self.head = nn.Linear(2 * channels, class_count)

    def features(self, pixels: Tensor) -> Tensor:
        """Return what the head sees, (N, 2 F), of pixels (N, C, S, S) float32 in 0..1."""
        for stage in self.stages:
            pixels = stage(pixels)  # (N, F, S', S')
        return mean_and_maximum(pixels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, K) of pixels (N, C, S, S) float32 in 0..1."""
        logits: Tensor = self.head(self.features(pixels))  # (N, K)
        return logits


def mean_and_maximum(features: Tensor) -> Tensor:
    """Return (N, 2 F): mean and maximum over the places of features (N, F, H, W).

    A pinhole fills few places: it vanishes in the mean and stands out in the maximum.
    """
    return torch.cat((features.mean(dim=(2, 3)), features.amax(dim=(2, 3))), dim=1)


def make_network(size: NetworkSize, channels: int, class_count: int, *, seed: int) -> CropNetwork:
    """Return a freshly initialised network, the same for the same seed.

    Args:
        size: member of the family.
        channels: C of the crops.
        class_count: K.
        seed: of the weights.

    Note:
        Weights are drawn as torch's own layers draw them, yet from a generator of their own: fits that run side by side
        would otherwise disturb each other, and equal seeds give unequal weights.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):  # layers without memory draw nothing
        network = CropNetwork(size, channels, class_count)
    network.to_empty(device="cpu")
    for module in network.modules():
        match module:
            case nn.Conv2d():
                assert module.bias is None  # batch norm has one
                nn.init.kaiming_uniform_(module.weight, a=sqrt(5), generator=generator)
            case nn.Linear():
                nn.init.kaiming_uniform_(module.weight, a=sqrt(5), generator=generator)
                bound = 1 / sqrt(module.in_features)
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
            case nn.BatchNorm2d():
                module.reset_parameters()
            case _:
                assert not [*module.parameters(recurse=False)]  # what is not drawn above would be left to chance
    return network
