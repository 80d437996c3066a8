"""The ordered, acknowledged class, for either end: go-back-N with a window, as pure state machines.

The caller turns payloads into frames; this file knows sequence numbers and times only.

>>> sender, receiver = ControlSender(), ControlReceiver()
>>> sender.push(0x24, b"first")
>>> [(seq, payload)] = [(item.seq, item.payload) for item in sender.due(now_ns=0)]
>>> receiver.accept(seq), receiver.next_seq
(True, 1)
>>> sender.on_ack(1, credit=8, now_ns=2_000_000)
>>> sender.is_idle
True
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

__all__ = [
    "MAX_TRIES",
    "RTO_MAX_NS",
    "RTO_MIN_NS",
    "WINDOW",
    "ControlReceiver",
    "ControlSender",
    "Outgoing",
    "RttEstimate",
]

WINDOW: Final = 8
MAX_TRIES: Final = 6
RTO_MIN_NS: Final = 5_000_000
# Six tries end within 300 ms, before the host takes an event's outcome for final (wire-protocol.md section 6).
RTO_MAX_NS: Final = 50_000_000
_SEQ_MASK: Final = 0xFFFF


@dataclass(slots=True)
class RttEstimate:
    """Smoothed round-trip time and its variation, as in RFC 6298."""

    srtt_ns: int = 0
    var_ns: int = 0
    samples: int = 0

    def add(self, rtt_ns: int) -> None:
        """Take one measurement of a frame that was sent once only (Karn's rule is the caller's)."""
        if self.samples == 0:
            self.srtt_ns, self.var_ns = rtt_ns, rtt_ns // 2
        else:
            self.var_ns += (abs(rtt_ns - self.srtt_ns) - self.var_ns) // 4
            self.srtt_ns += (rtt_ns - self.srtt_ns) // 8
        self.samples += 1

    def timeout_ns(self, floor_ns: int, ceiling_ns: int) -> int:
        """Return srtt + 4 var within the two limits."""
        return min(max(self.srtt_ns + 4 * self.var_ns, floor_ns), ceiling_ns)


@dataclass(slots=True)
class Outgoing:
    """One control message on its way."""

    type_id: int
    payload: bytes
    seq: int
    sent_ns: int = 0
    is_repeated: bool = False


class ControlSender:
    """Send side: keeps at most WINDOW messages in flight and repeats them from the oldest.

    Args:
        gives_up: stop after MAX_TRIES without progress (host); the controller goes on until its watchdog decides.
    """

    def __init__(self, *, gives_up: bool = True) -> None:
        self._gives_up = gives_up
        self.rtt = RttEstimate()
        self.repeats = 0
        self._queue: deque[Outgoing] = deque()
        self._flying: deque[Outgoing] = deque()
        self._next_seq = 0
        self._credit = WINDOW
        self._timeouts = 0
        self._resend = False
        self._fast_resent_seq: int | None = None
        self._deadline_ns: int | None = None

    @property
    def is_idle(self) -> bool:
        """Tell whether everything pushed has been acknowledged."""
        return not self._queue and not self._flying

    @property
    def is_exhausted(self) -> bool:
        """Tell whether the oldest message has had all its tries and the last timeout."""
        return self._gives_up and self._timeouts >= MAX_TRIES

    @property
    def backlog(self) -> int:
        """Return how many messages wait or fly."""
        return len(self._queue) + len(self._flying)

    def push(self, type_id: int, payload: bytes) -> None:
        """Queue one message."""
        self._queue.append(Outgoing(type_id, payload, self._next_seq))
        self._next_seq = (self._next_seq + 1) & _SEQ_MASK

    def due(self, now_ns: int) -> list[Outgoing]:
        """Return the messages to put on the wire now, in order."""
        if self._deadline_ns is not None and now_ns >= self._deadline_ns:
            self._timeouts += 1
            self._resend = True
        if self.is_exhausted:
            return []
        out = self._repeat_flight(now_ns) if self._resend else []
        while self._queue and len(self._flying) < min(WINDOW, max(self._credit, 1)):
            item = self._queue.popleft()
            item.sent_ns = now_ns
            self._flying.append(item)
            out.append(item)
        if out:
            self._deadline_ns = now_ns + self._timeout_ns()
        return out

    def on_ack(self, next_seq: int, *, credit: int, now_ns: int) -> None:
        """Take a cumulative acknowledgement; the same one again asks for a repeat at once."""
        self._credit = credit
        if not self._flying:
            return
        done = (next_seq - self._flying[0].seq) & _SEQ_MASK
        if done == 0:
            self._on_duplicate_ack()
        elif done <= len(self._flying):
            for _ in range(done):
                item = self._flying.popleft()
            if not item.is_repeated:
                self.rtt.add(now_ns - item.sent_ns)
            self._timeouts = 0
            self._deadline_ns = now_ns + self._timeout_ns() if self._flying else None

    def _on_duplicate_ack(self) -> None:
        # Once per oldest message: the repeats themselves cause more duplicates.
        if self._fast_resent_seq != self._flying[0].seq:
            self._fast_resent_seq = self._flying[0].seq
            self._resend = True

    def _repeat_flight(self, now_ns: int) -> list[Outgoing]:
        self._resend = False
        for item in self._flying:
            item.sent_ns = now_ns
            item.is_repeated = True
        self.repeats += len(self._flying)
        return list(self._flying)

    def _timeout_ns(self) -> int:
        doublings = min(self._timeouts, MAX_TRIES)
        return min(self.rtt.timeout_ns(RTO_MIN_NS, RTO_MAX_NS) << doublings, RTO_MAX_NS)


class ControlReceiver:
    """Receive side: takes messages in order only and says what it wants next."""

    def __init__(self) -> None:
        self.next_seq = 0
        self.is_ack_due = False

    def accept(self, seq: int, *, has_room: bool = True) -> bool:
        """Tell whether this is the next message and there is room for it; either way an acknowledgement is due."""
        self.is_ack_due = True
        if seq != self.next_seq or not has_room:
            return False
        self.next_seq = (self.next_seq + 1) & _SEQ_MASK
        return True
