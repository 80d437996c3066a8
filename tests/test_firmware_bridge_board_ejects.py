"""The accept path of the controller: each event judged once, in the order of the rules, at their exact limits."""

import pytest

from firmware_bridge.board_ejects import EjectDesk, Limits
from firmware_bridge.late_rate import LateVerdict
from firmware_bridge.messages import BatchFlag, EjectBatch, EjectItem, EjectMask, EjectReason, EjectReport, MaskItem
from firmware_bridge.pulse_recorder import FiredPulse, PulseRecorder

NOW = 5_000_000
TOL, HORIZON = 150, 1_000_000
ROOM = 2048  # reports and the events that may still need one
LATE, ENCODER = BatchFlag.ALLOW_LATE, BatchFlag.ENCODER


class Desk(EjectDesk):
    """A desk of eight valves and the recorder that watches it."""

    def __init__(self, slots: int = 4) -> None:
        self.recorder = PulseRecorder()
        super().__init__(n_valves=8, slots=slots, recorder=self.recorder)
        self.next_evid = 0

    def wish(
        self,
        tick: int,
        *,
        valve: int = 3,
        count: int = 1,
        pulse: int = 900,
        flags: BatchFlag = LATE,
        armed: bool = True,
    ) -> None:
        """Take one event with the next id at NOW."""
        self.batch(EjectBatch(self.next_evid, tick % 2**32, flags, (EjectItem(0, valve, count, pulse),)), armed=armed)
        self.next_evid += 1

    def batch(self, batch: EjectBatch | EjectMask, *, now: int = NOW, armed: bool = True) -> None:
        self.take_batch(batch, now=now, limits=Limits(TOL, HORIZON), is_firing=armed)

    def reasons(self) -> list[tuple[int, EjectReason]]:
        return [(report.evid, report.reason) for report in self.take_reports(ROOM)]


def one(evid: int, tick: int = NOW + 1000) -> EjectBatch:
    return EjectBatch(evid % 2**32, tick, LATE, (EjectItem(0, 3, 1, 900),))


# ---- judging ----


@pytest.mark.parametrize(
    ("armed", "flags", "valve", "tick", "reason"),
    [
        (False, ENCODER, 8, NOW - 500, EjectReason.NOT_ARMED),
        (True, ENCODER, 8, NOW - 500, EjectReason.UNSUPPORTED),
        (True, LATE, 8, NOW - 500, EjectReason.BAD_VALVE),
        (True, LATE, 8, NOW + HORIZON + 500, EjectReason.BAD_VALVE),
        (True, LATE, 3, NOW - 500, EjectReason.LATE_DROPPED),
        (True, LATE, 3, NOW + HORIZON + 500, EjectReason.TOO_FAR),
        (True, LATE, 3, NOW + 500, EjectReason.QUEUE_FULL),
    ],
)
def test_the_first_rule_that_applies_decides(
    armed: bool, flags: BatchFlag, valve: int, tick: int, reason: EjectReason
) -> None:
    desk = Desk(slots=0)
    desk.wish(tick, valve=valve, flags=flags, armed=armed)
    assert desk.reasons() == [(0, reason)]
    assert desk.bank.pending == 0


@pytest.mark.parametrize(
    ("late_by", "flags", "reasons"),
    [
        (-1, BatchFlag.NONE, []),
        (0, BatchFlag.NONE, []),
        (1, BatchFlag.NONE, [EjectReason.LATE_DROPPED]),
        (0, LATE, []),
        (1, LATE, [EjectReason.LATE_FIRED]),
        (TOL, LATE, [EjectReason.LATE_FIRED]),
        (TOL + 1, LATE, [EjectReason.LATE_DROPPED]),
        (-HORIZON, LATE, []),
        (-HORIZON - 1, LATE, [EjectReason.TOO_FAR]),
        (TOL, LATE | BatchFlag.REPEAT, [EjectReason.LATE_FIRED]),
        (1, BatchFlag.REPEAT, [EjectReason.LATE_DROPPED]),
    ],
)
def test_times_have_exact_limits(late_by: int, flags: BatchFlag, reasons: list[EjectReason]) -> None:
    desk = Desk()
    desk.wish(NOW - late_by, flags=flags)
    desk.run_until(NOW + 2 * HORIZON)
    assert [(0, reason) for reason in reasons] == desk.reasons()
    opened = [pulse.open_tick for pulse in desk.recorder.take()]
    assert opened == ([] if reasons and not reasons[0].has_fired else [max(NOW - late_by, NOW)])


