"""Each event once: the controller's sliding memory of the last 1,024 event ids.

Ids travel as u32 and count without end here, so that a wrap is never seen.

>>> window = EventWindow()
>>> window.add(0), window.add(2), window.add(0)
(<Arrival.NEW: 1>, <Arrival.NEW: 1>, <Arrival.DUPLICATE: 2>)
>>> bin(window.received_from(0))
'0b101'
"""

from enum import Enum
from typing import Final

__all__ = ["WINDOW_EVENTS", "Arrival", "EventWindow", "unwrap"]

WINDOW_EVENTS: Final = 1024
_U32: Final = 1 << 32
_ACK_MASK: Final = (1 << 64) - 1


class Arrival(Enum):
    """What the window knows about an id that has come in."""

    NEW = 1
    DUPLICATE = 2
    STALE = 3  # too old to tell


def unwrap(value_u32: int, near: int) -> int:
    """Return the number congruent to value_u32 modulo 2**32 that is nearest to `near`.

    >>> unwrap(5, near=2**32 - 1) == 2**32 + 5
    True
    """
    return near + ((value_u32 - near + _U32 // 2) % _U32) - _U32 // 2


class EventWindow:
    """A bitmap over the ids [next_evid - 1024, next_evid)."""

    def __init__(self) -> None:
        self.next_evid = 0
        self._seen = 0  # bit i: id next_evid - 1024 + i

    def add(self, evid: int) -> Arrival:
        """Remember `evid` (not wrapped) and tell whether it was known."""
        ahead = evid - self.next_evid
        if ahead < -WINDOW_EVENTS:
            return Arrival.STALE
        if ahead >= 0:
            self._seen = self._seen >> (ahead + 1) if ahead < WINDOW_EVENTS else 0
            self.next_evid = evid + 1
            ahead = -1
        bit = 1 << (WINDOW_EVENTS + ahead)
        if self._seen & bit:
            return Arrival.DUPLICATE
        self._seen |= bit
        return Arrival.NEW

    def received_from(self, base_evid: int) -> int:
        """Return 64 bits: bit i tells whether base_evid + i (not wrapped) has come in."""
        shift = base_evid - (self.next_evid - WINDOW_EVENTS)
        bits = self._seen >> shift if shift >= 0 else self._seen << -shift
        return bits & _ACK_MASK
