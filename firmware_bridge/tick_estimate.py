"""The host's idea of the controller's tick: for deadlines of milliseconds, never for the time a valve fires.

Each stamp is at least as old as its way here, so the largest tick-minus-time seen is the best; it is let go slowly, so
that a drifting clock is followed.

>>> estimate = TickEstimate(tick_hz=1_000_000)
>>> estimate.add(500, now_ns=1_000_000)
>>> estimate.ns_of(700, now_ns=1_000_000)
1200000
"""

from typing import Final

from firmware_bridge.event_window import unwrap

__all__ = ["TickEstimate"]

_LET_GO_PPM: Final = 200  # two crystals of 100 ppm


class TickEstimate:
    """Offset between the host's clock and the controller's ticks.

    Args:
        tick_hz: ticks a second, from IDENT.
    """

    def __init__(self, tick_hz: int) -> None:
        self._tick_hz = tick_hz
        self._best: tuple[int, int] | None = None  # (tick not wrapped, at ns)

    def add(self, tick_u32: int, now_ns: int) -> None:
        """Take a stamp that has just arrived; only its low 32 bits count."""
        if self._best is None:
            self._best = (tick_u32 & 0xFFFFFFFF, now_ns)
            return
        expected = self.tick_at(now_ns)
        tick = unwrap(tick_u32 & 0xFFFFFFFF, expected)
        slack = (now_ns - self._best[1]) * self._tick_hz // 1_000_000_000 * _LET_GO_PPM // 1_000_000
        if tick >= expected - slack:
            self._best = (tick, now_ns)

    def tick_at(self, now_ns: int) -> int:
        """Return the estimated tick, not wrapped; 0 before the first stamp."""
        if self._best is None:
            return 0
        tick, at_ns = self._best
        return tick + (now_ns - at_ns) * self._tick_hz // 1_000_000_000

    def ns_of(self, tick_u32: int, now_ns: int) -> int:
        """Return when, on the host's clock, the controller reaches the nearest tick with these low 32 bits."""
        now_tick = self.tick_at(now_ns)
        return now_ns + (unwrap(tick_u32, now_tick) - now_tick) * 1_000_000_000 // self._tick_hz
