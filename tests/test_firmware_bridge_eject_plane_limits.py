"""The host's side of the eject class at its exact limits: when batches leave, what fits, when an event is over."""

import pytest

from firmware_bridge.eject_plane import EjectPlane, EjectRules
from firmware_bridge.link_events import EjectEvent, EjectOutcome, OutcomeKind
from firmware_bridge.messages import (
    BatchFlag,
    EjectAck,
    EjectBatch,
    EjectCancel,
    EjectExc,
    EjectItem,
    EjectMask,
    EjectReason,
    EjectReport,
    MaskItem,
)

US, MS = 1000, 1_000_000
SETTLE = 350 * MS


class Plane(EjectPlane):
    """A plane of a host whose clock and the controller's tick are one, in microseconds."""

    def __init__(
        self, rules: EjectRules | None = None, *, next_evid: int = 0, slots: int = 1024, rx_window_b: int = 4096
    ) -> None:
        super().__init__(rules or EjectRules(), next_evid=next_evid, slots=slots, rx_window_b=rx_window_b)

    def want(self, *fire_us: int, now_ns: int = 0, mask: int = 0) -> range:
        events = [EjectEvent(us % 2**32, 3, 2, 900, valve_mask=mask) for us in fire_us]
        return self.add(events, fire_ns=[us * US for us in fire_us], now_ns=now_ns)

    def batches(self, now_ns: int) -> list[EjectBatch | EjectMask]:
        return [message for message in self.due(now_ns) if not isinstance(message, EjectCancel)]

    def sizes(self, now_ns: int) -> list[int]:
        return [len(batch.items) for batch in self.batches(now_ns)]

    def cancels(self, now_ns: int) -> list[EjectCancel]:
        return [message for message in self.due(now_ns) if isinstance(message, EjectCancel)]

    def send(self, now_ns: int, seq: int) -> None:
        for number, message in enumerate(self.due(now_ns)):
            self.on_sent(message, seq + number)

    def kinds(self, now_ns: int) -> list[tuple[int, OutcomeKind]]:
        return [(outcome.evid, outcome.kind) for outcome in self.take_outcomes(now_ns)]


def ack(base: int, received: int, *, free: int = 1024, seq: int = 999, tick: int = 0) -> EjectAck:
    return EjectAck(base % 2**32, received, free, seq, tick)


# ---- when a batch leaves ----


def test_the_rules_without_any_wish() -> None:
    rules = EjectRules()
    assert (rules.batch_events, rules.batch_age_us, rules.urgent_us) == (20, 2000, 12_000)
    assert (rules.min_lead_us, rules.settle_ms, rules.allow_late) == (1000, 350, True)


def test_a_full_batch_leaves_at_once() -> None:
    plane = Plane()
    plane.want(*[50_000] * 19)
    assert plane.sizes(0) == []
    plane.want(50_000)
    assert plane.sizes(0) == [20]
    assert plane.sizes(0) == []


def test_an_old_batch_leaves_when_its_oldest_event_has_waited_2_ms() -> None:
    plane = Plane()
    plane.want(50_000, now_ns=5 * MS)
    plane.want(50_000, now_ns=6 * MS)
    assert plane.sizes(7 * MS - 1) == []
    assert plane.sizes(7 * MS) == [2]


def test_an_urgent_batch_leaves_when_its_earliest_event_is_near() -> None:
    plane = Plane(EjectRules(batch_age_us=1_000_000))
    plane.want(50_000, 20_000, 40_000)
    assert plane.sizes(8 * MS) == []
    assert plane.sizes(8 * MS + 1) == [3]


def test_events_say_whether_they_may_be_late() -> None:
    for allow_late, flags in ((True, BatchFlag.ALLOW_LATE), (False, BatchFlag.NONE)):
        plane = Plane(EjectRules(allow_late=allow_late))
        plane.want(5000)
        assert plane.batches(0) == [EjectBatch(0, 5000, flags, (EjectItem(0, 3, 2, 900),))]
        assert plane.batches(3 * MS)[0].flags == flags | BatchFlag.REPEAT