@pytest.mark.parametrize(
    ("valve", "count", "is_good"),
    [(7, 1, True), (0, 8, True), (4, 4, True), (8, 1, False), (5, 4, False), (0, 9, False)],
)
def test_the_last_valve_is_exact(valve: int, count: int, is_good: bool) -> None:
    desk = Desk()
    desk.wish(NOW + 1000, valve=valve, count=count)
    assert desk.reasons() == ([] if is_good else [(0, EjectReason.BAD_VALVE)])
    desk.run_until(NOW + 5000)
    expected = [FiredPulse(0, valve, count, NOW + 1000, NOW + 1900)]
    assert desk.recorder.take() == (expected if is_good else [])


def test_a_mask_is_judged_by_its_highest_valve() -> None:
    desk = Desk()
    desk.batch(EjectMask(0, NOW, LATE, (MaskItem(500, 5, 0b101, 900), MaskItem(600, 5, 0b1000, 900))))
    desk.run_until(NOW + 5000)
    assert desk.reasons() == [(1, EjectReason.BAD_VALVE)]
    fired = [(pulse.evid, pulse.first_valve, pulse.valve_count) for pulse in desk.recorder.take()]
    assert sorted(fired) == [(0, 5, 1), (0, 7, 1)]


def test_a_queue_takes_as_many_events_as_it_has_places() -> None:
    desk = Desk(slots=3)
    room = [desk.free_slots]
    for number in range(4):
        desk.wish(NOW + 1000 + number, valve=number)
        room.append(desk.free_slots)
    assert room == [3, 2, 1, 0, 0]
    assert desk.reasons() == [(3, EjectReason.QUEUE_FULL)]
    assert desk.has_overrun
    desk.run_until(NOW + 1000)
    assert desk.free_slots == 1


def test_only_a_full_queue_is_an_overrun() -> None:
    desk = Desk()
    assert not desk.has_overrun
    desk.wish(NOW + 1000, valve=8)
    desk.wish(NOW + 1000)
    assert not desk.has_overrun
    assert desk.reasons() == [(0, EjectReason.BAD_VALVE)]


@pytest.mark.parametrize(("pulse", "reasons"), [(20_000, []), (20_001, [EjectReason.PULSE_CLAMPED])])
def test_a_pulse_is_clamped_at_its_exact_limit(pulse: int, reasons: list[EjectReason]) -> None:
    desk = Desk()
    desk.wish(NOW + 1000, pulse=pulse)
    desk.run_until(NOW + 30_000)
    assert [(0, reason) for reason in reasons] == desk.reasons()
    assert desk.recorder.take() == [FiredPulse(0, 3, 1, NOW + 1000, NOW + 21_000)]


def test_late_is_the_report_of_an_event_that_is_late_and_too_long() -> None:
    desk = Desk()
    desk.wish(NOW - 100, pulse=30_000)
    desk.run_until(NOW + 30_000)
    assert desk.take_reports(9) == [EjectReport(0, EjectReason.LATE_FIRED, 10)]
    assert desk.recorder.take() == [FiredPulse(0, 3, 1, NOW, NOW + 20_000)]


# ---- what reports say ----


@pytest.mark.parametrize(
    ("late_by", "steps"),
    [
        (9, 0),
        (10, 1),
        (19, 1),
        (-1, -1),
        (-10, -1),
        (-11, -2),
        (327_679, 32_767),
        (327_680, 32_767),
        (900_000, 32_767),
        (-327_680, -32_768),
        (-327_681, -32_768),
        (-327_670, -32_767),
    ],
)
def test_lateness_is_in_steps_of_10_us_towards_the_earlier_one_and_saturates(late_by: int, steps: int) -> None:
    desk = Desk()
    desk.wish(NOW - late_by, armed=False)
    desk.wish(NOW - late_by, valve=99)
    assert desk.take_reports(9) == [
        EjectReport(0, EjectReason.NOT_ARMED, steps),
        EjectReport(1, EjectReason.BAD_VALVE, steps),
    ]


def test_reports_at_firing_time_tell_the_lateness_at_arrival_where_it_was_the_reason() -> None:
    desk = Desk()
    desk.wish(NOW - 55)
    desk.wish(NOW + 500)  # meets it
    desk.wish(NOW + 40_000, pulse=60_000)
    desk.run_until(NOW + 90_000)
    assert desk.take_reports(9) == [
        EjectReport(0, EjectReason.LATE_FIRED, 5),
        EjectReport(1, EjectReason.MERGED, 0),
        EjectReport(2, EjectReason.PULSE_CLAMPED, -4000),
    ]


