"""A class with two looks: found by its norms, and split so that both are drawn from.

The mean of a class that is half dark and half bright lies where it has no sample at all: the nearest to it are the odd
ones. Pure; no random numbers.

>>> two = np.array([100] * 30 + [101] * 30 + [900] * 30 + [901] * 30)
>>> np.bincount(looks_of(two)).tolist()
[60, 60]
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.draw.candidates import ClassCandidates
from trainer.draw.selector import Selector
from trainer.draw.sizes import DrawSizes

__all__ = ["draw_from_looks", "looks_of"]

_LEAST_SAMPLES: Final = 100  # of 40 samples of a skewed class one in ten looks like two heaps; of 100, one in a hundred
_MOST_BETWEEN: Final = 0.05  # of a class may lie in the middle third between its heaps; of an even spread 17 % do
_LEAST_SHARE: Final = 0.1  # of a class: a smaller heap is a few odd samples, not a look


def looks_of(norms_q16: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, (N,) int64, the look of each sample of a class: 0 for all, or 0 for the darker and 1 for the brighter.

    Args:
        norms_q16: (N,) int64.

    Returns:
        Two looks where the best split into two heaps leaves a valley: the middle third between their means holds at
        most 5 % of the class, and each heap a tenth of it; at least 100 samples are needed to say so.

    Source:
        Otsu 1979, A Threshold Selection Method from Gray-Level Histograms, for the split; the valley is ours.
    """
    one = np.zeros(norms_q16.size, np.int64)
    if norms_q16.size < _LEAST_SAMPLES:
        return one
    bright = norms_q16 > _split(np.sort(norms_q16).astype(np.float64))
    heaps = (norms_q16[~bright].astype(np.float64), norms_q16[bright].astype(np.float64))
    if min(len(heap) for heap in heaps) < _LEAST_SHARE * norms_q16.size:
        return one
    low, high = heaps[0].mean(), heaps[1].mean()
    between = (norms_q16 > low + (high - low) / 3) & (norms_q16 < high - (high - low) / 3)
    is_apart = high > low and between.mean() <= _MOST_BETWEEN
    return bright.astype(np.int64) if is_apart else one


def draw_from_looks(selector: Selector, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
    """Draw with a selector, from each look of a class in proportion to its samples, at least one of each.

    Args:
        selector: draws within a look.
        candidates: of the class.
        sizes: for the whole class.

    Returns:
        Positions, at most m, the darker look first.
    """
    looks = looks_of(candidates.norms_q16)
    counts = np.bincount(looks)
    wanted = min(sizes.m, len(candidates))
    if len(counts) < 2 or wanted < 2:
        return selector.draw(candidates, sizes)
    fair = round(wanted * int(counts[0]) / len(candidates))
    dark = min(max(fair, 1, wanted - int(counts[1])), wanted - 1, int(counts[0]))
    drawn = []
    for look, share in enumerate((dark, wanted - dark)):
        rows = np.flatnonzero(looks == look)
        drawn.append(rows[selector.draw(candidates.take(rows), sizes.scaled(share))])
    return np.concatenate(drawn).astype(np.int64)


def _split(ordered: NDArray[np.float64]) -> float:
    """Return the value above which the brighter heap begins: the largest variance between both heaps.

    It never lies amid equal norms: over these the variance is a convex function of the place.
    """
    count = len(ordered)
    sums = np.cumsum(ordered)
    sizes = np.arange(1, count)
    between = (sums[:-1] * count - sums[-1] * sizes) ** 2 / (sizes * (count - sizes))
    return float(ordered[int(np.argmax(between))])