def test_a_mask_travels_as_it_was_wanted() -> None:
    plane = Plane()
    plane.want(5000, 5007, mask=0b101)
    rows = (MaskItem(0, 3, 0b101, 900), MaskItem(7, 3, 0b101, 900))
    assert plane.batches(0) == [EjectMask(0, 5000, BatchFlag.ALLOW_LATE, rows)]


# ---- what fits one batch ----


@pytest.mark.parametrize(("span", "sizes"), [(65_535, [3]), (65_536, [2, 1])])
def test_times_of_one_batch_are_65535_ticks_apart_at_most(span: int, sizes: list[int]) -> None:
    for start in (1000, 2**32 - 200):
        for offsets in ((100, 0, span), (span - 100, span, 0)):
            plane = Plane()
            events = [EjectEvent((start + offset) % 2**32, 3, 1, 900) for offset in offsets]
            plane.add(events, fire_ns=[5 * MS] * 3, now_ns=0)
            batches = plane.batches(0)
            assert sizes == [len(batch.items) for batch in batches]
            found = [(batch.base_tick + item.dt_ticks) % 2**32 for batch in batches for item in batch.items]
            assert found == [(start + offset) % 2**32 for offset in offsets]


def test_the_longest_batch_of_masks_is_23() -> None:
    plane = Plane(EjectRules(batch_events=39))
    plane.want(*[5000] * 50, mask=1)
    assert plane.sizes(0) == [23, 23, 4]
    plane = Plane(EjectRules(batch_events=39))
    plane.want(*[5000] * 50)
    assert plane.sizes(0) == [39, 11]


def test_masks_and_adjacent_valves_do_not_mix() -> None:
    plane = Plane()
    for mask in (0, 0, 1, 0):
        plane.want(5000, mask=mask)
    assert [(type(batch), len(batch.items)) for batch in plane.batches(0)] == [
        (EjectBatch, 2),
        (EjectMask, 1),
        (EjectBatch, 1),
    ]


@pytest.mark.parametrize(("rx_window_b", "mask", "sizes"), [(80, 0, [10]), (79, 0, [9]), (120, 1, [10]), (119, 1, [9])])
def test_a_batch_fits_the_buffer_of_the_controller(rx_window_b: int, mask: int, sizes: list[int]) -> None:
    plane = Plane(rx_window_b=rx_window_b)
    plane.want(*[5000] * 12, mask=mask)
    assert sizes == plane.sizes(0)


@pytest.mark.parametrize("left_b", [30, 35])
@pytest.mark.parametrize(("mask", "first_b"), [(0, 20 + 6 * 20), (1, 20 + 10 * 20)])
def test_what_was_sent_just_now_fills_the_buffer_until_it_is_repeated(mask: int, first_b: int, left_b: int) -> None:
    plane = Plane(EjectRules(batch_age_us=0), rx_window_b=first_b + 20 + left_b)
    plane.want(*[5000] * 20, mask=mask)
    assert plane.sizes(0) == [20]
    plane.want(*[50_000] * 20)
    assert plane.sizes(0) == [5]
    assert plane.sizes(1) == []
    assert plane.sizes(3 * MS - 1) == []
    assert plane.sizes(3 * MS)[:2] == [20, 5]  # both are repeated, and then nothing else fits


def test_after_3_ms_without_an_answer_the_buffer_counts_as_read() -> None:
    plane = Plane(EjectRules(batch_age_us=0), rx_window_b=140)
    plane.want(*[5000] * 20)
    assert plane.sizes(0) == [20]
    plane.on_ack(ack(0, 2**20 - 1), MS)
    plane.want(*[50_000] * 5)
    assert plane.sizes(MS) == [5]


def test_no_more_events_fly_than_there_are_places() -> None:
    plane = Plane(slots=7)
    plane.want(*[5000] * 10)
    assert plane.sizes(0) == [7]
    plane.on_ack(ack(0, 0b11, free=8, tick=1), MS)
    assert plane.sizes(MS) == [3]


# ---- repeats ----


def test_a_batch_is_repeated_every_3_ms_as_long_as_nothing_is_known_of_the_line() -> None:
    plane = Plane()
    plane.want(*[15_000] * 20)
    sent_us = [us for us in range(0, 16_000, 100) if plane.sizes(us * US)]
    assert sent_us == [0, 3000, 6000, 9000, 12_000]
    assert plane.repeats == 4


