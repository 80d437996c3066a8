"""One training run: a training set to a network, a fixed number of optimiser steps, reproducible.

The path is short on purpose: draw a batch, augment, forward, backward, step. Devices are lightning-fabric's affair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from trainer.errors import TrainingError
from trainer.train.augment import augment
from trainer.train.network import CropNetwork, NetworkSize, make_network

__all__ = ["FitSettings", "TrainingSet", "fit_network", "use_threads"]

_CHECK_EVERY: Final = 50  # steps between looks at the loss: each look waits for the device
_WARM_UP: Final = 0.2  # of the steps, with a rising learning rate
_LEAST_SCHEDULE: Final = 6  # steps: with 5 the warm-up would last 0 steps and torch divide by it


class FitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a network is trained.

    Attributes:
        network: member of the family.
        steps: optimiser steps of every round.
        final_steps: of the one longer fit after the stop.
        batch: samples a step.
        learning_rate: peak of a one-cycle schedule.
        weight_decay: of AdamW.
        threads: processor threads; other numbers give other bytes.
    """

    network: NetworkSize = "small"
    steps: Annotated[int, msgspec.Meta(ge=1)] = 300
    final_steps: Annotated[int, msgspec.Meta(ge=1)] = 2000
    batch: Annotated[int, msgspec.Meta(ge=2)] = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0.0)] = 4e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0.0)] = 0.02
    threads: Annotated[int, msgspec.Meta(ge=1)] = 1


def use_threads(threads: int) -> None:
    """Make torch compute with this many threads, in the one way that repeats bit for bit."""
    torch.set_num_threads(threads)
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


def fit_network(
    data: TrainingSet,
    settings: FitSettings,
    *,
    steps: int,
    seed: int,
    on_step: Callable[[int], None] = lambda _: None,
) -> CropNetwork:
    """Train a fresh network.

    Args:
        data: stays as it is.
        settings: network, batch, rates.
        steps: optimiser steps, whatever N: every round costs the same.
        seed: of weights, order and augmentation.
        on_step: called after each step with its number, from 1.

    Returns:
        The network, in evaluation mode, on the processor.

    Raises:
        TrainingError: the training set is empty, or the loss is no longer a number.

    Note:
        Same input, settings, threads and processor features give the same weights. Data stay in memory as uint8.
    """
    if not len(data.pixels):
        raise TrainingError("the training set is empty: nothing can be learnt from 0 samples")
    fabric = Fabric(accelerator="auto", devices=1)
    network = make_network(settings.network, data.pixels.shape[3], data.class_count, seed=seed)
    for parameter in network.parameters():  # the layout that convolutions on a processor prefer
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=max(_LEAST_SCHEDULE, steps), pct_start=_WARM_UP
    )
    module, optimiser = fabric.setup(network, optimiser)
    samples = torch.from_numpy(data.pixels)  # (N, S, S, C) uint8
    labels = torch.from_numpy(data.class_ids)  # (N,)
    generator = torch.Generator().manual_seed(seed)
    module.train()
    for step, rows in enumerate(_batches(labels, settings.batch, steps, generator), start=1):
        batch = samples[rows].permute(0, 3, 1, 2).float().div_(255)  # (B, C, S, S), channels last in memory
        batch = augment(batch, generator)
        batch = batch.contiguous(memory_format=torch.channels_last)
        logits = module(fabric.to_device(batch))  # (B, K)
        loss = functional.cross_entropy(logits, fabric.to_device(labels[rows]), label_smoothing=0.02)
        optimiser.zero_grad()
        fabric.backward(loss)
        optimiser.step()
        schedule.step()
        if step % _CHECK_EVERY == 0 or step == steps:
            _check_loss(float(loss.item()), step)
        on_step(step)
    network.cpu().eval()
    return network


def _batches(class_ids: Tensor, batch: int, steps: int, generator: torch.Generator) -> Tensor:
    """Return (steps, batch) row numbers: all classes in turn, of each one random order of its rows after another.

    So every class is seen equally often, however few samples it has: residuals come in whatever mix a model gets wrong.
    """
    needed = steps * batch
    rows = torch.empty(needed, dtype=torch.int64)
    present = torch.unique(class_ids)
    for at, class_id in enumerate(present):
        own = torch.nonzero(class_ids == class_id).flatten()
        slots = torch.arange(at, needed, len(present))
        orders = [own[torch.randperm(len(own), generator=generator)] for _ in range(-(-len(slots) // len(own)))]
        rows[slots] = torch.cat(orders)[: len(slots)]
    return rows.reshape(steps, batch)


def _check_loss(loss: float, step: int) -> None:
    if not np.isfinite(loss):
        raise TrainingError(f"the loss is {loss} at step {step}: training cannot go on")
