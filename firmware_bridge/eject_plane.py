"""The host's side of the eject class: batches, repeats, credit, and exactly one outcome for every event.

A pure state machine: it turns events into EJECT_BATCH messages and answers into outcomes.
wire-protocol.md section 6 has the rules.

>>> plane = EjectPlane(EjectRules(), next_evid=10, slots=8, rx_window_b=4096)
>>> plane.add([EjectEvent(5000, 3, 1, 900)], fire_ns=[5_000_000], now_ns=0)
range(10, 11)
>>> [batch.base_evid for batch in plane.due(now_ns=0)]
[10]
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from firmware_bridge.control_plane import RttEstimate
from firmware_bridge.event_window import unwrap
from firmware_bridge.link_events import EjectEvent, EjectOutcome, OutcomeKind
from firmware_bridge.messages import (
    MAX_EVENTS_PER_MASK_BATCH,
    WINDOW_EVENTS,
    BatchFlag,
    EjectAck,
    EjectBatch,
    EjectCancel,
    EjectExc,
    EjectItem,
    EjectMask,
    EjectReason,
    MaskItem,
)

__all__ = ["EjectPlane", "EjectRules"]

_U32: Final = 0xFFFFFFFF
_MAX_SPAN_TICKS: Final = 0xFFFF  # dt of an item is u16
_REPEAT_MIN_NS: Final = 3_000_000
_REPEAT_MAX_NS: Final = 20_000_000


class EjectRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How events are grouped and how long the host tries.

    Attributes:
        batch_events: a batch leaves with this many events, 1..39.
        batch_age_us: or when its oldest event has waited this long.
        urgent_us: or when its earliest event fires within this time.
        min_lead_us: a batch is not sent or repeated when less time is left.
        settle_ms: an acknowledged event without an exception this long after its time has fired.
        allow_late: let the controller fire late within its tolerance.
    """

    batch_events: int = 20
    batch_age_us: int = 2000
    urgent_us: int = 12_000
    min_lead_us: int = 1000
    settle_ms: int = 350
    allow_late: bool = True


@dataclass(slots=True)
class _Waiting:
    """An event without an acknowledgement yet."""

    evid: int
    event: EjectEvent
    fire_ns: int
    added_ns: int


@dataclass(slots=True)
class _Flight:
    """A batch on its way, repeated until all its events are acknowledged or its time is over."""

    batch: EjectBatch | EjectMask
    missing: dict[int, int]  # evid -> fire_ns
    deadline_ns: int
    sent_ns: int
    sent_at: dict[int, int] = field(default_factory=dict)  # number of each of its frames -> when it left

    @property
    def size_b(self) -> int:
        return 20 + (10 if isinstance(self.batch, EjectMask) else 6) * len(self.batch.items)


@dataclass(slots=True)
class _Recall:
    """A cancel on its way, repeated until it is acknowledged or none of its events can still fire."""

    message: EjectCancel
    deadline_ns: int
    sent_ns: int
    seqs: list[int]