def test_near_its_deadline_a_batch_is_repeated_after_half_the_time_left_or_what_answers_usually_take() -> None:
    for deadline_ms, wait in ((100, 12 * MS), (24, 8 * MS), (16, 6 * MS), (8, 6 * MS)):
        plane = Plane(EjectRules(batch_age_us=0))
        plane.want(500_000)
        plane.send(0, 40)
        plane.on_ack(ack(0, 1, seq=40), 4 * MS)  # round trip 4 ms, variation 2 ms
        plane.want(50_000 + 1000 * (deadline_ms + 1))
        assert plane.sizes(50 * MS) == [1]
        assert plane.sizes(50 * MS + wait - 1) == []
        assert plane.sizes(50 * MS + wait) == [1]


def test_a_slow_line_is_given_its_time_up_to_20_ms() -> None:
    for round_trip, wait in ((2 * MS, 6 * MS), (4 * MS, 12 * MS), (10 * MS, 20 * MS)):
        plane = Plane(EjectRules(batch_age_us=0))
        plane.want(100_000)
        plane.send(0, 40)
        plane.on_ack(ack(0, 1, seq=40), round_trip)
        assert plane.rtt.srtt_ns == round_trip
        plane.want(100_000)
        assert plane.sizes(20 * MS) == [1]
        assert plane.sizes(20 * MS + wait - 1) == []
        assert plane.sizes(20 * MS + wait) == [1]


def test_the_round_trip_is_that_of_the_frame_that_the_answer_names() -> None:
    plane = Plane()
    plane.want(50_000, 50_000)
    for step, seq in enumerate((40, 41, 42)):
        plane.send((2 + 3 * step) * MS, seq)
    plane.on_ack(ack(0, 0b01, seq=77), 9 * MS)
    assert plane.rtt.samples == 0
    plane.on_ack(ack(0, 0b01, seq=41), 9 * MS)  # nothing new: says nothing
    assert plane.rtt.samples == 0
    plane.on_ack(ack(0, 0b11, seq=41), 9 * MS)
    assert (plane.rtt.samples, plane.rtt.srtt_ns) == (1, 4 * MS)


def test_frames_are_told_apart_by_their_batch() -> None:
    plane = Plane()
    plane.want(*[50_000] * 40)
    plane.send(0, 40)
    plane.on_ack(ack(20, 2**20 - 1, seq=40), 2 * MS)
    assert plane.rtt.samples == 0
    plane.on_ack(ack(0, 2**20 - 1, seq=40), 2 * MS)
    assert plane.rtt.samples == 1


# ---- credit ----


@pytest.mark.parametrize(
    ("first", "second", "is_newer"),
    [(0, 1, True), (5, 5, True), (5, 4, False), (2**32 - 1, 0, True), (0, 2**31 - 1, True), (0, 2**31, False)],
)
def test_the_newer_count_of_free_places_counts(first: int, second: int, is_newer: bool) -> None:
    plane = Plane(slots=0)
    plane.want(*[5000] * 20)
    plane.on_free(0, first)
    plane.on_free(3, second)
    assert plane.sizes(0) == ([3] if is_newer else [])


def test_the_first_count_is_always_newer() -> None:
    for tick in (0, 2**31 + 5, 2**32 - 1):
        plane = Plane(slots=0)
        plane.want(5000)
        plane.on_free(1, tick)
        assert plane.sizes(0) == [1]


# ---- acknowledged, reported, lost ----


def test_an_acknowledgement_is_about_64_ids() -> None:
    plane = Plane(EjectRules(batch_events=39))
    plane.want(*[50_000] * 78)
    assert plane.sizes(0) == [39, 39]
    plane.on_ack(ack(10, 2**64 - 1), MS)
    acked = [evid for evid, kind in plane.kinds(500 * MS) if kind is OutcomeKind.ACKED]
    assert acked == list(range(10, 74))
    assert plane.open_events == 14


def test_only_the_ids_whose_bit_is_set_have_arrived() -> None:
    plane = Plane()
    plane.want(*[50_000] * 20)
    plane.due(0)
    plane.on_ack(ack(0, 0b1010), MS)
    assert plane.kinds(500 * MS) == [(1, OutcomeKind.ACKED), (3, OutcomeKind.ACKED)]


