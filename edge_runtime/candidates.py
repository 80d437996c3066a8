"""Which objects a person should look at though nobody knows their class: doubtful by score, norm or view. Pure.

Candidates never teach by themselves (T5, T7): they wait for a person.

>>> scores = np.array([[0.52, 0.48], [0.99, 0.01]], np.float32)
>>> is_close(scores, 0.1).tolist()
[True, False]
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_runtime.norm import Q16_ONE, ClassNorms
from edge_runtime.truth import ExpectedObjects, Verdicts, match_verdicts

__all__ = ["disagreements", "is_close", "is_far"]

_GREY_LEVEL: Final = Q16_ONE / 255  # a class of one shade has almost no spread: a grey level is never far
_LEAST_SAMPLES: Final = 20


def is_close(scores: NDArray[np.float32], margin: float) -> NDArray[np.bool_]:
    """Return, (N,) bool, whether the two best scores lie closer together than `margin`.

    Args:
        scores: (N, K) float32, calibrated; with one class nothing is close.
        margin: 0..1; 0 for never.
    """
    if scores.shape[1] < 2:
        return np.zeros(len(scores), np.bool_)
    best = np.partition(scores, -2, axis=1)[:, -2:]  # (N, 2), ascending
    return np.asarray(best[:, 1] - best[:, 0] < margin, np.bool_)


def is_far(
    class_ids: NDArray[np.int64],
    norms_q16: NDArray[np.int64],
    class_names: Sequence[str],
    class_norms: Mapping[str, ClassNorms],
    *,
    sigmas: float,
) -> NDArray[np.bool_]:
    """Return, (N,) bool, whether an object's norm lies far from those of the class that it was given.

    Args:
        class_ids: (N,) int64; objects below 0 have no class and are never far.
        norms_q16: (N,) int64 in 0..65536.
        class_names: of the ids.
        class_norms: norm sums of the training samples; classes with fewer than 20 have no spread to speak of.
        sigmas: how many standard deviations from the mean are far; 0 for never.
    """
    far = np.zeros(class_ids.size, np.bool_)
    for class_id, name in enumerate(class_names):
        norms = class_norms.get(name, ClassNorms())
        if norms.count < _LEAST_SAMPLES or sigmas <= 0:
            continue
        mean = norms.sum_q16 / norms.count
        spread = max(_GREY_LEVEL, max(0.0, norms.sum_squares_q32 / norms.count - mean**2) ** 0.5)
        own = class_ids == class_id
        far[own] = np.abs(norms_q16[own] - mean) > sigmas * spread
    return far


def disagreements(
    first: ExpectedObjects, second: ExpectedObjects, tolerance_ticks: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pieces that two views called by different names (T5): at least one of them is wrong.

    Args:
        first: objects of one view, where both views' objects should pass one line.
        second: objects of the other view, on the same scale.
        tolerance_ticks: how far apart the views may see one piece.

    Returns:
        Indices into `first` and into `second`, (P,) int64 each, pair by pair. Only pairs in which neither side has
        another choice count, and only objects that both views classified.
    """
    matches = match_verdicts(
        first, Verdicts(second.ticks, second.lanes, second.class_ids, second.is_eject), tolerance_ticks
    )
    own, other = first.class_ids[matches.objects], second.class_ids[matches.verdicts]
    differs = (own != other) & (own >= 0) & (other >= 0)
    return matches.objects[differs], matches.verdicts[differs]
