"""A camera's counter that wraps, as one that does not. Pure.

>>> ids = FrameIds(period=2**32)
>>> [ids.unwrap(raw) for raw in (2**32 - 2, 2**32 - 1, 0, 5)]
[4294967294, 4294967295, 4294967296, 4294967301]
"""

__all__ = ["FrameIds"]


class FrameIds:
    """Unwraps one counter.

    Args:
        period: after how many frames it comes to the same number again: 2**32 of V4L2, 65535 of a GigE Vision camera
            with 16 bits (65535 is followed by 1). A counter that is wider than its period says is never taken to wrap.

    Note:
        Only a fall from the last sixteenth of the period into the first is a wrap. Any other fall stays one, for the
        frame watch to see: the counter began anew.
    """

    def __init__(self, period: int) -> None:
        self._period = period
        self._last_raw: int | None = None
        self._wrapped = 0

    def unwrap(self, raw: int) -> int:
        """Return the number on a counter that does not wrap; of frames that come in order."""
        last, window = self._last_raw, self._period // 16
        if last is not None and raw < window and self._period - window <= last <= self._period:
            self._wrapped += self._period
        self._last_raw = raw
        return raw + self._wrapped
