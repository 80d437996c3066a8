"""The virtual board's eject class: each event once, refused with a reason or scheduled. No session, no output.

Ticks here count from boot and never wrap. c/sel_eject.h is the same in C.

>>> from firmware_bridge.messages import BatchFlag, EjectItem
>>> desk = EjectDesk(n_valves=8, slots=4)
>>> batch = EjectBatch(0, 5000, BatchFlag.NONE, (EjectItem(0, 7, 2, 900),))
>>> desk.take_batch(batch, now=0, limits=Limits(late_tol_ticks=150, horizon_ticks=10**6), is_firing=True)
>>> desk.take_reports(35)
[EjectReport(evid=0, reason=<EjectReason.BAD_VALVE: 4>, lateness_10us=-500)]
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from firmware_bridge.event_window import Arrival, EventWindow, unwrap
from firmware_bridge.late_rate import LateRate
from firmware_bridge.messages import (
    BatchFlag,
    EjectBatch,
    EjectItem,
    EjectMask,
    EjectReason,
    EjectReport,
    MaskItem,
)
from firmware_bridge.pulse_recorder import PulseRecorder
from firmware_bridge.valve_bank import ScheduledEvent, ValveBank

__all__ = ["EjectDesk", "Limits"]

_U32: Final = 0xFFFFFFFF
_REPORT_ROOM: Final = 2048  # reports and the events that may still need one


class Limits(NamedTuple):
    """How early and how late an event may come in."""

    late_tol_ticks: int
    horizon_ticks: int


class _Wish(NamedTuple):
    """One event as asked for, whichever message brought it."""

    evid: int
    fire_tick: int
    first_valve: int
    mask: int
    pulse_us: int


class EjectDesk:
    """Takes batches, keeps the valves.

    Args:
        n_valves: valves 0..n_valves-1 exist.
        slots: longest queue of accepted events.
        recorder: told of every pulse; one of its own where nobody looks.
    """

    def __init__(self, *, n_valves: int, slots: int, recorder: PulseRecorder | None = None) -> None:
        self.bank = ValveBank(n_valves, recorder or PulseRecorder())
        self.window = EventWindow()
        self.late_rate = LateRate(0)
        self.late = 0
        self.duplicates = 0
        self.queue_high = 0
        self.has_overrun = False  # an event was refused because the queue was full
        self._n_valves = n_valves
        self._slots = slots
        self._reports: deque[EjectReport] = deque()

    @property
    def free_slots(self) -> int:
        """Return how many more events fit the queue."""
        return max(self._slots - self.bank.pending, 0)

    def take_batch(self, batch: EjectBatch | EjectMask, *, now: int, limits: Limits, is_firing: bool) -> None:
        """Schedule or refuse every event that has not been seen before."""
        base = unwrap(batch.base_evid, self.window.next_evid)
        items: Sequence[EjectItem | MaskItem] = batch.items
        for evid, item in enumerate(items, start=base):
            if not self._has_report_room():
                break
            if self.window.add(evid) is not Arrival.NEW:
                self.duplicates += 1
                continue
            fire_tick = unwrap((batch.base_tick + item.dt_ticks) & _U32, now)
            wish = _Wish(evid, fire_tick, item.first_valve, _mask_of(item), item.pulse_us)
            if is_firing:
                self._admit(wish, batch.flags, now=now, limits=limits)
            else:
                self._report(evid, EjectReason.NOT_ARMED, now - fire_tick)
        self.queue_high = max(self.queue_high, self.bank.pending)

    def cancel(self, from_evid: int, to_evid: int) -> None:
        """Make sure that no event of [from_evid, to_evid), u32 ids, fires from now on, whether it has come or not."""
        base = unwrap(from_evid, self.window.next_evid)
        for evid in range(base, base + ((to_evid - from_evid) & _U32)):
            is_new = self._has_report_room() and self.window.add(evid) is Arrival.NEW
            if is_new or self.bank.cancel(evid):
                self._report(evid, EjectReason.CANCELLED, 0)

    def received_from(self, base_evid: int) -> int:
        """Return the 64 bits that EJECT_ACK tells about base_evid (u32) and the 63 ids after it."""
        return self.window.received_from(unwrap(base_evid, self.window.next_evid))

    def run_until(self, tick: int) -> None:
        """Fire what is due up to and including `tick`."""
        for event, reason in self.bank.run_until(tick):
            self._reports.append(EjectReport(event.evid & _U32, reason, event.lateness_10us))

    def stop(self, tick: int) -> None:
        """Fire what is due up to `tick`, then close every valve and cancel the rest."""
        self.run_until(tick)
        self.bank.close_all(tick)
        for event in self.bank.cancel_pending():
            self._report(event.evid, EjectReason.CANCELLED, 0)

    def start_session(self, now: int) -> int:
        """Cancel what waits without a report, for a host that knows nothing of it; return how many that were."""
        self._reports.clear()
        self.late_rate = LateRate(now)
        self.has_overrun = False
        return len(self.bank.cancel_pending())

    def take_reports(self, max_reports: int) -> list[EjectReport]:
        """Return the oldest reports not taken yet, at most max_reports."""
        return [self._reports.popleft() for _ in range(min(max_reports, len(self._reports)))]

    def _has_report_room(self) -> bool:
        """Tell whether one more event can be taken: each may need one report, and none is ever lost."""
        return len(self._reports) + self.bank.pending < _REPORT_ROOM

    def _report(self, evid: int, reason: EjectReason, lateness: int) -> None:
        self._reports.append(EjectReport(evid & _U32, reason, _in_steps(lateness)))

    def _admit(self, wish: _Wish, flags: BatchFlag, *, now: int, limits: Limits) -> None:
        lateness = now - wish.fire_tick
        self.late_rate.add(is_late=lateness > 0)
        self.late += lateness > 0
        refusal = self._refusal(wish, flags, lateness, limits)
        if refusal is not None:
            self.has_overrun |= refusal is EjectReason.QUEUE_FULL
            self._report(wish.evid, refusal, lateness)
            return
        reason = None
        if lateness > 0:
            reason = EjectReason.LATE_FIRED
        elif wish.pulse_us > self.bank.max_pulse_ticks:
            reason = EjectReason.PULSE_CLAMPED
        pulse_ticks = min(wish.pulse_us, self.bank.max_pulse_ticks)
        tick = max(wish.fire_tick, now)
        steps = _in_steps(lateness) if reason else 0
        self.bank.schedule(ScheduledEvent(tick, wish.evid, wish.first_valve, wish.mask, pulse_ticks, reason, steps))

    def _refusal(self, wish: _Wish, flags: BatchFlag, lateness: int, limits: Limits) -> EjectReason | None:
        if flags & BatchFlag.ENCODER:
            return EjectReason.UNSUPPORTED
        if wish.first_valve + wish.mask.bit_length() > self._n_valves:
            return EjectReason.BAD_VALVE
        if lateness > (limits.late_tol_ticks if flags & BatchFlag.ALLOW_LATE else 0):
            return EjectReason.LATE_DROPPED
        if -lateness > limits.horizon_ticks:
            return EjectReason.TOO_FAR
        return None if self.free_slots else EjectReason.QUEUE_FULL


def _mask_of(item: EjectItem | MaskItem) -> int:
    return item.mask if isinstance(item, MaskItem) else (1 << item.valve_count) - 1


def _in_steps(lateness: int) -> int:
    """Return lateness in the steps of 10 us that EJECT_EXC has room for."""
    return max(-0x8000, min(0x7FFF, lateness // 10))
