"""How many events of the last second came too late: the controller's measure of an overloaded host.

>>> rate = LateRate(start_tick=0)
>>> for number in range(100):
...     rate.add(is_late=number < 5)
>>> rate.judge(1_000_000), rate.judge(1_500_000)
(<LateVerdict.POOR: 2>, <LateVerdict.UNDECIDED: 0>)
"""

from enum import Enum
from typing import Final

__all__ = ["LateRate", "LateVerdict"]

_WINDOW_TICKS: Final = 1_000_000
_MIN_EVENTS: Final = 20  # fewer say nothing about a rate of 1 %
_POOR_PERCENT: Final = 1
_HOPELESS_PERCENT: Final = 20


class LateVerdict(Enum):
    """What a window of one second says."""

    UNDECIDED = 0
    GOOD = 1
    POOR = 2  # more than 1 %: degraded
    HOPELESS = 3  # more than 20 %: the feeder loses its permit


class LateRate:
    """Counts one window of a second after another.

    Args:
        start_tick: when the first window begins.
    """

    def __init__(self, start_tick: int) -> None:
        self._window_end = start_tick + _WINDOW_TICKS
        self._events = 0
        self._late = 0

    def add(self, *, is_late: bool) -> None:
        """Count one event."""
        self._events += 1
        self._late += is_late

    def judge(self, now: int) -> LateVerdict:
        """Close the window when its second is over and judge it; few events, one of them late, decide nothing."""
        if now < self._window_end:
            return LateVerdict.UNDECIDED
        events, late = self._events, self._late
        self._events = self._late = 0
        self._window_end = now + _WINDOW_TICKS
        if events >= _MIN_EVENTS and late * 100 > events * _POOR_PERCENT:
            return LateVerdict.HOPELESS if late * 100 > events * _HOPELESS_PERCENT else LateVerdict.POOR
        return LateVerdict.UNDECIDED if late else LateVerdict.GOOD
