"""The virtual controller's timer and valves: a queue of events by tick, pulses united per valve, hard limits.

Ticks here count from boot and never wrap.

>>> bank = ValveBank(n_valves=8)
>>> bank.schedule(ScheduledEvent(tick=100, evid=1, first_valve=2, valve_count=2, pulse_ticks=50, is_reported=False))
>>> bank.run_until(200)
[]
>>> bank.take_fired()
[FiredPulse(evid=1, first_valve=2, valve_count=2, open_tick=100, close_tick=150)]
"""

import heapq
from typing import Final, NamedTuple

__all__ = ["FiredPulse", "ScheduledEvent", "ValveBank"]

_NEVER: Final = -(1 << 62)


class ScheduledEvent(NamedTuple):
    """One accepted event; ordered by its time, then its id."""

    tick: int
    evid: int
    first_valve: int
    valve_count: int
    pulse_ticks: int
    is_reported: bool  # its one exception report has been sent already


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


class ValveBank:
    """All valves of one controller.

    Args:
        n_valves: valves 0..n_valves-1 exist.
    """

    def __init__(self, n_valves: int) -> None:
        self.max_pulse_ticks = 20_000
        self.min_off_ticks = 500
        self.fired_count = 0
        self._queue: list[ScheduledEvent] = []
        self._open: list[tuple[int, FiredPulse]] = []  # heap by close tick
        self._fired: list[FiredPulse] = []
        self._since = [_NEVER] * n_valves
        self._until = [_NEVER] * n_valves

    @property
    def pending(self) -> int:
        """Return how many accepted events wait for their time."""
        return len(self._queue)

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing waits and no valve is open."""
        return not self._queue and not self._open

    @property
    def fired(self) -> list[FiredPulse]:
        """Return the pulses that have closed since the last take_fired, in closing order."""
        return list(self._fired)

    def take_fired(self) -> list[FiredPulse]:
        """Return the pulses that have closed since the last call and forget them."""
        fired, self._fired = self._fired, []
        return fired

    def restore(self, fired: list[FiredPulse]) -> None:
        """Keep pulses that another bank recorded: a recorder outlives the controller it watches."""
        self._fired = fired + self._fired

    def schedule(self, event: ScheduledEvent) -> None:
        """Queue an event; cost O(log n)."""
        heapq.heappush(self._queue, event)

    def run_until(self, tick: int) -> list[int]:
        """Open and close everything due up to and including `tick`.

        Returns:
            Ids of events that met another pulse on one of their valves and have no report yet.
        """
        merged: list[int] = []
        queue = self._queue
        while queue and queue[0].tick <= tick:
            event = heapq.heappop(queue)
            if self._fire(event) and not event.is_reported:
                merged.append(event.evid)
        while self._open and self._open[0][0] <= tick:
            self._fired.append(heapq.heappop(self._open)[1])
        return merged

    def cancel_pending(self) -> list[ScheduledEvent]:
        """Forget all events that wait and return them, in order; open valves close at their time."""
        cancelled, self._queue = sorted(self._queue), []
        return cancelled

    def close_all(self, tick: int) -> None:
        """Close every valve at `tick`, whatever was planned."""
        for _, pulse in sorted(self._open):
            if pulse.open_tick < tick:
                self._fired.append(pulse._replace(close_tick=tick))
            for valve in range(pulse.first_valve, pulse.first_valve + pulse.valve_count):
                self._until[valve] = min(self._until[valve], tick)
        self._open.clear()

    def _fire(self, event: ScheduledEvent) -> bool:
        """Open the event's valves; tell whether it met another pulse."""
        self.fired_count += 1
        has_met = False
        run_first, run_part = event.first_valve, (0, 0)
        for valve in range(event.first_valve, event.first_valve + event.valve_count):
            part, has_met_here = self._extend(valve, event.tick, event.tick + event.pulse_ticks)
            has_met |= has_met_here
            if part != run_part:
                self._record(event.evid, run_first, valve, run_part)
                run_first, run_part = valve, part
        self._record(event.evid, run_first, event.first_valve + event.valve_count, run_part)
        return has_met

    def _extend(self, valve: int, start: int, stop: int) -> tuple[tuple[int, int], bool]:
        """Return the part of [start, stop) that the valve's limits allow, and whether another pulse was met."""
        until = self._until[valve]
        if start >= until + self.min_off_ticks:
            has_met = False
        elif start <= until:  # still open: the union, cut at the longest pulse
            since = self._since[valve]  # ahead of now while the valve waits for the end of its pause
            start, stop = max(start, since), min(stop, since + self.max_pulse_ticks)
            self._until[valve] = max(until, stop)
            return (start, max(start, stop)), True
        else:  # closed too recently: open once the pause is over
            start, has_met = until + self.min_off_ticks, True
        if start < stop:
            self._since[valve], self._until[valve] = start, stop
        return (start, max(start, stop)), has_met

    def _record(self, evid: int, first: int, end: int, part: tuple[int, int]) -> None:
        open_tick, close_tick = part
        if first < end and open_tick < close_tick:
            pulse = FiredPulse(evid, first, end - first, open_tick, close_tick)
            heapq.heappush(self._open, (close_tick, pulse))
