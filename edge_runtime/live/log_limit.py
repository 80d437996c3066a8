"""Which of many equal log lines are written. Pure.

A fault on the hot path comes a hundred times a second. The first lines of a kind are written, then one every period,
which says how many were left out before it. Knows no log and no clock.

>>> limiter = LogLimiter(burst=2, period_s=10.0)
>>> [limiter.left_out("vision.frame_failed", now_ns=0) for _ in range(4)]
[0, 0, None, None]
>>> limiter.left_out("vision.frame_failed", now_ns=10 * NS_PER_S)
2
"""

from typing import Final

from firmware_bridge.clock import NS_PER_S

__all__ = ["LogLimiter"]

_MOST_KINDS: Final = 256


class LogLimiter:
    """Decides about the lines of one process, in the order of their times.

    Args:
        burst: lines of one kind that may follow each other at once, >= 1.
        period_s: after those, one line in this time.
    """

    def __init__(self, *, burst: int = 5, period_s: float = 5.0) -> None:
        self._period_ns = round(period_s * NS_PER_S)
        self._credit_ns = (burst - 1) * self._period_ns
        self._paid_ns: dict[str, int] = {}  # until when the lines written have used up the period's room
        self._dropped: dict[str, int] = {}

    def left_out(self, kind: str, *, now_ns: int) -> int | None:
        """Decide about one line.

        Args:
            kind: what makes lines equal, such as the event's name.
            now_ns: monotonic.

        Returns:
            How many lines of its kind were left out since the last one written; None where this one is left out too.
        """
        paid_ns = max(self._paid_ns.get(kind, now_ns), now_ns)
        if paid_ns - now_ns > self._credit_ns:
            self._dropped[kind] = self._dropped.get(kind, 0) + 1
            return None
        if kind not in self._paid_ns and len(self._paid_ns) >= _MOST_KINDS:
            self._forget()
        self._paid_ns[kind] = paid_ns + self._period_ns
        return self._dropped.pop(kind, 0)

    def _forget(self) -> None:
        """Make room: forget the kind that has been quiet for the longest time."""
        oldest = min(self._paid_ns, key=self._paid_ns.__getitem__)
        del self._paid_ns[oldest]
        self._dropped.pop(oldest, None)
