"""The controller's timer and valves: a queue of events by tick, pulses united per valve, hard limits.

Ticks here count from boot and never wrap. c/sel_eject.h is the same in C.

>>> recorder = PulseRecorder()
>>> bank = ValveBank(8, recorder)
>>> bank.schedule(ScheduledEvent(tick=100, evid=1, first_valve=2, mask=0b11, pulse_ticks=50))
>>> bank.run_until(200)
[]
>>> recorder.take()
[FiredPulse(evid=1, first_valve=2, valve_count=2, open_tick=100, close_tick=150)]
"""

import heapq
from typing import Final, NamedTuple

from firmware_bridge.messages import EjectReason
from firmware_bridge.pulse_recorder import SELFTEST_EVID, FiredPulse, PulseRecorder

__all__ = ["ScheduledEvent", "ValveBank"]

_NEVER: Final = -(1 << 62)


class ScheduledEvent(NamedTuple):
    """One accepted event; ordered by its time, then its id."""

    tick: int
    evid: int
    first_valve: int
    mask: int  # bit i: valve first_valve + i
    pulse_ticks: int
    reason: EjectReason | None = None  # what is not normal about it if it fires
    lateness_10us: int = 0


class _Part(NamedTuple):
    """The time that a valve's limits leave to one event, and how it came about."""

    start: int
    stop: int
    extra: int  # ticks that the valve is open longer because of it
    has_met: bool


