"""Whether a crop shows what was recorded a moment ago: a piece lying still under the camera, or one seen twice.

Crops that teach the same thing fill a spool and weigh too much in training. Two crops are nearly the same when they
lie in the same place across the belt, have the same norm and look the same at eight by eight points.

>>> memory = RecentCrops()
>>> pixels = np.full((32, 32, 3), 90, np.uint8)
>>> first, second = (Glance.of(pixels, place=(line, 40), norm_q16=23130) for line in (100, 228))
>>> memory.has_near(first), memory.add(first), memory.has_near(second)
(False, None, True)
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.norm import Q16_ONE

__all__ = ["Glance", "RecentCrops", "is_near"]

_SIDE: Final = 8
_MOST_COLUMNS: Final = 2  # a piece that lies still shakes a little
_MOST_NORM_Q16: Final = 2 * Q16_ONE // 255  # two grey levels: lamps flicker less
_MOST_LEVELS: Final = 1.0  # mean difference of the small pictures; camera noise of two levels makes 0.3
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class Glance:
    """What is kept of a crop to know it again.

    Attributes:
        place: absolute line of its last row, and column where that row begins.
        norm_q16: its norm.
        small: (8, 8, C) int16, the crop seen from afar, black outside the object.
    """

    place: tuple[int, int]
    norm_q16: int
    small: NDArray[np.int16]

    @staticmethod
    def of(pixels: NDArray[np.uint8], *, place: tuple[int, int], norm_q16: int) -> "Glance":
        """Return the glance of one crop.

        Args:
            pixels: (S, S, C) uint8, 0 outside the mask.
            place: absolute line of its last row, and column where that row begins.
            norm_q16: its norm, 0..65536.
        """
        small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        return Glance(place, norm_q16, small.reshape(_SIDE, _SIDE, -1).astype(np.int16))


def is_near(first: Glance, second: Glance) -> bool:
    """Return whether two crops show the same; one object shown twice, at one line, is not its own duplicate."""
    return (
        first.place[0] != second.place[0]
        and abs(first.place[1] - second.place[1]) <= _MOST_COLUMNS
        and abs(first.norm_q16 - second.norm_q16) <= _MOST_NORM_Q16
        and first.small.shape == second.small.shape
        and float(np.abs(first.small - second.small).mean()) <= _MOST_LEVELS
    )


class RecentCrops:
    """The last 64 recorded crops of one view. One thread."""

    def __init__(self) -> None:
        self._glances: deque[Glance] = deque(maxlen=_REMEMBERED)

    def has_near(self, glance: Glance) -> bool:
        """Return whether one of them shows the same."""
        return any(is_near(glance, one) for one in self._glances)

    def add(self, glance: Glance) -> None:
        """Remember a crop in place of the oldest."""
        self._glances.append(glance)
