"""Selectors that look at norms alone: nearest to the mean (the patent's), spread over the range, farthest, a control.

>>> draw_around_mean(np.array([10, 20, 30, 40]), DrawSizes(m=2, a=1, b=1), (100, 4)).tolist()
[2, 1]
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.draw.candidates import ClassCandidates
from trainer.draw.selector import NOTHING, Needs
from trainer.draw.sizes import DrawSizes

__all__ = ["NormFarthest", "NormNearest", "NormStratified", "RandomScalar", "draw_around_mean"]

_SCALARS: Final = 65537  # as many values as norms have


def draw_around_mean(norms_q16: NDArray[np.int64], sizes: DrawSizes, mean: tuple[int, int]) -> NDArray[np.int64]:
    """Draw the samples whose norms are nearest to the class mean, a at or above it and b below.

    Args:
        norms_q16: (N,) int64, rows in the order of the samples' content hashes.
        sizes: a, b, m. A side with too few samples is filled from the other; a class with fewer than m gives all.
        mean: (sum, count) of the norms that make it.

    Returns:
        Positions, at most m: first those above in ascending norm, then those below in descending norm; equal norms in
        the order of the rows, so by content hash.

    Note:
        The mean is exact: norm * count >= sum, in integers, without a division.

    Source:
        CN113326857B, step "draw m samples of each class set"; filling a short side is ours.
    """
    return _draw_sides(norms_q16, sizes, mean, 1)


class NormNearest:
    """The patent's draw: around the mean of the candidates' norms, on both sides."""

    needs: Needs = NOTHING

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """See `draw_around_mean`."""
        return draw_around_mean(candidates.norms_q16, sizes, candidates.mean)


class NormStratified:
    """Evenly over the range: the candidates in order of their norms are cut into m equal parts, one is drawn of each.

    The middle one of each part, so that the darkest and the brightest samples are near, but not at, the ends.
    """

    needs: Needs = NOTHING

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions, in ascending norm."""
        order = np.argsort(candidates.norms_q16, kind="stable")
        wanted = min(sizes.m, len(candidates))
        middles = (2 * np.arange(wanted) + 1) * len(candidates) // (2 * max(1, wanted))
        return order[middles].astype(np.int64)


class NormFarthest:
    """The opposite of the patent's draw: from the outside inwards, the farthest from the mean first, on both sides.

    A side with too few samples is filled from the other, there too with the farthest.
    """

    needs: Needs = NOTHING

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """Return at most m positions: a of the highest norms in descending order, b of the lowest in ascending."""
        return _draw_sides(candidates.norms_q16, sizes, candidates.mean, -1)


class RandomScalar:
    """The control of the patent's draw: the same draw around the mean of a random number that each sample keeps."""

    needs: Needs = NOTHING

    def draw(self, candidates: ClassCandidates, sizes: DrawSizes) -> NDArray[np.int64]:
        """See `draw_around_mean`; the mean is that of the candidates' random numbers."""
        scalars = (candidates.lasting % np.uint64(_SCALARS)).astype(np.int64)
        return draw_around_mean(scalars, sizes, (int(scalars.sum()), len(scalars)))


def _draw_sides(
    norms_q16: NDArray[np.int64], sizes: DrawSizes, mean: tuple[int, int], direction: Literal[1, -1]
) -> NDArray[np.int64]:
    """Return a positions at or above the mean, then b below it: from the mean outwards (1) or towards it (-1)."""
    total, count = mean
    rows = np.arange(norms_q16.size)
    is_above = norms_q16 * count >= total
    above = rows[is_above][np.argsort(direction * norms_q16[is_above], kind="stable")]
    below = rows[~is_above][np.argsort(-direction * norms_q16[~is_above], kind="stable")]
    from_above = max(sizes.a, sizes.m - below.size)
    from_below = max(sizes.b, sizes.m - above.size)
    return np.concatenate((above[:from_above], below[:from_below])).astype(np.int64)
