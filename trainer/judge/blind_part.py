"""A fit whose model is asked about samples that it never saw. A value only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlindPart"]


@dataclass(frozen=True, slots=True)
class BlindPart:
    """One fit: rows to train on and rows to test, (N,) bool each, of different groups."""

    training: NDArray[np.bool_]
    tested: NDArray[np.bool_]
