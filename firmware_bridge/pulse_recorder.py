"""What an observer of the valves writes down: when which valves were open, and for which event.

It outlives the controller it watches, and it is the same for both controllers: a controller only says what it plans
(`open`) and when it closed everything (`cut`).

>>> recorder = PulseRecorder()
>>> recorder.open(FiredPulse(evid=1, first_valve=2, valve_count=2, open_tick=100, close_tick=150))
>>> recorder.run_until(120)
>>> recorder.cut(130)
>>> recorder.take()
[FiredPulse(evid=1, first_valve=2, valve_count=2, open_tick=100, close_tick=130)]
"""

import heapq
from typing import Final, NamedTuple

__all__ = ["SELFTEST_EVID", "FiredPulse", "PulseRecorder"]

SELFTEST_EVID: Final = -1  # the pulse of a self-test belongs to no event


class FiredPulse(NamedTuple):
    """Adjacent valves open from open_tick until close_tick because of event evid.

    Where pulses overlap, each event's own part is listed and the valve is open for the union; an event whose valves
    get different parts is listed once a run of equal parts.
    """

    evid: int
    first_valve: int
    valve_count: int
    open_tick: int
    close_tick: int


class PulseRecorder:
    """Planned pulses become fired ones when their time is over, or when everything is cut."""

    def __init__(self) -> None:
        self._open: list[tuple[int, FiredPulse]] = []  # heap by close tick
        self._fired: list[FiredPulse] = []

    @property
    def fired(self) -> list[FiredPulse]:
        """Return the pulses that have closed since the last take, in closing order."""
        return list(self._fired)

    def take(self) -> list[FiredPulse]:
        """Return the pulses that have closed since the last call and forget them."""
        fired, self._fired = self._fired, []
        return fired

    def open(self, pulse: FiredPulse) -> None:
        """Write down a planned pulse."""
        heapq.heappush(self._open, (pulse.close_tick, pulse))

    def run_until(self, tick: int) -> None:
        """Close what is due up to and including `tick`."""
        while self._open and self._open[0][0] <= tick:
            self._fired.append(heapq.heappop(self._open)[1])

    def cut(self, tick: int) -> None:
        """Close everything at `tick`, whatever was planned; what had not opened by then never does."""
        self.run_until(tick)
        self._fired += [pulse._replace(close_tick=tick) for _, pulse in sorted(self._open) if pulse.open_tick < tick]
        self._open.clear()