def test_ids_wrap() -> None:
    plane = Plane(next_evid=2**32 - 1)
    assert plane.want(5000, 5000, 5000) == range(2**32 - 1, 2**32 + 2)
    assert plane.batches(0)[0].base_evid == 2**32 - 1
    plane.on_ack(ack(0, 0b01), MS)
    plane.on_exceptions(EjectExc((EjectReport(1, EjectReason.MERGED, -3),)))
    plane.cancel(range(2**32 - 1, 2**32), MS)
    assert plane.cancels(MS) == [EjectCancel(2**32 - 1, 0)]
    assert plane.take_outcomes(2 * SETTLE) == [
        EjectOutcome(2**32 + 1, OutcomeKind.REPORTED, EjectReason.MERGED, -30),
        EjectOutcome(2**32, OutcomeKind.ACKED),
    ]


@pytest.mark.parametrize(("acked_ms", "final_ms"), [(1, 355), (9, 359)])
def test_acknowledged_is_final_350_ms_after_the_later_of_its_time_and_the_acknowledgement(
    acked_ms: int, final_ms: int
) -> None:
    plane = Plane()
    plane.want(5000)
    plane.due(0)
    plane.on_ack(ack(0, 1), acked_ms * MS)
    assert plane.kinds(final_ms * MS - 1) == []
    assert plane.open_events == 1
    assert plane.kinds(final_ms * MS) == [(0, OutcomeKind.ACKED)]
    assert plane.open_events == 0


def test_events_become_final_in_the_order_of_their_times() -> None:
    plane = Plane()
    plane.want(9000, 5000, 7000)
    plane.due(0)
    plane.on_ack(ack(0, 0b111), MS)
    assert plane.kinds(357 * MS) == [(1, OutcomeKind.ACKED), (2, OutcomeKind.ACKED)]
    assert plane.kinds(999 * MS) == [(0, OutcomeKind.ACKED)]


def test_an_event_is_sent_until_1_ms_before_its_time() -> None:
    plane = Plane()
    plane.want(5000, 9000)
    assert plane.sizes(4 * MS) == [2]
    plane = Plane()
    plane.want(5000, 9000)
    assert plane.sizes(4 * MS + 1) == [1]
    assert plane.kinds(4 * MS + 1) == [(0, OutcomeKind.LOST)]
    assert plane.open_events == 1
    plane = Plane()
    plane.want(5000, 6000)
    assert plane.sizes(5 * MS) == [1]
    assert plane.kinds(5 * MS) == [(0, OutcomeKind.LOST)]


def test_a_batch_is_repeated_until_1_ms_before_its_latest_event() -> None:
    plane = Plane()
    plane.want(5000, 9000)
    assert plane.sizes(MS) == [2]
    assert plane.sizes(8 * MS) == [2]
    assert plane.kinds(8 * MS) == []
    assert plane.sizes(8 * MS + 1) == []
    assert plane.kinds(8 * MS + 1) == [(0, OutcomeKind.LOST), (1, OutcomeKind.LOST)]
    assert plane.open_events == 0


def test_a_batch_that_has_arrived_is_not_repeated() -> None:
    plane = Plane()
    plane.want(50_000, 50_000)
    assert plane.sizes(2 * MS) == [2]
    plane.on_ack(ack(0, 0b01), 3 * MS)
    assert plane.sizes(8 * MS) == [2]
    plane.on_exceptions(EjectExc((EjectReport(1, EjectReason.NOT_ARMED),)))
    assert plane.sizes(20 * MS) == []


def test_reports_about_events_that_are_over_are_counted_only() -> None:
    plane = Plane()
    plane.want(5000)
    plane.due(0)
    plane.on_exceptions(EjectExc((EjectReport(0, EjectReason.LATE_FIRED, 12), EjectReport(0, EjectReason.MERGED))))
    plane.on_exceptions(EjectExc((EjectReport(7, EjectReason.MERGED),)))
    assert plane.take_outcomes(MS) == [EjectOutcome(0, OutcomeKind.REPORTED, EjectReason.LATE_FIRED, 120)]
    assert plane.late_reports == 2
    assert plane.take_outcomes(10**12) == []


