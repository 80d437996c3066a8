"""How sure a paired comparison is: bootstrap intervals of mean differences. Pure numpy.

>>> bootstrap_interval(np.array([1.0, 1.0, 1.0]), np.random.default_rng(0))
Interval(mean=1.0, low=1.0, high=1.0)
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "bootstrap_interval"]

_DRAWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the interval that holds it with the confidence asked for."""

    mean: float
    low: float
    high: float


def bootstrap_interval(
    differences: NDArray[np.float64], rng: np.random.Generator, *, confidence: float = 0.95
) -> Interval:
    """Return the mean of paired differences with its percentile bootstrap interval.

    Args:
        differences: (N,) float64, one a pair, N >= 1: what the one reached minus what the other reached.
        rng: draws the pairs, 10,000 times N with replacement.
        confidence: share 0..1 of the bootstrap means that the interval holds.

    Raises:
        ValueError: there is no difference.

    Note:
        Few pairs give too narrow an interval: with 5 it holds the true mean in 83 of 100 cases, not in 95.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    if not differences.size:
        raise ValueError("an interval of 0 differences: at least 1 pair is needed")
    drawn = rng.integers(0, differences.size, (_DRAWS, differences.size))
    means = differences[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(differences.mean()), float(low), float(high))
