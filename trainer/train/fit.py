"""One training run: a training set to a network, a fixed number of optimiser steps, reproducible.

The path is short on purpose: draw a batch, augment, forward, backward, step. Devices are lightning-fabric's affair.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainer.errors import SettingsError, TrainingError
from trainer.train.augment import AugmentSettings, augment, mix
from trainer.train.batches import balanced_rows, shuffled_rows
from trainer.train.losses import LossName, LossOptions, make_loss
from trainer.train.network_choice import build_network

__all__ = ["FitHooks", "FitSettings", "TrainingSet", "fit_network", "use_threads"]

_CHECK_EVERY: Final = 50  # steps between looks at the loss: each look waits for the device
_WARM_UP: Final = 0.2  # of the steps, with a rising learning rate
_LEAST_SCHEDULE: Final = 6  # steps: with 5 the warm-up would last 0 steps and torch divide by it
_ROOM: Final = 0.5  # of an accelerator's free memory may hold samples: network and batches need the rest

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # on an accelerator it advises those who write loops


class FitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a network is trained.

    Attributes:
        network: "small", "middle" or "large"; or a network of your own, "package.module:factory".
        steps: optimiser steps of every round.
        final_steps: of the one longer fit after the stop.
        final_folds: where samples are judged out of fold, so many of the five blind fits are made as long as the final
            one; its figures are over those folds alone.
        batch: samples a step.
        learning_rate: peak of a one-cycle schedule.
        weight_decay: of AdamW.
        balance: "sampler" shows every class equally often; "weights" makes rare classes weigh more in the loss; "none".
        loss: "cross_entropy", "focal" or "logit_adjusted".
        label_smoothing: share of the target spread over all classes.
        threads: processor threads; other numbers give other bytes.
        augment: how far samples are changed.
    """

    network: str = "small"
    steps: Annotated[int, msgspec.Meta(ge=1)] = 300
    final_steps: Annotated[int, msgspec.Meta(ge=1)] = 2000
    final_folds: Annotated[int, msgspec.Meta(ge=1, le=5)] = 5
    batch: Annotated[int, msgspec.Meta(ge=2)] = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0.0)] = 4e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0.0)] = 0.02
    balance: Literal["sampler", "weights", "none"] = "sampler"
    loss: LossName = "cross_entropy"
    label_smoothing: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.02
    threads: Annotated[int, msgspec.Meta(ge=1)] = 1
    augment: AugmentSettings = AugmentSettings()


