"""Pulses on their way from the schedule to the link: held, united, sent in time, and what becomes of their objects.

Everything is on one axis, microseconds of the controller, not wrapped. Pure: who has a clock and a link asks what is
due and tells what came of it.

>>> desk = PulseDesk(DeskRules(send_ahead_us=5000, min_lead_us=1000, min_pause_us=100, max_pulse_us=9000))
>>> pulses = pulses_of([(0, 4, 1, 20_000, 500), (1, 4, 1, 20_200, 500), (2, 9, 1, 100, 500)])
>>> desk.add(TargetFrame(camera=0, number=3), pulses, now_us=0)
[End(frame=TargetFrame(camera=0, number=3), owner=2, end='late')]
>>> due = desk.take_due(now_us=15_000).pulses
>>> due.open_us.tolist(), due.pulse_us.tolist()
([20000], [700])
>>> desk.sent(range(50, 51))
>>> [(end.owner, end.end) for end in desk.on_outcome(EjectOutcome(50, OutcomeKind.ACKED))]
[(0, 'fired'), (1, 'merged')]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.decisions import Pulses, pulses_of
from edge_runtime.live.books import ObjectEnd
from edge_runtime.unite import in_time, unite
from firmware_bridge.link_events import EjectOutcome, OutcomeKind
from firmware_bridge.messages import EjectReason

__all__ = ["DeskRules", "Due", "End", "PulseDesk", "TargetFrame"]

_BY_REASON: Final[dict[EjectReason, ObjectEnd]] = {
    EjectReason.LATE_DROPPED: "late",
    EjectReason.NOT_ARMED: "unsorted",
    EjectReason.CANCELLED: "unsorted",
}


class TargetFrame(NamedTuple):
    """In whose books an object is."""

    camera: int
    number: int


class End(NamedTuple):
    """One object of a frame has met its end; `owner` is its place among those of the frame that were to be ejected."""

    frame: TargetFrame
    owner: int
    end: ObjectEnd


class Due(NamedTuple):
    """What to send now.

    Attributes:
        pulses: united.
        ends: of the objects that are not hit after all: `late`, or `refused` where the valve has been open for so long
            that it must close just then.
    """

    pulses: Pulses
    ends: list[End]


class DeskRules(msgspec.Struct, frozen=True):
    """Times, in microseconds.

    Attributes:
        send_ahead_us: a pulse is due so long before it opens.
        min_lead_us: with less time left an object is late: none of its pulses is sent.
        min_pause_us, max_pulse_us: see `unite`.
    """

    send_ahead_us: int
    min_lead_us: int
    min_pause_us: int
    max_pulse_us: int


@dataclass(slots=True)
class _Target:
    """An object to be hit."""

    frame: TargetFrame
    owner: int
    open_events: int = 0
    is_merged: bool = True
    failed: ObjectEnd | None = None


class PulseDesk:
    """Pulses and targets that have no end yet.

    Args:
        rules: times.
    """

    def __init__(self, rules: DeskRules) -> None:
        self._rules = rules
        self._waiting: list[tuple[int, int, int, int, _Target]] = []  # open_us, pulse_us, first valve, valves
        self._opens_us = 0  # the first of these, or before it
        self._given: list[list[_Target]] = []
        self._by_evid: dict[int, list[_Target]] = {}

    @property
    def has_waiting(self) -> bool:
        """Tell whether there are pulses that were not given out yet."""
        return bool(self._waiting)

    def add(self, frame: TargetFrame, pulses: Pulses, *, now_us: int) -> list[End]:
        """Take the pulses of a frame's objects; return the ends of those that are late.

        Args:
            frame: whose objects.
            pulses: on the controller's axis; an object has one or more.
            now_us: time on that axis.
        """
        is_in_time = in_time(pulses, now_us=now_us, lead_us=self._rules.min_lead_us)
        late = set(pulses.objects[~is_in_time].tolist())  # no part of an object is hit alone
        targets: dict[int, _Target] = {}
        columns = (pulses.objects, pulses.open_us, pulses.pulse_us, pulses.first_valves, pulses.valve_counts)
        for owner, open_us, pulse_us, first, count in zip(*(column.tolist() for column in columns), strict=True):
            if owner not in late:
                target = targets.setdefault(owner, _Target(frame, owner))
                self._opens_us = min(self._opens_us, open_us) if self._waiting else open_us
                self._waiting.append((open_us, pulse_us, first, count, target))
        return [End(frame, owner, "late") for owner in sorted(late)]

    def take_due(self, *, now_us: int) -> Due:
        """Return united pulses to be sent now; the next call must be `sent`, with their ids, or `refuse`.

        Note: what meets a due pulse on a valve is united with it even where it opens later.
        """
        if not self._waiting or self._opens_us > now_us + max(self._rules.send_ahead_us, self._rules.min_lead_us):
            return Due(pulses_of([]), [])  # the answer of nearly every look
        late = self._drop_late(now_us + self._rules.min_lead_us)
        due = self._due_rows(now_us + self._rules.send_ahead_us)
        if not due:
            return Due(pulses_of([]), late)
        targets = [row[4] for row in due]
        asked = pulses_of([(i, row[2], row[3], row[0], row[1]) for i, row in enumerate(due)])
        rules = self._rules
        united = unite(asked, min_pause_us=rules.min_pause_us, max_pulse_us=rules.max_pulse_us)
        for target, is_merged in zip(targets, united.is_merged.tolist(), strict=True):
            target.is_merged = target.is_merged and is_merged
        self._given = _carried(asked, united.pulses, targets)
        carried = {id(target) for targets in self._given for target in targets}
        cut = {
            id(target): End(target.frame, target.owner, "refused") for target in targets if id(target) not in carried
        }
        return Due(united.pulses, late + list(cut.values()))

    def sent(self, evids: Sequence[int]) -> None:
        """Learn the ids of the pulses that `take_due` returned, in their order."""
        for evid, targets in zip(evids, self._given, strict=True):
            self._by_evid[evid] = targets
            for target in targets:
                target.open_events += 1
        self._given = []

    def refuse(self, end: ObjectEnd) -> list[End]:
        """Give up what `take_due` returned, for it cannot be sent."""
        targets = {id(target): target for targets in self._given for target in targets}
        self._given = []
        return [End(target.frame, target.owner, end) for target in targets.values()]

    def drop_waiting(self, end: ObjectEnd) -> list[End]:
        """Give up what was not given out yet."""
        targets = {id(row[4]): row[4] for row in self._waiting}
        self._waiting = []
        return [End(target.frame, target.owner, end) for target in targets.values()]

    def on_outcome(self, outcome: EjectOutcome) -> list[End]:
        """Take what became of an event; return the objects that have met their end with it."""
        ended: list[End] = []
        for target in self._by_evid.pop(outcome.evid, []):
            target.open_events -= 1
            if not outcome.has_fired:
                target.failed = _failure(outcome)
            if target.open_events == 0:
                end = target.failed or ("merged" if target.is_merged else "fired")
                ended.append(End(target.frame, target.owner, end))
        return ended

    def _drop_late(self, from_us: int) -> list[End]:
        """Give up the objects that cannot be commanded any more, no part of one alone."""
        late = {id(row[4]): row[4] for row in self._waiting if row[0] < from_us}
        if late:
            self._waiting = [row for row in self._waiting if id(row[4]) not in late]
        return [End(target.frame, target.owner, "late") for target in late.values()]

    def _due_rows(self, until_us: int) -> list[tuple[int, int, int, int, _Target]]:
        """Return, and forget, the rows that open by `until_us`, those that meet them, and others of their objects."""
        self._waiting.sort(key=lambda row: row[:4])
        closes: dict[int, int] = {}  # valve -> when it closes for what is due
        due: set[int] = set()  # objects, all of whose pulses leave together
        reach_us = until_us  # what opens later meets nothing that is due
        for open_us, pulse_us, first, count, target in self._waiting:
            if open_us > reach_us:
                break
            valves = range(first, first + count)
            meets = any(open_us < closes[valve] + self._rules.min_pause_us for valve in valves if valve in closes)
            if open_us <= until_us or meets:
                due.add(id(target))
                closes |= {valve: max(closes.get(valve, open_us), open_us + pulse_us) for valve in valves}
                reach_us = max(reach_us, open_us + pulse_us + self._rules.min_pause_us)
        rows = [row for row in self._waiting if id(row[4]) in due]
        self._waiting = [row for row in self._waiting if id(row[4]) not in due]
        self._opens_us = self._waiting[0][0] if self._waiting else 0
        return rows


def _carried(asked: Pulses, sent: Pulses, targets: Sequence[_Target]) -> list[list[_Target]]:
    """Return for each pulse sent the objects that it is for, each once."""
    begins, ends = asked.open_us, asked.open_us + asked.pulse_us
    lasts = asked.first_valves + asked.valve_counts
    carried = []
    for first, count, open_us, pulse_us in zip(
        sent.first_valves.tolist(),
        sent.valve_counts.tolist(),
        sent.open_us.tolist(),
        sent.pulse_us.tolist(),
        strict=True,
    ):
        is_met: NDArray[np.bool_] = (
            (asked.first_valves < first + count) & (lasts > first) & (begins < open_us + pulse_us) & (ends > open_us)
        )
        met = {id(targets[row]): targets[row] for row in np.flatnonzero(is_met).tolist()}
        carried.append(list(met.values()))
    return carried


def _failure(outcome: EjectOutcome) -> ObjectEnd:
    if outcome.kind is OutcomeKind.LOST or outcome.reason is None:
        return "lost"
    return _BY_REASON.get(outcome.reason, "refused")
