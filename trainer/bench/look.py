"""What a network says of samples before any is chosen: features, probabilities, and what that cost.

Methods that need an embedding or scores all get the same: that of the loop's own network, fitted on every sample for as
many steps as one round. More than the loop knows in its first round; the steps count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.errors import TrainingError
from trainer.judge.validation import FOLDS, assign_folds
from trainer.pool.sample_table import SampleTable
from trainer.train.fit import FitSettings, TrainingSet, fit_network

__all__ = ["Look", "blind_scores", "look_at"]

_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Look:
    """What the network says.

    Attributes:
        features: (N, F) float32, what its last layer sees, each with mean 0 and deviation 1.
        scores: (N, K) float32 probabilities.
        steps: optimiser steps that it cost.
    """

    features: NDArray[np.float32]
    scores: NDArray[np.float32]
    steps: int


def look_at(table: SampleTable, fit: FitSettings, *, steps: int, seed: int) -> Look:
    """Return features and probabilities of every sample, by a network fitted on all of them.

    Raises:
        TrainingError: the loss is no longer a number, or the network ends in no linear layer.
    """
    everything = np.ones(len(table), np.bool_)
    network = _fitted(table, everything, fit, (steps, seed))
    features, scores = _ask(network, table.pixels)
    spread = features.std(axis=0)
    return Look((features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0), scores, steps)


def blind_scores(table: SampleTable, fit: FitSettings, *, steps: int, seed: int) -> Look:
    """Return probabilities of every sample by a network that saw nothing of its group: five fits; no features.

    Raises:
        TrainingError: the loss is no longer a number, or the network ends in no linear layer.
    """
    folds = assign_folds(table.groups, table.class_ids, FOLDS)
    scores = np.full((len(table), len(table.classes)), 1 / len(table.classes), np.float32)
    used = [fold for fold in range(FOLDS) if (folds == fold).any() and (folds != fold).any()]
    for fold in used:
        network = _fitted(table, folds != fold, fit, (steps, seed))
        scores[folds == fold] = _ask(network, table.pixels[folds == fold])[1]
    return Look(np.zeros((len(table), 0), np.float32), scores, len(used) * steps)


def _fitted(table: SampleTable, rows: NDArray[np.bool_], fit: FitSettings, how: tuple[int, int]) -> nn.Module:
    data = TrainingSet(table.pixels[rows], table.class_ids[rows], len(table.classes))
    return fit_network(data, fit, steps=how[0], seed=how[1])


def _ask(network: nn.Module, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return features (N, F) and probabilities (N, K)."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0].detach())

    heads = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not heads:
        raise TrainingError("the network has no linear layer at its end: no features to choose samples by")
    handle = heads[-1].register_forward_pre_hook(keep)
    scores: list[Tensor] = []
    try:
        with torch.inference_mode():
            for start in range(0, len(pixels), _CHUNK):
                batch = torch.from_numpy(pixels[start : start + _CHUNK]).permute(0, 3, 1, 2).float().div_(255)
                scores.append(torch.softmax(network(batch), dim=1))
    finally:
        handle.remove()
    return _joined(seen), _joined(scores)


def _joined(parts: Sequence[Tensor]) -> NDArray[np.float32]:
    return np.asarray(torch.cat(list(parts)).numpy(), np.float32)