def test_the_end_of_a_session_ends_every_event() -> None:
    plane = Plane(slots=3)
    plane.want(5000, 5001, 5002, 50_000)
    plane.due(0)
    plane.on_ack(ack(0, 0b011, free=0, tick=9), MS)
    plane.cancel(range(2, 3), MS)
    assert plane.open_events == 4
    plane.abandon(5000 * US)
    assert sorted(plane.kinds(5000 * US)) == [
        (0, OutcomeKind.ACKED),
        (1, OutcomeKind.LOST),
        (2, OutcomeKind.LOST),
        (3, OutcomeKind.LOST),
    ]
    assert (plane.open_events, plane.due(5000 * US), plane.take_outcomes(10**12)) == (0, [], [])


def test_at_the_end_of_a_session_what_was_acknowledged_has_fired_if_its_time_was_up_to_the_nanosecond() -> None:
    plane = Plane()
    plane.add([EjectEvent(5000, valve, 1, 900) for valve in range(2)], fire_ns=[5 * MS, 5 * MS + 1], now_ns=0)
    plane.due(0)
    plane.on_ack(ack(0, 0b11), MS)
    plane.abandon(5 * MS)
    assert sorted(plane.kinds(5 * MS)) == [(0, OutcomeKind.ACKED), (1, OutcomeKind.LOST)]


def test_each_event_needs_its_time() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Plane().add([EjectEvent(5000, 3, 1, 900)], fire_ns=[], now_ns=0)


# ---- taking back ----


def test_a_cancel_names_the_ids_that_may_still_fire() -> None:
    plane = Plane()
    plane.want(*[20_000] * 20)
    plane.due(0)
    plane.on_ack(ack(0, 0b111), MS)
    plane.want(30_000)
    plane.cancel(range(2, 30), 2 * MS)
    assert plane.kinds(2 * MS) == [(20, OutcomeKind.REPORTED)]
    assert plane.cancels(2 * MS) == [EjectCancel(2, 20)]
    assert plane.open_events == 20


def test_nothing_to_take_back_sends_nothing() -> None:
    plane = Plane()
    plane.want(20_000)
    plane.cancel(range(5, 9), 0)
    assert plane.cancels(0) == []
    assert plane.sizes(9 * MS) == [1]
    plane.cancel(range(5, 9), 10 * MS)
    assert plane.cancels(10 * MS) == []


def test_a_cancel_of_many_events_goes_in_pieces_of_1024() -> None:
    plane = Plane(EjectRules(batch_events=39), slots=3000, rx_window_b=50_000)
    plane.want(*[50_000] * 2100)
    plane.due(0)
    plane.due(2 * MS)
    plane.cancel(range(2100), 2 * MS)
    assert plane.cancels(2 * MS) == [EjectCancel(0, 1024), EjectCancel(1024, 2048), EjectCancel(2048, 2100)]


def test_a_cancel_is_repeated_until_its_last_event_has_fired() -> None:
    plane = Plane()
    plane.want(*[8000] * 10, *[10_000] * 10)
    plane.due(0)
    plane.on_ack(ack(0, 2**20 - 1), MS)
    plane.cancel(range(20), 2 * MS)
    sent_us = [us for us in range(2000, 13_000, 500) if plane.cancels(us * US)]
    assert sent_us == [2000, 5000, 8000]
    plane.cancel(range(20), 10 * MS)
    assert len(plane.cancels(10 * MS)) == 1
    plane.cancel(range(20), 10 * MS)
    assert plane.cancels(10 * MS + 1) == []


def test_an_acknowledged_cancel_is_not_repeated_and_others_are() -> None:
    plane = Plane()
    plane.want(*[20_000] * 20)
    plane.due(0)
    plane.on_ack(ack(0, 2**20 - 1), MS)
    plane.cancel(range(3), 2 * MS)
    plane.cancel(range(9, 12), 2 * MS)
    plane.send(2 * MS, 50)
    plane.on_ack(ack(0, 2**20 - 1, seq=51), 3 * MS)
    assert plane.cancels(9 * MS) == [EjectCancel(0, 3)]