class ValveBank:
    """All valves of one controller.

    Args:
        n_valves: valves 0..n_valves-1 exist.
        recorder: told of every pulse.
    """

    def __init__(self, n_valves: int, recorder: PulseRecorder) -> None:
        self.max_pulse_ticks = 20_000
        self.min_off_ticks = 500
        self.max_open_valves = 4096
        self.max_duty_permille = 1000
        self.fired_count = 0
        self._recorder = recorder
        self._queue: list[ScheduledEvent] = []
        self._tick = 0
        self._last_close = _NEVER
        self._since = [_NEVER] * n_valves
        self._until = [_NEVER] * n_valves
        self._used = [0] * n_valves  # open time that counts against the duty, as of _used_tick
        self._used_tick = [0] * n_valves

    @property
    def pending(self) -> int:
        """Return how many accepted events wait for their time."""
        return len(self._queue)

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing waits and no valve is open at the tick last run to."""
        return not self._queue and self._last_close <= self._tick

    def schedule(self, event: ScheduledEvent) -> None:
        """Queue an event; cost O(log n)."""
        heapq.heappush(self._queue, event)

    def run_until(self, tick: int) -> list[tuple[ScheduledEvent, EjectReason]]:
        """Open and close everything due up to and including `tick`.

        Returns:
            Events that are to be reported, with the reason, in firing order.
        """
        reported: list[tuple[ScheduledEvent, EjectReason]] = []
        queue = self._queue
        while queue and queue[0].tick <= tick:
            event = heapq.heappop(queue)
            reason = self._fire(event)
            if reason is not None:
                reported.append((event, reason))
        self._tick = max(self._tick, tick)
        self._recorder.run_until(tick)
        return reported

    def test_pulse(self, valve: int, tick: int, pulse_ticks: int) -> None:
        """Open one valve now for the self-test, within its limits."""
        self._open(ScheduledEvent(tick, SELFTEST_EVID, valve, 1, pulse_ticks))

    def cancel(self, evid: int) -> bool:
        """Take one event out of the queue; tell whether it was there. Cost O(n)."""
        for at, event in enumerate(self._queue):
            if event.evid == evid:
                del self._queue[at]
                heapq.heapify(self._queue)
                return True
        return False

    def cancel_pending(self) -> list[ScheduledEvent]:
        """Forget all events that wait and return them, in order; open valves close at their time."""
        cancelled, self._queue = sorted(self._queue), []
        return cancelled

    def close_all(self, tick: int) -> None:
        """Close every valve at `tick`, whatever was planned."""
        self._recorder.cut(tick)
        self._until = [min(until, tick) for until in self._until]
        self._since = [min(since, tick) for since in self._since]
        self._last_close = min(self._last_close, tick)

    def _fire(self, event: ScheduledEvent) -> EjectReason | None:
        """Open the event's valves unless a limit forbids it; return what is not normal about that."""
        parts = self._open(event)
        if parts is None:
            return EjectReason.DUTY_LIMIT
        self.fired_count += 1
        if event.reason is not None:
            return event.reason
        if event.pulse_ticks > self.max_pulse_ticks:
            return EjectReason.PULSE_CLAMPED
        return EjectReason.MERGED if any(part.has_met for part in parts) else None

    def _open(self, event: ScheduledEvent) -> list[_Part] | None:
        valves = [event.first_valve + bit for bit in range(event.mask.bit_length()) if event.mask >> bit & 1]
        stop = event.tick + min(event.pulse_ticks, self.max_pulse_ticks)  # may be less than when it was taken
        parts = [self._part_of(valve, event.tick, stop) for valve in valves]
        if not self._is_within_limits(valves, parts, event.tick):
            return None
        for valve, part in zip(valves, parts, strict=True):
            self._extend(valve, part, event.tick)
        self._record(event.evid, valves, parts)
        return parts

    def _part_of(self, valve: int, start: int, stop: int) -> _Part:
        """Return the part of [start, stop) that the valve's pulse and pause limits allow."""
        since, until = self._since[valve], self._until[valve]
        is_open = since < until and start <= until  # or will be, at the end of its pause
        if not is_open and start >= until + self.min_off_ticks:
            return _Part(start, stop, stop - start, has_met=False)
        if is_open:  # the union, cut at the longest pulse
            start, stop = max(start, since), min(stop, since + self.max_pulse_ticks)
            return _Part(start, max(start, stop), max(stop - until, 0), has_met=True)
        start = until + self.min_off_ticks  # closed too recently: open once the pause is over
        return _Part(start, max(start, stop), max(stop - start, 0), has_met=True)

    def _is_within_limits(self, valves: list[int], parts: list[_Part], tick: int) -> bool:
        if self.max_open_valves < len(self._until):
            already_open = sum(until > tick for until in self._until)
            if already_open + sum(self._until[valve] <= tick for valve in valves) > self.max_open_valves:
                return False
        limit = self.max_duty_permille * 1000
        if limit == 1_000_000:  # always: nothing to refuse
            return True
        return all(self._used_at(valve, tick) + part.extra <= limit for valve, part in zip(valves, parts, strict=True))

    def _used_at(self, valve: int, tick: int) -> int:
        """Return how much open time counts against the valve's duty: it is forgotten at the rate of the duty."""
        elapsed = max(tick - self._used_tick[valve], 0)
        return max(self._used[valve] - elapsed * self.max_duty_permille // 1000, 0)

    def _extend(self, valve: int, part: _Part, tick: int) -> None:
        if not part.extra:
            return
        self._used[valve] = self._used_at(valve, tick) + part.extra
        self._used_tick[valve] = tick
        if part.start > self._until[valve] or not part.has_met:
            self._since[valve] = part.start
        self._until[valve] = part.stop
        self._last_close = max(self._last_close, part.stop)

    def _record(self, evid: int, valves: list[int], parts: list[_Part]) -> None:
        """Tell the recorder, one pulse for each run of adjacent valves with equal parts."""
        first = 0
        for end in range(1, len(valves) + 1):
            span = (parts[first].start, parts[first].stop)
            is_run = (
                end < len(valves) and valves[end] == valves[end - 1] + 1 and (parts[end].start, parts[end].stop) == span
            )
            if is_run:
                continue
            if span[0] < span[1]:
                self._recorder.open(FiredPulse(evid, valves[first], end - first, *span))
            first = end
