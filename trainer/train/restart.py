"""How a round's network begins: afresh, with the last round's weights, or with those shrunk and stirred.

>>> old, fresh = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
>>> _ = torch.nn.init.constant_(old.weight, 2.0), torch.nn.init.constant_(fresh.weight, 1.0)
>>> shrink_and_stir(old, fresh)
>>> round(float(fresh.weight.detach()), 2)
1.3
"""

from typing import Final

import torch
from torch import nn

__all__ = ["copy_weights", "shrink_and_stir"]

_KEPT: Final = 0.6  # of the old weights
_STIRRED: Final = 0.1  # of fresh ones: their spread is that of the layer; one noise for all would drown small layers
_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)  # their scales stand around 1, not 0


def copy_weights(old: nn.Module, fresh: nn.Module) -> None:
    """Give a fresh network the weights and running statistics of one of the same kind, in place."""
    fresh.load_state_dict(old.state_dict())


def shrink_and_stir(old: nn.Module, fresh: nn.Module) -> None:
    """Give a fresh network 0.6 of the old weights and 0.1 of its own, in place.

    Scales and running statistics of norms are the old ones.

    Source:
        Ash and Adams 2020, On Warm-Starting Neural Network Training, section 4: shrink and perturb.
    """
    scales = {id(module.weight) for module in fresh.modules() if isinstance(module, _NORMS)}
    with torch.no_grad():
        for mine, other in zip(fresh.parameters(), old.parameters(), strict=True):
            mine.copy_(other if id(mine) in scales else _KEPT * other + _STIRRED * mine)
        for counted, known in zip(fresh.buffers(), old.buffers(), strict=True):
            counted.copy_(known)
