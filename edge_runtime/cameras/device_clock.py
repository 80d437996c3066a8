"""A camera's own clock, read as this computer's. Pure but for the latch that it is given.

The camera is asked now and then what time it is; the time between the question and the answer bounds the error.

>>> from firmware_bridge.clock import ManualClock
>>> clock = ManualClock()
>>> device = DeviceClock(lambda: clock.monotonic_ns() + 5_000, clock)
>>> clock.advance_ns(1_000_000)
>>> device.host_ns(5_400)
400
"""

from collections.abc import Callable
from typing import Final

from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["DeviceClock"]

# Crystals of cameras are 100 ppm apart at the worst: 1 ms after 10 s.
_ASK_AGAIN_NS: Final = 10 * NS_PER_S
_OLDEST_NS: Final = 10 * NS_PER_S


class DeviceClock:
    """Reads stamps of a camera on the clock of this computer.

    Args:
        latch: asks the camera for its time, in nanoseconds from any zero.
        clock: of this computer.

    Raises:
        Exception: whatever `latch` raises, from every method too.
    """

    def __init__(self, latch: Callable[[], int], clock: Clock) -> None:
        self._latch = latch
        self._clock = clock
        self._ask()

    def keep_up(self) -> None:
        """Ask the camera again where the last answer is older than 10 s; costs a round trip then."""
        if self._clock.monotonic_ns() - self._asked_ns > _ASK_AGAIN_NS:
            self._ask()

    def host_ns(self, stamp_ns: int) -> int | None:
        """Return when that was on this computer's clock; None where it lies in the future or more than 10 s back.

        Note:
            None says that the camera stamps its frames by another clock than the one that it was asked for.
        """
        moment_ns, now_ns = stamp_ns + self._ahead_ns, self._clock.monotonic_ns()
        return moment_ns if now_ns - _OLDEST_NS <= moment_ns <= now_ns else None

    def _ask(self) -> None:
        before_ns = self._clock.monotonic_ns()
        device_ns = self._latch()
        self._asked_ns = self._clock.monotonic_ns()
        self._ahead_ns = (before_ns + self._asked_ns) // 2 - device_ns
