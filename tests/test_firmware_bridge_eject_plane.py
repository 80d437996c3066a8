"""Batches, repeats, credit and outcomes of the host, spoken to in messages."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.board_choice import open_board
from firmware_bridge.clock import ManualClock
from firmware_bridge.eject_plane import EjectPlane, EjectRules
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import EjectEvent, EjectOutcome, OutcomeKind
from firmware_bridge.messages import (
    BatchFlag,
    EjectAck,
    EjectBatch,
    EjectCancel,
    EjectExc,
    EjectMask,
    EjectReason,
    EjectReport,
)
from firmware_bridge.transport_board import BoardTransport

MS = 1_000_000


def plane_with(count: int, *, slots: int = 1024, ahead_ms: int = 20, rules: EjectRules | None = None) -> EjectPlane:
    plane = EjectPlane(rules or EjectRules(), next_evid=0, slots=slots, rx_window_b=4096)
    add(plane, count, ahead_ms=ahead_ms)
    return plane


def add(plane: EjectPlane, count: int, *, now_ms: int = 0, ahead_ms: int = 20) -> range:
    events = [EjectEvent((now_ms + ahead_ms) * 1000 + number, number % 100, 1, 900) for number in range(count)]
    fire_ns = [event.fire_tick * 1000 for event in events]
    return plane.add(events, fire_ns=fire_ns, now_ns=now_ms * MS)


def ack(base: int, count: int, *, free: int = 1024, seq: int = 0, tick: int = 0) -> EjectAck:
    return EjectAck(base, (1 << count) - 1, free, seq, tick)


def due(plane: EjectPlane, now_ns: int) -> list[EjectBatch]:
    return [message for message in plane.due(now_ns) if isinstance(message, EjectBatch)]


def sizes(batches: Sequence[EjectBatch | EjectMask | EjectCancel]) -> list[int]:
    return [len(batch.items) for batch in batches if not isinstance(batch, EjectCancel)]


def test_a_batch_leaves_when_full_or_old_or_urgent() -> None:
    assert sizes(plane_with(45).due(0)) == [20, 20]
    waiting = plane_with(3)
    assert due(waiting, MS) == []
    assert sizes(due(waiting, 2 * MS)) == [3]
    assert sizes(plane_with(3, ahead_ms=11).due(0)) == [3]


def test_events_too_far_apart_for_one_batch_go_in_two() -> None:
    plane = EjectPlane(EjectRules(), next_evid=0, slots=9, rx_window_b=4096)
    events = [EjectEvent(tick, 0, 1, 900) for tick in (2**32 - 100, 50, 65_600)]
    plane.add(events, fire_ns=[20 * MS] * 3, now_ns=0)
    batches = due(plane, 5 * MS)
    assert sizes(batches) == [2, 1]
    assert (batches[0].base_tick, [item.dt_ticks for item in batches[0].items]) == (2**32 - 100, [0, 150])


def test_the_base_is_the_earliest_event_whatever_the_order() -> None:
    plane = EjectPlane(EjectRules(), next_evid=7, slots=9, rx_window_b=4096)
    plane.add([EjectEvent(tick, 0, 1, 900) for tick in (500, 100, 300)], fire_ns=[5 * MS] * 3, now_ns=0)
    (batch,) = due(plane, 0)
    assert (batch.base_evid, batch.base_tick) == (7, 100)
    assert [item.dt_ticks for item in batch.items] == [400, 0, 200]


def test_an_unacknowledged_batch_is_repeated_word_for_word_with_the_flag() -> None:
    plane = plane_with(20)
    (first,) = due(plane, 0)
    assert due(plane, 2 * MS) == []
    (again,) = due(plane, 3 * MS)
    assert again.flags == first.flags | BatchFlag.REPEAT
    assert (first.base_evid, first.base_tick, first.items) == (again.base_evid, again.base_tick, again.items)
    plane.on_ack(ack(0, 20), 4 * MS)
    assert due(plane, 50 * MS) == []


def test_no_more_events_fly_than_the_controller_has_room_for() -> None:
    plane = plane_with(60, slots=30)
    assert sizes(due(plane, 0)) == [20, 10]
    plane.on_ack(ack(0, 20, free=10, tick=1), MS)
    assert due(plane, MS) == []
    plane.on_ack(ack(20, 10, free=5, tick=2), MS)
    assert sizes(due(plane, MS)) == [5]


def test_an_overtaken_acknowledgement_does_not_bring_room_back() -> None:
    plane = plane_with(0)
    plane.on_free(0, 1000)
    plane.on_free(500, 900)
    add(plane, 20)
    assert due(plane, 0) == []
    plane.on_free(500, 1001)
    assert sizes(due(plane, 0)) == [20]


def test_bytes_on_their_way_stay_within_the_receive_window() -> None:
    plane = EjectPlane(EjectRules(), next_evid=0, slots=1024, rx_window_b=300)
    add(plane, 100)
    assert sum(20 + 6 * size for size in sizes(due(plane, 0))) <= 300


def test_acknowledged_without_an_exception_is_final_after_the_settling_time() -> None:
    plane = plane_with(20)
    due(plane, 0)
    plane.on_ack(ack(0, 20), MS)
    assert plane.take_outcomes(369 * MS) == []
    assert [EjectOutcome(evid, OutcomeKind.ACKED) for evid in range(20)] == plane.take_outcomes(371 * MS)
    assert plane.open_events == 0


def test_never_acknowledged_is_lost_at_the_deadline() -> None:
    plane = plane_with(20)
    due(plane, 0)
    due(plane, 19 * MS)
    assert plane.take_outcomes(19 * MS) == []
    due(plane, 20 * MS)
    assert {outcome.kind for outcome in plane.take_outcomes(20 * MS)} == {OutcomeKind.LOST}
    assert plane.open_events == 0


def test_an_event_without_credit_until_its_deadline_is_lost() -> None:
    plane = plane_with(2, slots=0)
    due(plane, 20 * MS)
    assert [outcome.evid for outcome in plane.take_outcomes(20 * MS)] == [0, 1]


def test_an_exception_before_or_after_the_acknowledgement_is_the_outcome() -> None:
    plane = plane_with(20)
    due(plane, 0)
    plane.on_exceptions(EjectExc((EjectReport(0, EjectReason.MERGED),)))
    plane.on_ack(ack(0, 20), MS)
    plane.on_exceptions(EjectExc((EjectReport(1, EjectReason.LATE_DROPPED, 120),)))
    plane.on_exceptions(EjectExc((EjectReport(1, EjectReason.LATE_DROPPED, 120),)))
    assert plane.take_outcomes(2 * MS) == [
        EjectOutcome(0, OutcomeKind.REPORTED, EjectReason.MERGED, 0),
        EjectOutcome(1, OutcomeKind.REPORTED, EjectReason.LATE_DROPPED, 1200),
    ]
    assert plane.late_reports == 1
    assert len(plane.take_outcomes(1000 * MS)) == 18


def test_an_expired_event_in_the_queue_splits_the_batch_behind_it() -> None:
    plane = EjectPlane(EjectRules(), next_evid=0, slots=0, rx_window_b=4096)
    plane.add([EjectEvent(0, 0, 1, 9)] * 3, fire_ns=[50 * MS, 10 * MS, 50 * MS], now_ns=0)
    assert due(plane, 15 * MS) == []
    plane.on_free(100, 1)
    assert [batch.base_evid for batch in due(plane, 15 * MS)] == [0, 2]


def test_abandoning_ends_everything_once() -> None:
    plane = plane_with(25)
    due(plane, 0)
    plane.on_ack(ack(0, 10), MS)
    plane.abandon(5 * MS)
    outcomes = plane.take_outcomes(5 * MS)
    assert list(range(25)) == sorted(outcome.evid for outcome in outcomes)
    assert plane.take_outcomes(9999 * MS) == []


@given(st.lists(st.tuples(st.sampled_from("asxet"), st.integers(0, 90)), max_size=60))
def test_every_event_has_exactly_one_outcome_whatever_happens(story: list[tuple[str, int]]) -> None:
    plane = plane_with(0, slots=40)
    now_ms, made = 0, 0
    ends: list[int] = []
    for what, number in story:
        if what == "a":
            made += len(add(plane, number % 30, now_ms=now_ms, ahead_ms=5 + number % 20))
        elif what == "s":
            due(plane, now_ms * MS)
        elif what == "x":
            plane.on_ack(ack(number, 30, free=40, tick=now_ms * 1000), now_ms * MS)
        elif what == "e":
            plane.on_exceptions(EjectExc((EjectReport(number, EjectReason.MERGED),)))
        else:
            now_ms += number
        ends += [outcome.evid for outcome in plane.take_outcomes(now_ms * MS)]
    due(plane, (now_ms + 1000) * MS)
    plane.abandon((now_ms + 1000) * MS)
    ends += [outcome.evid for outcome in plane.take_outcomes((now_ms + 1000) * MS)]
    assert list(range(made)) == sorted(ends)


def test_events_with_a_mask_travel_in_batches_of_their_own() -> None:
    plane = EjectPlane(EjectRules(), next_evid=0, slots=99, rx_window_b=4096)
    masks = [0, 0b101, 0b1001, 0]
    events = [EjectEvent(20_000 + number, 4, 2, 900, valve_mask=mask) for number, mask in enumerate(masks)]
    plane.add(events, fire_ns=[20 * MS] * 4, now_ns=0)
    batches = plane.due(5 * MS)
    assert [type(batch).__name__ for batch in batches] == ["EjectBatch", "EjectMask", "EjectBatch"]
    assert sizes(batches) == [1, 2, 1]
    assert isinstance(batches[1], EjectMask)
    assert [item.mask for item in batches[1].items] == [0b101, 0b1001]


def test_what_is_taken_back_before_it_was_sent_never_leaves() -> None:
    plane = plane_with(5)
    plane.cancel(range(1, 4), now_ns=0)
    assert sizes(plane.due(3 * MS)) == [1, 1]
    outcomes = plane.take_outcomes(3 * MS)
    assert [(outcome.evid, outcome.reason) for outcome in outcomes] == [(n, EjectReason.CANCELLED) for n in (1, 2, 3)]


def test_a_cancel_is_repeated_until_it_is_acknowledged() -> None:
    plane = plane_with(20)
    plane.due(0)
    plane.cancel(range(5, 8), now_ns=MS)
    for step, now_ms in enumerate((1, 5, 9)):
        cancels = [message for message in plane.due(now_ms * MS) if isinstance(message, EjectCancel)]
        assert cancels == [EjectCancel(5, 8)]
        plane.on_sent(cancels[0], 40 + step)
    plane.on_ack(ack(5, 3, seq=41), 10 * MS)
    assert not [message for message in plane.due(13 * MS) if isinstance(message, EjectCancel)]


def test_a_cancelled_event_has_one_outcome_and_does_not_fire() -> None:
    clock, board = ManualClock(), open_board()
    link = Link(BoardTransport(board, clock), clock, LinkSettings(epoch_seed=1))
    link.connect(1.0)
    link.configure({})
    link.arm(1.0)
    tick = link.tick_now() + 40_000
    evids = link.eject([EjectEvent((tick + number) % 2**32, 2 * number, 1, 900) for number in range(40)])
    clock.sleep_s(0.005)
    link.poll()
    link.cancel(evids[10:20])
    events = []
    while link.open_events:
        clock.sleep_s(0.005)
        events += link.poll()
    outcomes = {event.evid: event for event in events if isinstance(event, EjectOutcome)}
    assert set(evids) == set(outcomes)
    assert {evid for evid in evids if not outcomes[evid].has_fired} == set(evids[10:20])
    assert {pulse.evid for pulse in board.take_fired()} == set(evids) - set(evids[10:20])