def test_reports_are_taken_oldest_first_and_once() -> None:
    desk = Desk()
    for _ in range(3):
        desk.wish(NOW, valve=8)
    assert [report.evid for report in desk.take_reports(2)] == [0, 1]
    assert [report.evid for report in desk.take_reports(2)] == [2]
    assert desk.take_reports(2) == []


# ---- once ----


def test_a_new_desk_has_seen_nothing() -> None:
    desk = Desk()
    assert (desk.late, desk.duplicates, desk.queue_high, desk.has_overrun) == (0, 0, 0, False)
    assert desk.received_from(0) == 0
    assert desk.late_rate.judge(999_999) is LateVerdict.UNDECIDED
    assert desk.late_rate.judge(1_000_000) is LateVerdict.GOOD


def test_an_event_that_comes_again_is_counted_and_not_judged_again() -> None:
    desk = Desk()
    batch = EjectBatch(0, NOW, LATE, (EjectItem(1000, 3, 1, 900), EjectItem(1000, 9, 1, 900)))
    desk.batch(batch)
    desk.batch(batch, now=NOW + 100)
    desk.batch(batch, armed=False)
    assert desk.reasons() == [(1, EjectReason.BAD_VALVE)]
    assert (desk.duplicates, desk.bank.pending, desk.received_from(0)) == (4, 1, 0b11)


def test_behind_an_event_that_came_before_the_new_ones_are_taken() -> None:
    desk = Desk()
    desk.batch(one(1))
    desk.batch(EjectBatch(0, NOW + 1000, LATE, tuple(EjectItem(0, valve, 1, 900) for valve in (0, 1, 2))))
    assert (desk.duplicates, desk.bank.pending, desk.received_from(0)) == (1, 3, 0b111)


def test_ids_and_ticks_wrap() -> None:
    desk = Desk()
    now = 2**32 - 500
    items = (EjectItem(0, 0, 1, 900), EjectItem(200, 1, 1, 900), EjectItem(600, 2, 1, 900), EjectItem(0, 9, 1, 900))
    desk.batch(one(2**32 - 2), now=now, armed=False)
    desk.batch(EjectBatch(2**32 - 1, 2**32 - 400, LATE, items), now=now)
    assert desk.reasons() == [(2**32 - 2, EjectReason.NOT_ARMED), (2, EjectReason.BAD_VALVE)]
    assert desk.received_from(2**32 - 2) == 0b11111
    desk.run_until(2**33)
    fired = [(pulse.evid, pulse.open_tick) for pulse in desk.recorder.take()]
    assert fired == [(-1, 2**32 - 400), (0, 2**32 - 200), (1, 2**32 + 200)]


def test_reports_of_fired_events_carry_the_id_as_it_travels() -> None:
    desk = Desk()
    desk.batch(EjectBatch(2**32 - 1, NOW + 1000, LATE, (EjectItem(0, 0, 1, 900), EjectItem(100, 0, 1, 900))))
    desk.batch(EjectBatch(2**32 - 3, NOW - 50, LATE, (EjectItem(0, 5, 1, 900),)))
    desk.run_until(NOW + 9000)
    assert desk.reasons() == [(2**32 - 3, EjectReason.LATE_FIRED), (0, EjectReason.MERGED)]


def test_an_event_in_time_to_the_tick_does_not_count_as_late() -> None:
    desk = Desk(slots=100)
    for number in range(100):
        desk.wish(NOW - (number < 20))
    desk.wish(NOW - 500, armed=False)
    assert desk.late == 20
    assert desk.late_rate.judge(1_000_000) is LateVerdict.POOR  # 20 of 100, not more


def test_the_highest_queue_is_remembered() -> None:
    desk = Desk(slots=9)
    items = tuple(EjectItem(0, valve, 1, 900) for valve in range(5))
    desk.batch(EjectBatch(0, NOW + 1000, LATE, items))
    desk.run_until(NOW + 5000)
    desk.batch(one(5, NOW + 9000), now=NOW + 6000)
    assert (desk.queue_high, desk.bank.pending) == (5, 1)


# ---- room for reports ----


def refuse(desk: Desk, count: int) -> None:
    for _ in range(count):
        desk.wish(NOW, valve=8)


