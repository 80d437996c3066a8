"""How many samples a round draws of a class, and how many of them from each side of the mean.

Symbols of CN113326857B: m samples a class and round, a of them from the norms at or above the class mean, b below.

>>> DrawSizes.of(5)
DrawSizes(m=5, a=3, b=2)
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final

from trainer.errors import SettingsError

__all__ = ["DrawSizes", "default_m"]

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
    def of(m: int, above: int = -1) -> "DrawSizes":
        """Return sizes with a stated a, or with the default halves: a = ceil(m / 2), b = floor(m / 2).

        Args:
            m: in all.
            above: a; -1 takes the default.

        Raises:
            SettingsError: m < 1, or a > m.
        """
        a = ceil(m / 2) if above < 0 else above
        return DrawSizes(m, a, m - a)

    def scaled(self, m: int) -> "DrawSizes":
        """Return sizes for another m: default halves stay default halves, else a in proportion, rounded up.

        Raises:
            SettingsError: m < 1.
        """
        is_halved = self.a - self.b in {0, 1}
        return DrawSizes.of(m) if is_halved else DrawSizes.of(m, -(-m * self.a // self.m))


def default_m(pool_samples: int, class_count: int) -> int:
    """Return max(8, ceil(0.02 * N / K)) for a pool of N samples and K >= 1 classes.

    >>> default_m(8500, 5)
    34
    """
    return max(_LEAST_M, ceil(_SHARE * pool_samples / class_count))
