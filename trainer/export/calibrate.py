"""Scores that mean what they say: one temperature, found on validation samples.

>>> confident = np.array([[0.99, 0.01]] * 100, np.float32)
>>> temperature_of(confident, np.array([0] * 80 + [1] * 20)) > 1.0
True
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["at_temperature", "expected_calibration_error", "temperature_of"]

_GRID: Final = np.exp(np.linspace(np.log(0.25), np.log(8.0), 141))
_LEAST_SCORE: Final = 1e-12
_BINS: Final = 15


def temperature_of(scores: NDArray[np.float32], class_ids: NDArray[np.int64]) -> float:
    """Return the temperature in 0.25..8 that gives the true classes the highest likelihood.

    Args:
        scores: (N, K) float32 probabilities at temperature 1.
        class_ids: (N,) int64 true classes; with none the temperature is 1.

    Note:
        A grid in steps of 2.5 %: the loss has one minimum and is flat around it.

    Source:
        Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
    """
    if class_ids.size == 0:
        return 1.0
    rows = np.arange(class_ids.size)
    losses = [-np.log(at_temperature(scores, float(t))[rows, class_ids] + _LEAST_SCORE).mean() for t in _GRID]
    return float(_GRID[int(np.argmin(losses))])


def at_temperature(scores: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return the scores (N, K) that a model gives at another temperature: softmax(log(scores) / temperature).

    Args:
        scores: (N, K) float32 probabilities at temperature 1.
        temperature: above 0; the order of the classes stays.
    """
    logits = np.log(np.maximum(scores.astype(np.float64), _LEAST_SCORE)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def expected_calibration_error(scores: NDArray[np.floating], class_ids: NDArray[np.int64]) -> float:
    """Return the mean gap, 0..1, between confidence and accuracy over 15 equal bins of confidence.

    Args:
        scores: (N, K) float.
        class_ids: (N,) int64 true classes, N >= 1.
    """
    confidence = scores.max(axis=1).astype(np.float64)
    is_right = scores.argmax(axis=1) == class_ids
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=confidence - is_right, minlength=_BINS)
    return float(np.abs(gaps).sum() / class_ids.size)
