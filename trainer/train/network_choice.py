"""A network by its name in the settings: one of the family, or one of your own by import path.

>>> type(build_network("small", 3, 2, seed=0)).__name__
'CropNetwork'
"""

from difflib import get_close_matches
from importlib import import_module
from threading import Lock
from typing import Final, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.errors import SettingsError
from trainer.train.network import CropNetwork, NetworkSize, make_network

__all__ = ["build_network", "is_of_the_family", "network_features"]

_SIZES: Final[tuple[NetworkSize, ...]] = get_args(NetworkSize)
_BATCH: Final = 256
_GLOBAL_SEED = Lock()  # a factory of one's own draws from torch's one generator; fits run side by side


def is_of_the_family(name: str) -> bool:
    """Return whether a name is that of a shipped size, not an import path."""
    return name in _SIZES


def build_network(name: str, channels: int, class_count: int, *, seed: int) -> nn.Module:
    """Return a fresh network, the same for the same seed.

    Args:
        name: "small", "middle", "large", or "package.module:factory": called with channels and class_count, it returns
            a module that makes logits (N, K) of pixels (N, C, S, S) float32 in 0..1.
        channels: C of the crops.
        class_count: K.
        seed: of the weights.

    Raises:
        SettingsError: there is no such network, the factory takes other arguments, or it returns something else.
    """
    for size in _SIZES:
        if name == size:
            return make_network(size, channels, class_count, seed=seed)
    module, separator, factory = name.partition(":")
    if not separator:
        near = get_close_matches(name, _SIZES, 1) or _SIZES
        raise SettingsError(f"no network {name!r}: did you mean {near[0]}? One of your own is package.module:factory")
    try:
        make = getattr(import_module(module), factory)
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # the last two of "" and "." as a module
        raise SettingsError(f"network {name!r} cannot be imported: {error}") from error
    try:
        with _GLOBAL_SEED, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make(channels, class_count)
    except TypeError as error:
        raise SettingsError(
            f"network {name!r} cannot be called with {channels} channels and {class_count} classes: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise SettingsError(f"network {name!r} returned {type(network).__name__}, not a torch module")
    return network


def network_features(network: nn.Module, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a network sees in crops, before its last layer.

    Args:
        network: in evaluation mode, on the processor; one of your own gives its logits unless it has a method
            `features` from pixels (N, C, S, S) to (N, F).
        crops: (N, S, S, C) uint8.

    Returns:
        (N, F) float32.
    """
    told = [np.zeros((0, 1), np.float32)] if len(crops) == 0 else []
    with torch.inference_mode():
        for start in range(0, len(crops), _BATCH):
            pixels = torch.from_numpy(crops[start : start + _BATCH]).permute(0, 3, 1, 2).float().div_(255)
            told.append(_features(network, pixels).numpy())
    return np.concatenate(told)


def _features(network: nn.Module, pixels: Tensor) -> Tensor:
    if isinstance(network, CropNetwork):
        return network.features(pixels)
    own = getattr(network, "features", None)
    features: Tensor = own(pixels) if callable(own) and not isinstance(own, nn.Module) else network(pixels)
    return features
