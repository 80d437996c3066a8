"""Weights of networks as bytes, for rounds that go on from the last one's.

>>> network = torch.nn.Linear(2, 1)
>>> other = torch.nn.Linear(2, 1)
>>> load_weights(pack_weights([network]), [other])
>>> bool((other.weight == network.weight).all())
True
"""

import io
import zipfile
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from trainer.errors import ResumeError

__all__ = ["load_weights", "pack_weights"]


def pack_weights(networks: Sequence[nn.Module]) -> bytes:
    """Return the weights and running statistics of some networks; equal weights give equal bytes."""
    arrays = {
        f"{at}/{name}": value.detach().cpu().numpy()
        for at, network in enumerate(networks)
        for name, value in network.state_dict().items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def load_weights(data: bytes, networks: Sequence[nn.Module]) -> None:
    """Put weights from `pack_weights` into networks of the same kind, in place.

    Raises:
        ResumeError: the bytes are damaged, or belong to other networks.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            for at, network in enumerate(networks):
                state = {name: torch.from_numpy(arrays[f"{at}/{name}"]) for name in network.state_dict()}
                network.load_state_dict(state)
    except (ValueError, KeyError, RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ResumeError(f"weights of the last round do not fit the network: {error}") from error
