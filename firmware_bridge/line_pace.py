"""How long the bytes already sent still keep the line busy: what a sender must know that lets others go first.

>>> pace = LinePace(baud=921_600)
>>> pace.add(256, now_ns=0)
>>> pace.backlog_ns(now_ns=0), pace.backlog_ns(now_ns=1_000_000)
(2777777, 1777777)
>>> LinePace(baud=0).time_ns(1_000_000)  # a medium whose rate is not known takes no time
0
"""

__all__ = ["LinePace"]

_LINE_BITS = 10  # start, eight, stop


class LinePace:
    """A model of the bytes between this program and the far end of the line.

    Args:
        baud: bits a second; 0 where nobody knows.
    """

    def __init__(self, baud: int) -> None:
        self._baud = baud
        self._free_ns = 0

    def time_ns(self, size_b: int) -> int:
        """Return how long so many bytes keep the line busy."""
        return size_b * _LINE_BITS * 1_000_000_000 // self._baud if self._baud else 0

    def add(self, size_b: int, now_ns: int) -> None:
        """Count bytes that were sent just now."""
        self._free_ns = max(self._free_ns, now_ns) + self.time_ns(size_b)

    def backlog_ns(self, now_ns: int) -> int:
        """Return how long a byte sent now would wait."""
        return max(self._free_ns - now_ns, 0)