def test_an_event_is_taken_only_where_its_report_has_room() -> None:
    desk = Desk(slots=2)
    desk.wish(NOW + 1000)
    refuse(desk, ROOM - 2)
    desk.wish(NOW + 2000)
    assert desk.bank.pending == 2
    desk.wish(NOW + 3000)
    assert desk.received_from(ROOM - 1) == 0b1
    assert desk.duplicates == 0
    desk.take_reports(1)
    desk.batch(one(ROOM, NOW + 3000))
    assert desk.received_from(ROOM - 1) == 0b11


def test_a_batch_is_taken_as_far_as_there_is_room() -> None:
    desk = Desk()
    refuse(desk, ROOM - 1)
    desk.batch(EjectBatch(ROOM - 1, NOW + 1000, LATE, (EjectItem(0, 3, 1, 900),) * 3))
    assert desk.received_from(ROOM - 1) == 0b1
    assert desk.queue_high == 1


# ---- cancel, stop, session ----


def test_a_cancel_takes_what_waits_and_forbids_what_has_not_come() -> None:
    desk = Desk(slots=9)
    for number in range(4):
        desk.wish(NOW + 1000 + number, valve=number)
    desk.cancel(1, 6)
    assert desk.take_reports(9) == [EjectReport(evid, EjectReason.CANCELLED, 0) for evid in (1, 2, 3, 4, 5)]
    for evid in (4, 5, 6):
        desk.batch(one(evid))
    assert (desk.duplicates, desk.received_from(0)) == (2, 0b111_1111)
    desk.run_until(NOW + 9000)
    assert [pulse.evid for pulse in desk.recorder.take()] == [0, 6]


def test_a_cancel_says_nothing_about_what_is_over() -> None:
    desk = Desk()
    desk.wish(NOW + 1000)
    desk.wish(NOW + 1000, valve=8)
    desk.run_until(NOW + 5000)
    desk.cancel(0, 2)
    assert desk.reasons() == [(1, EjectReason.BAD_VALVE)]


def test_a_cancel_wraps_with_the_ids() -> None:
    desk = Desk()
    desk.batch(one(2**32 - 1))
    desk.cancel(2**32 - 1, 1)
    assert desk.reasons() == [(2**32 - 1, EjectReason.CANCELLED), (0, EjectReason.CANCELLED)]
    assert desk.bank.pending == 0


def test_without_room_a_cancel_still_takes_what_waits() -> None:
    """Its report has had its room since it was taken; what has not come yet may be cancelled again later."""
    desk = Desk()
    desk.wish(NOW + 1000)
    refuse(desk, ROOM - 1)
    desk.cancel(0, 1)
    assert desk.bank.pending == 0
    desk.cancel(ROOM, ROOM + 1)
    assert desk.received_from(ROOM - 1) == 0b1
    assert [reason for _, reason in desk.reasons()] == [EjectReason.BAD_VALVE] * (ROOM - 1) + [EjectReason.CANCELLED]


def test_a_stop_fires_what_is_due_closes_it_and_cancels_the_rest() -> None:
    desk = Desk()
    desk.wish(NOW + 1000)
    desk.wish(NOW + 1500, valve=5)
    desk.wish(NOW + 1501, valve=6)
    desk.stop(NOW + 1500)
    assert desk.recorder.take() == [FiredPulse(0, 3, 1, NOW + 1000, NOW + 1500)]
    assert desk.take_reports(9) == [EjectReport(2, EjectReason.CANCELLED, 0)]
    assert desk.bank.fired_count == 2
    assert desk.bank.is_quiet


def test_a_new_session_forgets_without_a_report_what_only_the_old_host_knew() -> None:
    desk = Desk(slots=3)
    for number in range(40):
        desk.wish(NOW + 1000 - 2000 * (number > 3))
    assert desk.has_overrun
    assert desk.start_session(NOW) == 3
    assert (desk.reasons(), desk.has_overrun, desk.bank.pending) == ([], False, 0)
    assert desk.late_rate.judge(NOW + 999_999) is LateVerdict.UNDECIDED
    assert desk.late_rate.judge(NOW + 1_000_000) is LateVerdict.GOOD
    assert desk.received_from(0) == 2**40 - 1


def test_a_desk_makes_its_own_recorder_where_nobody_looks() -> None:
    desk = EjectDesk(n_valves=8, slots=4)
    desk.take_batch(one(0), now=NOW, limits=Limits(TOL, HORIZON), is_firing=True)
    desk.run_until(NOW + 5000)
    assert desk.bank.fired_count == 1
