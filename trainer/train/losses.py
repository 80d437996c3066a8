"""What a fit makes smaller: cross entropy and its relatives for unbalanced classes. Pure functions of logits.

>>> loss = make_loss("cross_entropy", torch.tensor([5.0, 5.0]), LossOptions())
>>> round(float(loss(torch.zeros(1, 2), torch.tensor([0]))), 4)
0.6931
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["LossFunction", "LossName", "LossOptions", "make_loss"]

LossName = Literal["cross_entropy", "focal", "logit_adjusted"]
LossFunction = Callable[[Tensor, Tensor], Tensor]
_FOCUS: Final = 2.0  # gamma of Lin et al. 2017, section 4.1


@dataclass(frozen=True, slots=True)
class LossOptions:
    """How a loss is varied.

    Attributes:
        label_smoothing: share of the target spread over all classes, 0..1.
        is_weighted: rare classes weigh more, by N / (K n).
    """

    label_smoothing: float = 0.0
    is_weighted: bool = False


def make_loss(name: LossName, class_counts: Tensor, options: LossOptions) -> LossFunction:
    """Return a loss of logits (N, K) and targets, (N,) int64 ids or (N, K) shares.

    Args:
        name: "cross_entropy"; "focal", which looks away from what is easy; "logit_adjusted", which adds the log of each
            class's share to the logits while training, so that rare classes are not under-predicted afterwards.
        class_counts: (K,) float32 samples of each class in the training set; on the device of the logits.
        options: smoothing and weights.

    Source:
        Lin et al. 2017, Focal Loss for Dense Object Detection, equation 4; Menon et al. 2021, Long-tail learning via
        logit adjustment, equation 10 with tau = 1.
    """
    shares = class_counts / class_counts.sum()
    present = int((class_counts > 0).sum())
    weights = None
    if options.is_weighted:
        weights = torch.where(class_counts > 0, 1 / (present * shares.clamp_min(1e-12)), torch.zeros_like(shares))
    smoothing = options.label_smoothing

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)

    def focal(logits: Tensor, targets: Tensor) -> Tensor:
        told = _shares_of(targets, logits, smoothing)
        logs = functional.log_softmax(logits, dim=1)
        losses = told * (1 - logs.exp()) ** _FOCUS * -logs  # (N, K)
        return (losses if weights is None else losses * weights).sum(dim=1).mean()

    def logit_adjusted(logits: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(logits + shares.clamp_min(1e-12).log(), targets)

    match name:
        case "cross_entropy":
            return cross_entropy
        case "focal":
            return focal
        case "logit_adjusted":
            return logit_adjusted


def _shares_of(targets: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    told = targets if targets.ndim == 2 else functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return told * (1 - smoothing) + smoothing / logits.shape[1]
