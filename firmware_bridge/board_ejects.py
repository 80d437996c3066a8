"""The virtual board's eject class: each event once, refused with a reason or scheduled. No session, no output.

Ticks here count from boot and never wrap.

>>> from firmware_bridge.messages import BatchFlag, EjectItem
>>> desk = EjectDesk(n_valves=8, slots=4)
>>> batch = EjectBatch(0, 5000, BatchFlag.NONE, (EjectItem(0, 7, 2, 900),))
>>> desk.take_batch(batch, now_tick=0, limits=Limits(late_tol_ticks=150, horizon_ticks=10**6), is_firing=True)
>>> desk.take_reports()
[EjectReport(evid=0, reason=<EjectReason.BAD_VALVE: 4>, lateness_10us=-500)]
"""

from typing import Final, NamedTuple

from firmware_bridge.event_window import Arrival, EventWindow, unwrap
from firmware_bridge.messages import BatchFlag, EjectBatch, EjectItem, EjectReason, EjectReport
from firmware_bridge.valve_bank import ScheduledEvent, ValveBank

__all__ = ["EjectDesk", "Limits"]

_U32: Final = 0xFFFFFFFF


class Limits(NamedTuple):
    """How early and how late an event may come in."""

    late_tol_ticks: int
    horizon_ticks: int


class EjectDesk:
    """Takes batches, keeps the valves.

    Args:
        n_valves: valves 0..n_valves-1 exist.
        slots: longest queue of accepted events.
    """

    def __init__(self, *, n_valves: int, slots: int) -> None:
        self.bank = ValveBank(n_valves)
        self.window = EventWindow()
        self.late = 0
        self.duplicates = 0
        self.queue_high = 0
        self.recent: list[bool] = []  # lateness of events since the last take_recent
        self._n_valves = n_valves
        self._slots = slots
        self._reports: list[EjectReport] = []

    @property
    def free_slots(self) -> int:
        """Return how many more events fit the queue."""
        return max(self._slots - self.bank.pending, 0)

    def take_batch(self, batch: EjectBatch, *, now_tick: int, limits: Limits, is_firing: bool) -> None:
        """Schedule or refuse every event that has not been seen before."""
        base = unwrap(batch.base_evid, self.window.next_evid)
        for evid, item in enumerate(batch.items, start=base):
            if self.window.add(evid) is Arrival.NEW:
                self._admit(evid, batch, item, now_tick=now_tick, limits=limits, is_firing=is_firing)
            else:
                self.duplicates += 1
        self.queue_high = max(self.queue_high, self.bank.pending)

    def received_from(self, base_evid: int) -> int:
        """Return the 64 bits that EJECT_ACK tells about base_evid (u32) and the 63 ids after it."""
        return self.window.received_from(unwrap(base_evid, self.window.next_evid))

    def run_until(self, tick: int) -> None:
        """Fire what is due up to and including `tick`."""
        merged = self.bank.run_until(tick)
        self._reports += [EjectReport(evid & _U32, EjectReason.MERGED) for evid in merged]

    def stop(self, tick: int) -> None:
        """Fire what is due up to `tick`, then close every valve and cancel the rest."""
        self.run_until(tick)
        self.bank.close_all(tick)
        cancelled = [event for event in self.bank.cancel_pending() if not event.is_reported]
        self._reports += [EjectReport(event.evid & _U32, EjectReason.CANCELLED) for event in cancelled]

    def take_reports(self) -> list[EjectReport]:
        """Return the reports since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def take_recent(self) -> list[bool]:
        """Return, for each event that came while firing since the last call, whether it was late."""
        recent, self.recent = self.recent, []
        return recent

    def _admit(
        self, evid: int, batch: EjectBatch, item: EjectItem, *, now_tick: int, limits: Limits, is_firing: bool
    ) -> None:
        fire_tick = unwrap((batch.base_tick + item.dt_ticks) & _U32, now_tick)
        lateness = now_tick - fire_tick
        reason = self._refusal(batch, item, lateness, limits) if is_firing else EjectReason.NOT_ARMED
        if reason is None:
            reason = self._schedule(evid, item, fire_tick, now_tick)
        if is_firing:
            self.recent.append(lateness > 0)
            self.late += lateness > 0
        if reason is not None:
            steps = max(-0x8000, min(0x7FFF, lateness // 10))
            self._reports.append(EjectReport(evid & _U32, reason, steps))

    def _refusal(self, batch: EjectBatch, item: EjectItem, lateness: int, limits: Limits) -> EjectReason | None:
        if batch.flags & BatchFlag.ENCODER:
            return EjectReason.UNSUPPORTED
        if item.first_valve + item.valve_count > self._n_valves:
            return EjectReason.BAD_VALVE
        if lateness > (limits.late_tol_ticks if batch.flags & BatchFlag.ALLOW_LATE else 0):
            return EjectReason.LATE_DROPPED
        if -lateness > limits.horizon_ticks:
            return EjectReason.TOO_FAR
        return None if self.free_slots else EjectReason.QUEUE_FULL

    def _schedule(self, evid: int, item: EjectItem, fire_tick: int, now_tick: int) -> EjectReason | None:
        """Queue an allowed event; return what is not normal about it."""
        reason = None
        if fire_tick < now_tick:
            reason, fire_tick = EjectReason.LATE_FIRED, now_tick
        elif item.pulse_us > self.bank.max_pulse_ticks:
            reason = EjectReason.PULSE_CLAMPED
        pulse_ticks = min(item.pulse_us, self.bank.max_pulse_ticks)
        event = ScheduledEvent(fire_tick, evid, item.first_valve, item.valve_count, pulse_ticks, reason is not None)
        self.bank.schedule(event)
        return reason
