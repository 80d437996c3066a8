"""Chance that depends on a sample's content and the run's seed alone, never on the order of files.

>>> keys = np.array([1, 2], np.uint64)
>>> bool((mixed(keys, 0, 1) == mixed(keys, 0, 1)).all()), bool((mixed(keys, 0, 1) == mixed(keys, 0, 2)).any())
(True, False)
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["content_keys", "mixed"]

_ONE: Final = 2**64


def content_keys(sample_ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return, (N,) uint64, the first 8 bytes of each sample's content hash (hexadecimal)."""
    return np.array([int(name[:16], 16) for name in sample_ids], np.uint64)


def mixed(keys: NDArray[np.uint64], seed: int, stream: int) -> NDArray[np.uint64]:
    """Return a random number for each key, (N,) uint64: other seeds and streams give unrelated ones.

    Args:
        keys: (N,) uint64.
        seed: of the run.
        stream: number of the round; 0 is for what stays the same in all rounds.

    Source:
        Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators: the finaliser of SplitMix64.
    """
    start = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) % _ONE
    state = keys + np.uint64(start)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)), np.uint64)
