"""How sure a paired comparison is: intervals of mean differences. Pure numpy.

Few pairs (seeds): Student's t. Many units (test groups): resample them. The percentile bootstrap stays for what was
published with it; over few pairs it is too narrow.

>>> bootstrap_interval(np.array([1.0, 1.0, 1.0]), np.random.default_rng(0))
Interval(mean=1.0, low=1.0, high=1.0)
>>> round(t_quantile(4), 3)
2.776
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import atan, cos, pi, sin, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "bootstrap_interval", "percentile_interval", "resampled_weights", "t_interval", "t_quantile"]

_DRAWS: Final = 10_000
_HALVINGS: Final = 100  # of a range of 0..1e9: to the last bit of a float


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the interval that holds it with the confidence asked for."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside: only then is a difference called one."""
        return self.low > 0.0 or self.high < 0.0


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
        Few pairs give too narrow an interval: with 5 it holds the true mean in 83 of 100 cases, not in 95; see
        `t_interval`.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    if not differences.size:
        raise ValueError("an interval of 0 differences: at least 1 pair is needed")
    drawn = rng.integers(0, differences.size, (_DRAWS, differences.size))
    means = differences[drawn].mean(axis=1)
    return percentile_interval(float(differences.mean()), means, confidence=confidence)


def percentile_interval(mean: float, resampled: NDArray[np.float64], *, confidence: float = 0.95) -> Interval:
    """Return a figure with the interval that holds the middle share of its resampled values.

    Args:
        mean: the figure of the samples themselves.
        resampled: (B,) float64, the figure of each resample.
        confidence: share 0..1.
    """
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(mean, float(low), float(high))


def t_interval(differences: NDArray[np.float64], *, confidence: float = 0.95) -> Interval:
    """Return the mean of paired differences with Student's interval: right for few pairs, where a bootstrap is not.

    Args:
        differences: (N,) float64, one a pair, N >= 2.
        confidence: share 0..1 of such intervals that hold the true mean.

    Raises:
        ValueError: there are fewer than 2 differences.

    Note:
        Holds the true mean in 95 of 100 cases for normal differences, whatever N; for skewed ones (exponential, N = 10)
        in about 89. The percentile bootstrap comes to 83 with 5 normal pairs and 90 with 10, BCa to no more.

    Source:
        Student 1908; Hesterberg 2015, What Teachers Should Know About the Bootstrap, section 3.2, on small samples.
    """
    if differences.size < 2:
        raise ValueError(f"an interval of {differences.size} differences: at least 2 pairs are needed")
    mean = float(differences.mean())
    half = t_quantile(differences.size - 1, confidence=confidence) * float(differences.std(ddof=1))
    half /= sqrt(differences.size)
    return Interval(mean, mean - half, mean + half)


def t_quantile(freedom: int, *, confidence: float = 0.95) -> float:
    """Return the t that |T| stays below with a probability of `confidence`, for `freedom` >= 1 degrees of freedom.

    Source:
        Abramowitz and Stegun 1964, 26.7.3 and 26.7.4, solved by halving.
    """
    low, high = 0.0, 1e9
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _within(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return high


def resampled_weights(
    units: int, rng: np.random.Generator, *, draws: int = _DRAWS, chunk: int = 500
) -> Iterator[NDArray[np.float32]]:
    """Give how often each unit is in each resample, chunk after chunk.

    Args:
        units: G >= 1, of which G are drawn with replacement each time.
        rng: of the draws.
        draws: resamples in all.
        chunk: resamples at once.

    Returns:
        Arrays (chunk, G) float32, each row with the sum G.

    Note:
        Memory: chunk * G * 12 bytes.
    """
    for start in range(0, draws, chunk):
        count = min(chunk, draws - start)
        drawn = rng.integers(0, units, (count, units)) + units * np.arange(count)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=count * units)
        yield counts.reshape(count, units).astype(np.float32)


def _within(t: float, freedom: int) -> float:
    """Return the probability of |T| < t."""
    angle = atan(t / sqrt(freedom))
    square = cos(angle) ** 2
    term = cos(angle) if freedom % 2 else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 if freedom % 2 else 1, freedom - 2, 2):
        term *= square * k / (k + 1)
        total += term
    return 2 / pi * (angle + sin(angle) * total) if freedom % 2 else sin(angle) * total
