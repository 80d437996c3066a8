r"""When bytes leave and reach the far end of a line: rate, standstills, delay. Pure, and it changes no byte.

Byte k of a busy stretch that began at t0 leaves at t0 + k * 10 / baud seconds, rounded up to a nanosecond: start bit,
8 data bits, stop bit. While the line stands still this clock does too, so the rate is never made up for afterwards.

>>> import random
>>> wire = Wire(random.Random(1), baud=921_600)
>>> wire.put(bytes(140), now_ns=0)
>>> wire.next_ns, wire.last_ns
(10851, 1519098)
>>> len(wire.take(760_000)), len(wire.take(1_519_097)), len(wire.take(1_519_098))
(70, 69, 1)
"""

import random
from collections import deque
from dataclasses import dataclass
from typing import Final

__all__ = ["Wire"]

_BYTE_NS_BAUD: Final = 10 * 1_000_000_000  # nanoseconds of one 10-bit character at 1 baud


@dataclass(slots=True)
class _Flight:
    """Bytes put at once. Those of a throttled wire leave one by one, the others together at `last_ns`."""

    data: bytes
    last_ns: int  # when the last byte arrives
    floor_ns: int = 0  # nothing arrives before: what was put earlier arrives earlier
    extra_ns: int = 0  # from leaving to arriving
    zero_work_ns: int = 0  # of its busy stretch, in the wire's working time
    number: int = 0  # of the first byte that is left, in its busy stretch


class Wire:
    """One direction of a line that neither loses nor changes anything.

    Args:
        rng: draws the jitter.
        baud: line rate; None hands bytes over at once.
        delay_ns: from leaving to arriving.
        jitter_ns: longest addition to it, drawn for each `put`; the order is kept.
        stall_every_ns: period of the standstills, 0 for none.
        stall_ns: length of each, at the end of its period.
        start_ns: when the first period begins.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        baud: int | None = None,
        delay_ns: int = 0,
        jitter_ns: int = 0,
        stall_every_ns: int = 0,
        stall_ns: int = 0,
        start_ns: int = 0,
    ) -> None:
        self.waiting_b = 0
        self._rng = rng
        self._baud = baud
        self._delay_ns = delay_ns
        self._jitter_ns = jitter_ns
        self._every_ns = stall_every_ns
        self._moving_ns = stall_every_ns - stall_ns
        self._start_ns = start_ns
        self._flights: deque[_Flight] = deque()
        self._floor_ns = 0
        # The busy stretch: when it began in working time, and its bytes. Without a rate: when they leave.
        self._zero_ns = 0
        self._stretch_b = 0

    @property
    def next_ns(self) -> int | None:
        """Return when the next byte arrives, None when nothing is on its way."""
        return self.arrival_ns(1)

    @property
    def last_ns(self) -> int | None:
        """Return when the last byte arrives, None when nothing is on its way."""
        return self._flights[-1].last_ns if self._flights else None

    def arrival_ns(self, number: int) -> int | None:
        """Return when the `number`-th of the bytes on their way arrives, from 1; None when there are fewer."""
        for flight in self._flights:
            if number <= len(flight.data):
                if self._baud is None:
                    return flight.last_ns
                leaves_ns = self._leave_ns(flight.zero_work_ns, flight.number + number, self._baud)
                return max(flight.floor_ns, leaves_ns + flight.extra_ns)
            number -= len(flight.data)
        return None

    def put(self, data: bytes, now_ns: int) -> None:
        """Take bytes behind those that are waiting."""
        if not data:
            return
        extra_ns = self._delay_ns + (self._rng.randint(0, self._jitter_ns) if self._jitter_ns else 0)
        floor_ns = self._floor_ns
        if self._baud is None:
            leaves_ns = self._moves_again_ns(now_ns)
            self._stretch_b = len(data) + (self._stretch_b if leaves_ns == self._zero_ns else 0)
            self._zero_ns = leaves_ns
            flight = _Flight(data, max(floor_ns, leaves_ns + extra_ns))
        else:
            if not self.backlog_b(now_ns):
                self._zero_ns, self._stretch_b = self._work_ns(now_ns), 0
            number, self._stretch_b = self._stretch_b, self._stretch_b + len(data)
            last_ns = max(floor_ns, self._leave_ns(self._zero_ns, self._stretch_b, self._baud) + extra_ns)
            flight = _Flight(data, last_ns, floor_ns, extra_ns, self._zero_ns, number)
        self._floor_ns = flight.last_ns
        self._flights.append(flight)
        self.waiting_b += len(data)

    def take(self, now_ns: int) -> bytes:
        """Remove and return what has arrived by then."""
        flights, out = self._flights, []
        while flights and flights[0].last_ns <= now_ns:
            out.append(flights.popleft().data)
        if flights and self._baud is not None and now_ns >= flights[0].floor_ns:
            first = flights[0]
            begun_ns = self._work_ns(now_ns - first.extra_ns) - first.zero_work_ns
            arrived_b = min(max(begun_ns * self._baud // _BYTE_NS_BAUD - first.number, 0), len(first.data))
            if arrived_b:
                out.append(first.data[:arrived_b])
                first.data = first.data[arrived_b:]
                first.number += arrived_b
        data = b"".join(out)
        self.waiting_b -= len(data)
        return data

    def keeps_waiting(self, now_ns: int) -> bool:
        """Tell whether bytes put now leave later than now."""
        return self._baud is not None or self._moves_again_ns(now_ns) > now_ns

    def backlog_b(self, now_ns: int) -> int:
        """Return how many bytes have not left by then."""
        if self._baud is None:
            return self._stretch_b if self._zero_ns > now_ns else 0
        left_b = (self._work_ns(now_ns) - self._zero_ns) * self._baud // _BYTE_NS_BAUD
        return max(self._stretch_b - left_b, 0)

    def room_ns(self, now_ns: int) -> int:
        """Return when the backlog is next smaller than now; now where there is none."""
        backlog_b = self.backlog_b(now_ns)
        if not backlog_b:
            return now_ns
        if self._baud is None:
            return self._zero_ns
        return self._leave_ns(self._zero_ns, self._stretch_b - backlog_b + 1, self._baud)

    def clear(self) -> int:
        """Forget what is on its way; return how many bytes that was."""
        lost_b, self.waiting_b = self.waiting_b, 0
        self._flights.clear()
        self._stretch_b = self._floor_ns = 0
        return lost_b

    def _leave_ns(self, zero_work_ns: int, number: int, baud: int) -> int:
        """Return when a byte leaves: the earliest time with enough working time before it."""
        work_ns = zero_work_ns - (-number * _BYTE_NS_BAUD // baud)
        if not self._every_ns:
            return work_ns + self._start_ns
        periods, rest_ns = divmod(work_ns, self._moving_ns)
        if rest_ns == 0:
            periods, rest_ns = periods - 1, self._moving_ns
        return self._start_ns + periods * self._every_ns + rest_ns

    def _work_ns(self, now_ns: int) -> int:
        """Return the working time between the start and now: all but the standstills."""
        if not self._every_ns:
            return now_ns - self._start_ns
        periods, rest_ns = divmod(now_ns - self._start_ns, self._every_ns)
        return periods * self._moving_ns + min(rest_ns, self._moving_ns)

    def _moves_again_ns(self, now_ns: int) -> int:
        """Return now, or the end of the standstill that now is in."""
        if not self._every_ns:
            return now_ns
        rest_ns = (now_ns - self._start_ns) % self._every_ns
        return now_ns if rest_ns < self._moving_ns else now_ns - rest_ns + self._every_ns