class EjectPlane:
    """Events of one session.

    Args:
        rules: grouping and patience.
        next_evid: first id, from IDENT.
        slots: free places in the controller's queue.
        rx_window_b: bytes the controller can buffer.
    """

    def __init__(self, rules: EjectRules, *, next_evid: int, slots: int, rx_window_b: int) -> None:
        self.rtt = RttEstimate()
        self.repeats = 0
        self.late_reports = 0  # exceptions about events whose outcome was out already
        self._rules = rules
        self.next_evid = next_evid
        self._free_slots = slots
        self._free_tick: int | None = None
        self._rx_window_b = rx_window_b
        self._queue: deque[_Waiting] = deque()
        self._flights: list[_Flight] = []
        self._recalls: list[_Recall] = []
        self._unsettled: dict[int, int] = {}  # evid -> when an acknowledged event is taken for fired
        self._settle_order: list[tuple[int, int]] = []  # heap of (time, evid)
        self._outcomes: list[EjectOutcome] = []

    @property
    def open_events(self) -> int:
        """Return how many events have no outcome yet."""
        return len(self._queue) + self._flying() + len(self._unsettled)

    def add(self, events: Sequence[EjectEvent], *, fire_ns: Sequence[int], now_ns: int) -> range:
        """Queue events and return their ids.

        Args:
            events: pulses wanted, any order.
            fire_ns: the host's estimate of each event's time.
            now_ns: host's clock.
        """
        first = self.next_evid
        for event, at_ns in zip(events, fire_ns, strict=True):
            self._queue.append(_Waiting(self.next_evid, event, at_ns, now_ns))
            self.next_evid += 1
        return range(first, self.next_evid)

    def cancel(self, evids: range, now_ns: int) -> None:
        """Take events back: at once those not sent yet, by EJECT_CANCEL those that may still fire."""
        wanted = [item.evid for item in self._queue if item.evid in evids]
        self._outcomes += [EjectOutcome(evid, OutcomeKind.REPORTED, EjectReason.CANCELLED) for evid in wanted]
        self._queue = deque(item for item in self._queue if item.evid not in evids)
        settle_ns = self._rules.settle_ms * 1_000_000
        open_ns = {evid: at_ns for flight in self._flights for evid, at_ns in flight.missing.items() if evid in evids}
        open_ns |= {evid: at_ns - settle_ns for evid, at_ns in self._unsettled.items() if evid in evids}
        if not open_ns:
            return
        first, end = min(open_ns), max(open_ns) + 1
        for start in range(first, end, WINDOW_EVENTS):
            message = EjectCancel(start & _U32, min(start + WINDOW_EVENTS, end) & _U32)
            self._recalls.append(_Recall(message, max(open_ns.values()), now_ns - _REPEAT_MAX_NS, []))

    def due(self, now_ns: int) -> list[EjectBatch | EjectMask | EjectCancel]:
        """Return what to send now: cancels, repeats, then new batches as far as the credit goes."""
        self._expire(now_ns)
        batches: list[EjectBatch | EjectMask | EjectCancel] = self._recalls_due(now_ns)
        batches += [self._repeat(flight, now_ns) for flight in self._flights if self._is_repeat_due(flight, now_ns)]
        while self._is_batch_ready(now_ns):
            group = self._next_group(now_ns)
            if not group:
                break
            batches.append(self._launch(group, now_ns))
        return batches

    def take_outcomes(self, now_ns: int) -> list[EjectOutcome]:
        """Return outcomes that have become final, each event once."""
        while self._settle_order and self._settle_order[0][0] <= now_ns:
            _, evid = heapq.heappop(self._settle_order)
            if self._unsettled.pop(evid, None) is not None:
                self._outcomes.append(EjectOutcome(evid, OutcomeKind.ACKED))
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def on_sent(self, message: EjectBatch | EjectMask | EjectCancel, seq: int) -> None:
        """Note the frame number of what `due` returned, by which its acknowledgement is recognised."""
        if isinstance(message, EjectCancel):
            for recall in self._recalls:
                if recall.message is message:
                    recall.seqs.append(seq)
            return
        for flight in reversed(self._flights):
            if flight.batch.base_evid == message.base_evid:
                flight.sent_at[seq] = flight.sent_ns
                return

    def on_ack(self, ack: EjectAck, now_ns: int) -> None:
        """Take an acknowledgement: events received, and the credit."""
        base = unwrap(ack.base_evid, self.next_evid)
        for flight in self._flights:
            arrived = [evid for evid in flight.missing if 0 <= evid - base < 64 and ack.received >> (evid - base) & 1]
            for evid in arrived:
                self._settle_later(evid, flight.missing.pop(evid), now_ns)
            if arrived and ack.seq_echo in flight.sent_at:  # repeated or not: the echo tells which frame it answers
                self.rtt.add(now_ns - flight.sent_at[ack.seq_echo])
        self._flights = [flight for flight in self._flights if flight.missing]
        self._recalls = [recall for recall in self._recalls if ack.seq_echo not in recall.seqs]
        self.on_free(ack.free_slots, ack.tick)

    def on_free(self, free_slots: int, tick_u32: int) -> None:
        """Take the controller's count of free places, unless a newer one is known."""
        if self._free_tick is None or (tick_u32 - self._free_tick) & _U32 < 1 << 31:
            self._free_slots, self._free_tick = free_slots, tick_u32 & _U32

    def on_exceptions(self, message: EjectExc) -> None:
        """Take the controller's reports: each ends its event, unless it has ended."""
        for report in message.reports:
            evid = unwrap(report.evid, self.next_evid)
            if self._forget(evid):
                outcome = EjectOutcome(evid, OutcomeKind.REPORTED, report.reason, report.lateness_10us * 10)
                self._outcomes.append(outcome)
            else:
                self.late_reports += 1

    def abandon(self, now_ns: int) -> None:
        """End everything: the session is over. Acknowledged events past their time count as fired, others as lost."""
        settle_ns = self._rules.settle_ms * 1_000_000
        lost = [item.evid for item in self._queue]
        for flight in self._flights:
            lost += flight.missing
        for evid, final_ns in self._unsettled.items():
            kind = OutcomeKind.ACKED if final_ns - settle_ns <= now_ns else OutcomeKind.LOST
            self._outcomes.append(EjectOutcome(evid, kind))
        self._outcomes += [EjectOutcome(evid, OutcomeKind.LOST) for evid in lost]
        self._queue.clear()
        self._flights.clear()
        self._recalls.clear()
        self._unsettled.clear()
        self._settle_order.clear()

    # ----- batches

    def _flying(self) -> int:
        return sum(len(flight.missing) for flight in self._flights)

    def _is_batch_ready(self, now_ns: int) -> bool:
        if not self._queue:
            return False
        if len(self._queue) >= self._rules.batch_events:
            return True
        head = self._queue[0]
        if now_ns - head.added_ns >= self._rules.batch_age_us * 1000:
            return True
        return min(item.fire_ns for item in self._queue) - now_ns < self._rules.urgent_us * 1000

    def _next_group(self, now_ns: int) -> list[_Waiting]:
        """Take events that fit one batch, the credit and the controller's buffer."""
        credit = min(self._free_slots - self._flying(), self._rules.batch_events)
        recent_ns = now_ns - self._repeat_after_ns()
        flying_b = sum(flight.size_b for flight in self._flights if flight.sent_ns > recent_ns)
        is_masked = bool(self._queue and self._queue[0].event.valve_mask)
        if is_masked:
            credit = min(credit, MAX_EVENTS_PER_MASK_BATCH)
        credit = min(credit, (self._rx_window_b - flying_b - 20) // (10 if is_masked else 6))
        group: list[_Waiting] = []
        low = high = 0
        while self._queue and len(group) < credit:
            head = self._queue[0]
            tick = unwrap(head.event.fire_tick, low if group else head.event.fire_tick)
            low, high = (min(low, tick), max(high, tick)) if group else (tick, tick)
            # Ids of a batch have no gaps; an expired event leaves one in the queue.
            if high - low > _MAX_SPAN_TICKS or (group and head.evid != group[-1].evid + 1):
                break
            if bool(head.event.valve_mask) is not is_masked:
                break
            group.append(self._queue.popleft())
        return group

    def _launch(self, group: list[_Waiting], now_ns: int) -> EjectBatch | EjectMask:
        first_tick = group[0].event.fire_tick
        base_tick = min(unwrap(item.event.fire_tick, first_tick) for item in group)
        timed = [(unwrap(item.event.fire_tick, base_tick) - base_tick, item.event) for item in group]
        flags = BatchFlag.ALLOW_LATE if self._rules.allow_late else BatchFlag.NONE
        batch: EjectBatch | EjectMask
        if group[0].event.valve_mask:
            rows = tuple(MaskItem(dt, event.first_valve, event.valve_mask, event.pulse_us) for dt, event in timed)
            batch = EjectMask(group[0].evid & _U32, base_tick & _U32, flags, rows)
        else:
            items = tuple(EjectItem(dt, event.first_valve, event.valve_count, event.pulse_us) for dt, event in timed)
            batch = EjectBatch(group[0].evid & _U32, base_tick & _U32, flags, items)
        missing = {item.evid: item.fire_ns for item in group}
        deadline_ns = max(missing.values()) - self._rules.min_lead_us * 1000
        self._flights.append(_Flight(batch, missing, deadline_ns, now_ns))
        return batch

    # ----- repeats and deadlines

    def _repeat_after_ns(self) -> int:
        return self.rtt.timeout_ns(_REPEAT_MIN_NS, _REPEAT_MAX_NS)

    def _is_repeat_due(self, flight: _Flight, now_ns: int) -> bool:
        """Wait for the answer; near the deadline only as long as answers usually take, or half of the time left."""
        usual_ns = max(self.rtt.srtt_ns + self.rtt.var_ns, _REPEAT_MIN_NS)
        patience_ns = max((flight.deadline_ns - now_ns) // 2, usual_ns)
        return now_ns - flight.sent_ns >= min(self._repeat_after_ns(), patience_ns)

    def _recalls_due(self, now_ns: int) -> list[EjectBatch | EjectMask | EjectCancel]:
        self._recalls = [recall for recall in self._recalls if recall.deadline_ns >= now_ns]
        due = [recall for recall in self._recalls if now_ns - recall.sent_ns >= self._repeat_after_ns()]
        for recall in due:
            recall.sent_ns = now_ns
        return [recall.message for recall in due]

    def _repeat(self, flight: _Flight, now_ns: int) -> EjectBatch | EjectMask:
        self.repeats += 1
        flight.sent_ns = now_ns
        return msgspec.structs.replace(flight.batch, flags=flight.batch.flags | BatchFlag.REPEAT)

    def _expire(self, now_ns: int) -> None:
        """Give up events that can no longer arrive in time."""
        lead_ns = self._rules.min_lead_us * 1000
        if any(item.fire_ns - lead_ns < now_ns for item in self._queue):
            self._lose([item.evid for item in self._queue if item.fire_ns - lead_ns < now_ns])
            self._queue = deque(item for item in self._queue if item.fire_ns - lead_ns >= now_ns)
        for flight in self._flights:
            if flight.deadline_ns < now_ns:
                self._lose(list(flight.missing))
        self._flights = [flight for flight in self._flights if flight.missing and flight.deadline_ns >= now_ns]

    def _lose(self, evids: list[int]) -> None:
        self._outcomes += [EjectOutcome(evid, OutcomeKind.LOST) for evid in evids]

    # ----- settling

    def _settle_later(self, evid: int, fire_ns: int, now_ns: int) -> None:
        final_ns = max(fire_ns, now_ns) + self._rules.settle_ms * 1_000_000
        self._unsettled[evid] = final_ns
        heapq.heappush(self._settle_order, (final_ns, evid))

    def _forget(self, evid: int) -> bool:
        if self._unsettled.pop(evid, None) is not None:
            return True
        return any(flight.missing.pop(evid, None) is not None for flight in self._flights)
