"""Fine-tuning under simulated quantisation: a network learns to decide in INT8 as it did in FP32.

Weights and activations are rounded in every forward pass as the quantiser rounds them; gradients pass the rounding
straight through. The target is what the network itself said before, not the labels: nothing new is learnt, and wrong
labels do no harm. Knows no files, no gate.

>>> TuningSettings().steps
300
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainer.errors import TrainingError
from trainer.export.onnx_export import FoldedNetwork
from trainer.train.augment import AugmentSettings, augment

__all__ = ["TuningSettings", "tune_for_int8"]

_FULL_SCALE: Final = 255.0
_MOST_WEIGHT: Final = 127
_LEAST: Final = 1e-12
_BATCH: Final = 64


class TuningSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a network is fine-tuned.

    Attributes:
        steps: optimiser steps; 0 leaves fine-tuning out.
        batch: samples a step.
        learning_rate: at the start, falling to 0; relative to the size of each weight tensor.
    """

    steps: Annotated[int, msgspec.Meta(ge=0)] = 300
    batch: Annotated[int, msgspec.Meta(ge=2)] = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0.0)] = 3e-3


@dataclass(frozen=True, slots=True)
class _Range:
    """The largest activation of a convolution, after its ReLU."""

    most: float


def tune_for_int8(
    network: FoldedNetwork,
    pixels: NDArray[np.uint8],
    settings: TuningSettings,
    *,
    seed: int,
    on_step: Callable[[int], None] = lambda _: None,
) -> FoldedNetwork:
    """Return a copy of the network, fine-tuned to decide in INT8 as `network` does in FP32.

    Args:
        network: stays as it is; each of its convolutions is followed by a ReLU.
        pixels: (N, S, S, C) uint8 training crops, N >= 1; the first 320 give the ranges of the activations.
        settings: steps, batch, rate.
        seed: of order and augmentation.
        on_step: called after each step with its number, from 1.

    Raises:
        TrainingError: the loss is no longer a number.

    Note:
        Same input, settings, threads and processor features give the same weights. A step costs about twice one of
        training.
    """
    student = deepcopy(network).requires_grad_()  # torch's fusion leaves the biases of folded layers fixed
    convolutions = [module for module in student.modules() if isinstance(module, nn.Conv2d)]
    ranges = _ranges(student, convolutions, torch.from_numpy(pixels[:320]))
    handles = [_simulate(convolution, span) for convolution, span in zip(convolutions, ranges, strict=True)]
    groups = [{"params": [p], "lr": settings.learning_rate * _size(p)} for p in student.parameters()]
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / max(1, settings.steps))
    generator = torch.Generator().manual_seed(seed)
    samples = torch.from_numpy(pixels)
    for step in range(1, settings.steps + 1):
        rows = torch.randint(len(samples), (settings.batch,), generator=generator)
        crops = _augmented(samples[rows], generator)
        with torch.no_grad():
            wanted = network(crops)
        loss = -(wanted * student(crops).clamp_min(_LEAST).log()).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if not np.isfinite(loss.item()):
            raise TrainingError(f"the loss is {loss.item()} at step {step} of fine-tuning: it cannot go on")
        on_step(step)
    for handle, convolution in zip(handles, convolutions, strict=True):
        handle.remove()
        parametrize.remove_parametrizations(convolution, "weight", leave_parametrized=False)
    return student.eval()


class _RoundedWeight(nn.Module):
    """A kernel as the quantiser stores it: 8 bits, one scale an output channel, symmetric."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return weights (K, C, H, W) on the grid of 255 values."""
        scales = weight.detach().abs().amax(dim=(1, 2, 3)).clamp_min(_LEAST) / _MOST_WEIGHT
        zeros = torch.zeros(len(scales), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -_MOST_WEIGHT, _MOST_WEIGHT)


def _simulate(convolution: nn.Conv2d, span: _Range) -> torch.utils.hooks.RemovableHandle:
    """Round weights and output of a convolution; the rounded output, 0 at least, passes its ReLU unchanged."""
    parametrize.register_parametrization(convolution, "weight", _RoundedWeight())
    scale = max(span.most, _LEAST) / _FULL_SCALE

    def rounded(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(output, scale, 0, 0, int(_FULL_SCALE))

    return convolution.register_forward_hook(rounded)


def _ranges(network: FoldedNetwork, convolutions: list[nn.Conv2d], crops: Tensor) -> list[_Range]:
    """Return the largest output of each convolution over crops (N, S, S, C) uint8."""
    most = [0.0] * len(convolutions)

    def note(at: int, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        most[at] = max(most[at], float(output.max()))

    handles = [layer.register_forward_hook(partial(note, at)) for at, layer in enumerate(convolutions)]
    with torch.no_grad():
        for start in range(0, len(crops), _BATCH):
            network(crops[start : start + _BATCH])
    for handle in handles:
        handle.remove()
    return [_Range(value) for value in most]


def _size(parameter: Tensor) -> float:
    """Return the median magnitude of a tensor: the first kernel holds 1 / 255, and one loud channel must not decide."""
    return float(parameter.detach().abs().median().clamp_min(_LEAST))


def _augmented(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Return crops (B, S, S, C) float32 in 0..255, turned, mirrored and re-lit."""
    pixels = crops.permute(0, 3, 1, 2).float().div_(_FULL_SCALE)  # (B, C, S, S)
    return augment(pixels, AugmentSettings(), generator).mul_(_FULL_SCALE).round_().permute(0, 2, 3, 1)
