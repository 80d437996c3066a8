"""The draw: which samples of a class join the training set. Pure numpy, exact, independent of file order.

Symbols of CN113326857B: m samples a class and round, a of them from the norms at or above the class mean, b below.

>>> draw_class(np.array([10, 20, 30, 40]), DrawSizes(m=2, a=1, b=1)).tolist()
[2, 1]
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.errors import SettingsError

__all__ = ["DrawSizes", "NormNearest", "Selector", "default_m", "draw_class", "draw_round"]

_LEAST_M: Final = 8
_SHARE: Final = Fraction(2, 100)  # exact: a float would now and then draw one sample too many


@dataclass(frozen=True, slots=True)
class DrawSizes:
    """How many samples are drawn of each class in a round.

    Attributes:
        m: in all.
        a: from those with a norm at or above the class mean.
        b: from those below; a + b = m.
    """

    m: int
    a: int
    b: int

    def __post_init__(self) -> None:
        """Check that the halves make the whole.

        Raises:
            SettingsError: m < 1, a or b < 0, or a + b is not m.
        """
        if self.m < 1:
            raise SettingsError(f"m = {self.m}: at least 1 sample a class must be drawn in a round")
        if min(self.a, self.b) < 0 or self.a + self.b != self.m:
            raise SettingsError(f"a = {self.a} and b = {self.b}: both must be 0 or more and make m = {self.m} together")

    @staticmethod
    def of(m: int) -> "DrawSizes":
        """Return the default halves of m: a = ceil(m / 2), b = floor(m / 2).

        Raises:
            SettingsError: m < 1.
        """
        return DrawSizes(m, ceil(m / 2), m // 2)


class Selector(Protocol):
    """Draws from the candidates of one class."""

    def draw(self, norms_q16: NDArray[np.int64], sizes: DrawSizes) -> NDArray[np.int64]:
        """Return indices into the candidates, at most m, all different, in the order drawn.

        Args:
            norms_q16: (N,) int64 norms of the class's candidates, rows in the order of their content hashes.
            sizes: a, b, m.
        """
        ...


class NormNearest:
    """The patent's draw: around the mean of the candidates' norms, on both sides."""

    def draw(self, norms_q16: NDArray[np.int64], sizes: DrawSizes) -> NDArray[np.int64]:
        """See `draw_class`."""
        return draw_class(norms_q16, sizes)


def default_m(pool_samples: int, class_count: int) -> int:
    """Return max(8, ceil(0.02 * N / K)) for a pool of N samples and K >= 1 classes.

    >>> default_m(8500, 5)
    34
    """
    return max(_LEAST_M, ceil(_SHARE * pool_samples / class_count))


def draw_class(norms_q16: NDArray[np.int64], sizes: DrawSizes) -> NDArray[np.int64]:
    """Draw the samples whose norms are nearest to the class mean, a at or above it and b below.

    Args:
        norms_q16: (N,) int64 in 0..65536, rows in the order of the samples' content hashes.
        sizes: a, b, m. A side with too few samples is filled from the other; a class with fewer than m gives all.

    Returns:
        Indices, at most m: first those above in ascending norm, then those below in descending norm; equal norms in
        the order of the rows, so by content hash.

    Note:
        The mean is exact: norm * N >= sum, in integers, without a division.

    Source:
        CN113326857B, step "draw m samples of each class set"; filling a short side is ours.
    """
    count = norms_q16.size
    rows = np.arange(count)
    is_above = norms_q16 * count >= norms_q16.sum()
    above = rows[is_above][np.argsort(norms_q16[is_above], kind="stable")]
    below = rows[~is_above][np.argsort(-norms_q16[~is_above], kind="stable")]
    from_above = max(sizes.a, sizes.m - below.size)
    from_below = max(sizes.b, sizes.m - above.size)
    return np.concatenate((above[:from_above], below[:from_below])).astype(np.int64)


def draw_round(
    class_ids: NDArray[np.int64],
    norms_q16: NDArray[np.int64],
    candidates: NDArray[np.bool_],
    *,
    sizes: DrawSizes,
    selector: Selector,
) -> NDArray[np.int64]:
    """Draw m samples of each class from the candidates.

    Args:
        class_ids: (N,) int64 of the whole table, rows in the order of the content hashes.
        norms_q16: (N,) int64.
        candidates: (N,) bool: the residual, outside the training set.
        sizes: a, b, m.
        selector: how to draw within a class.

    Returns:
        Row indices, class after class in ascending order, each in the order drawn; empty when nothing is left.
    """
    drawn = [np.zeros(0, np.int64)]
    for class_id in np.unique(class_ids[candidates]):
        rows = np.flatnonzero(candidates & (class_ids == class_id))
        drawn.append(rows[selector.draw(norms_q16[rows], sizes)])
    return np.concatenate(drawn)