def use_threads(threads: int) -> None:
    """Make torch compute with this many threads, in the one way that repeats bit for bit."""
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # an accelerator's matrix products ask for it
    torch.use_deterministic_algorithms(mode=True)
    # Filling new memory with NaN is a debugging aid that costs a tenth of every step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # torch declares it late


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a network is trained on.

    Attributes:
        pixels: (N, S, S, C) uint8, N >= 1.
        class_ids: (N,) int64 in 0..class_count-1.
        class_count: K, also of classes that N does not hold.
    """

    pixels: NDArray[np.uint8]
    class_ids: NDArray[np.int64]
    class_count: int


@dataclass(frozen=True, slots=True)
class FitHooks:
    """What a fit calls on the way.

    Attributes:
        begin: given the fresh network before the first step; may put other weights in (`trainer.train.restart`).
        on_step: called after each step with its number, from 1.
    """

    begin: Callable[[nn.Module], None] = lambda _: None
    on_step: Callable[[int], None] = lambda _: None


def fit_network(
    data: TrainingSet,
    settings: FitSettings,
    *,
    steps: int,
    seed: int,
    hooks: FitHooks = FitHooks(),
) -> nn.Module:
    """Train a network.

    Args:
        data: stays as it is.
        settings: network, batch, rates.
        steps: optimiser steps, whatever N: every round costs the same.
        seed: of weights, order and augmentation.
        hooks: what is called on the way.

    Returns:
        The network, in evaluation mode, on the processor.

    Raises:
        TrainingError: the training set is empty, or the loss is no longer a number.
        SettingsError: there is no such network, or one's own makes something else than logits (N, K).

    Note:
        Same input, settings, threads and processor features give the same weights. Samples stay uint8: in memory, on an
        accelerator there if at most half of its free memory holds them.
    """
    if not len(data.pixels):
        raise TrainingError("the training set is empty: nothing can be learnt from 0 samples")
    fabric = Fabric(accelerator="auto", devices=1)
    network = build_network(settings.network, data.pixels.shape[3], data.class_count, seed=seed)
    hooks.begin(network)
    module, optimiser, schedule = _set_up(fabric, network, settings, steps)
    samples = _place(torch.from_numpy(data.pixels), fabric.device)  # (N, S, S, C) uint8
    labels = torch.from_numpy(data.class_ids)  # (N,)
    generator = torch.Generator().manual_seed(seed)
    orders = _orders(labels, settings, steps, generator)
    told = fabric.to_device(labels)
    counts = fabric.to_device(torch.bincount(labels, minlength=data.class_count).float())
    options = LossOptions(settings.label_smoothing, is_weighted=settings.balance == "weights")
    loss_of = make_loss(settings.loss, counts, options)
    module.train()
    for step, rows in enumerate(orders, start=1):
        chosen = fabric.to_device(samples[rows.to(samples.device)])  # (B, S, S, C)
        batch = chosen.permute(0, 3, 1, 2).float().div_(255)  # (B, C, S, S), channels last in memory
        classes = told[fabric.to_device(rows)]
        batch, targets = _vary(batch, classes, data.class_count, settings.augment, generator)
        logits = module(batch.contiguous(memory_format=torch.channels_last))  # (B, K)
        _check_logits(logits, (len(rows), data.class_count), settings.network)
        loss = loss_of(logits, targets)
        optimiser.zero_grad()
        fabric.backward(loss)
        optimiser.step()
        schedule.step()
        if step % _CHECK_EVERY == 0 or step == steps:
            _check_loss(float(loss.item()), step, settings.learning_rate)
        hooks.on_step(step)
    network.cpu().eval()
    return network


def _place(samples: Tensor, device: torch.device) -> Tensor:
    """Return the samples on the device, or where they are if it has too little room."""
    has_room = device.type != "cuda" or samples.nbytes <= _ROOM * torch.cuda.mem_get_info(device)[0]
    return samples.to(device) if has_room else samples


def _set_up(
    fabric: Fabric, network: nn.Module, settings: FitSettings, steps: int
) -> tuple[nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    for parameter in network.parameters():  # the layout that convolutions prefer
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=max(_LEAST_SCHEDULE, steps), pct_start=_WARM_UP
    )
    module, wrapped = fabric.setup(network, optimiser)
    return module, wrapped, schedule


def _orders(labels: Tensor, settings: FitSettings, steps: int, generator: torch.Generator) -> Tensor:
    if settings.balance == "sampler":
        return balanced_rows(labels, settings.batch, steps, generator)
    return shuffled_rows(len(labels), settings.batch, steps, generator)


def _vary(
    pixels: Tensor, labels: Tensor, class_count: int, settings: AugmentSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return changed pixels and their targets: ids (B,), or shares (B, K) where samples are blended."""
    pixels = augment(pixels, settings, generator)
    if settings.mixup or settings.cutmix:
        return mix(pixels, functional.one_hot(labels, class_count).float(), settings, generator)
    return pixels, labels


def _check_logits(logits: object, shape: tuple[int, int], network: str) -> None:
    told = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if told != shape:
        raise SettingsError(
            f"network {network!r} made {told} of a batch, not logits {shape}: one row a sample, one column a class"
        )


def _check_loss(loss: float, step: int, learning_rate: float) -> None:
    if not np.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} at step {step} with fit.learning_rate {learning_rate}: training cannot go on; "
            f"try {learning_rate / 4:g}"
        )
