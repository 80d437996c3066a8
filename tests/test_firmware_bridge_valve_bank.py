"""Valves: every event acts once, pulses unite, no valve is open too long, too often, or again too soon."""

import itertools
from collections import defaultdict
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.messages import EjectReason
from firmware_bridge.pulse_recorder import SELFTEST_EVID, FiredPulse, PulseRecorder
from firmware_bridge.valve_bank import ScheduledEvent, ValveBank

N_VALVES = 12
MAX_PULSE = 100
MIN_OFF = 20
Wish: TypeAlias = tuple[int, int, int, int]  # tick, first valve, mask, pulse
Reports: TypeAlias = list[tuple[int, EjectReason]]
EVENTS = st.lists(
    st.tuples(st.integers(0, 1500), st.integers(0, N_VALVES - 4), st.integers(1, 15), st.integers(1, MAX_PULSE)),
    max_size=60,
)


class Watched(ValveBank):
    """A bank with short limits and the recorder that watches it."""

    def __init__(self, *events: Wish) -> None:
        self.recorder = PulseRecorder()
        super().__init__(N_VALVES, self.recorder)
        self.max_pulse_ticks, self.min_off_ticks = MAX_PULSE, MIN_OFF
        for evid, event in enumerate(events):
            self.wish(evid, *event)

    def wish(self, evid: int, tick: int, first: int, mask: int, pulse: int) -> None:
        self.schedule(ScheduledEvent(tick, evid, first, mask, pulse))

    def reports_until(self, tick: int) -> Reports:
        return [(event.evid, reason) for event, reason in self.run_until(tick)]


def long_bank() -> Watched:
    """A bank with the limits that a controller has after power-on."""
    bank = Watched()
    bank.max_pulse_ticks, bank.min_off_ticks = 20_000, 500
    return bank


def open_parts(pulses: list[FiredPulse]) -> dict[int, list[tuple[int, int]]]:
    """Return, per valve, the times it was open as the recorder has them."""
    parts = defaultdict(list)
    for pulse in pulses:
        for valve in range(pulse.first_valve, pulse.first_valve + pulse.valve_count):
            parts[valve].append((pulse.open_tick, pulse.close_tick))
    return parts


def open_spans(pulses: list[FiredPulse]) -> dict[int, list[tuple[int, int]]]:
    """Return, per valve, the united times it was open."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for valve, pieces in open_parts(pulses).items():
        united: list[tuple[int, int]] = []
        for start, stop in sorted(pieces):
            if united and start <= united[-1][1]:
                united[-1] = (united[-1][0], max(united[-1][1], stop))
            else:
                united.append((start, stop))
        spans[valve] = united
    return spans


def valves_of(first: int, mask: int) -> set[int]:
    return {first + bit for bit in range(32) if mask >> bit & 1}


# ---- any events ----


@given(EVENTS, st.integers(1, 200))
def test_limits_hold_for_any_events_and_any_steps(events: list[Wish], step: int) -> None:
    bank = Watched(*events)
    for tick in range(0, 1700 + step, step):
        bank.run_until(tick)
    pulses = bank.recorder.take()
    assert bank.is_quiet
    assert len(events) == bank.fired_count
    for spans in open_spans(pulses).values():
        assert all(stop - start <= MAX_PULSE for start, stop in spans)
        assert all(after[0] - before[1] >= MIN_OFF for before, after in itertools.pairwise(spans))
    for pulse in pulses:
        tick, first, mask, length = events[pulse.evid]
        assert tick <= pulse.open_tick < pulse.close_tick <= tick + length
        assert set(range(pulse.first_valve, pulse.first_valve + pulse.valve_count)) <= valves_of(first, mask)


@given(EVENTS, st.integers(1, 200))
def test_the_steps_in_which_time_passes_change_nothing(events: list[Wish], step: int) -> None:
    whole, stepped = Watched(*events), Watched(*events)
    expected = whole.run_until(1700 + step)
    reports = [report for tick in range(0, 1700 + step, step) for report in stepped.run_until(tick)]
    assert expected == reports
    assert sorted(whole.recorder.take()) == sorted(stepped.recorder.take())


@given(EVENTS)
def test_an_event_that_meets_no_other_fires_exactly_as_asked(events: list[Wish]) -> None:
    bank = Watched(*events)
    merged = {evid for evid, _ in bank.reports_until(2000)}
    parts: dict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
    for pulse in bank.recorder.take():
        for valve in range(pulse.first_valve, pulse.first_valve + pulse.valve_count):
            parts[pulse.evid][valve] = (pulse.open_tick, pulse.close_tick)
    for evid, (tick, first, mask, length) in enumerate(events):
        if evid not in merged:
            assert dict.fromkeys(valves_of(first, mask), (tick, tick + length)) == parts[evid]


@given(EVENTS, st.integers(0, 1600))
def test_after_a_stop_nothing_is_open(events: list[Wish], stop_tick: int) -> None:
    bank = Watched(*events)
    bank.run_until(stop_tick)
    bank.close_all(stop_tick)
    cancelled = bank.cancel_pending()
    assert bank.is_quiet
    assert all(pulse.close_tick <= stop_tick for pulse in bank.recorder.take())
    assert sum(event[0] > stop_tick for event in events) == len(cancelled)
    assert cancelled == sorted(cancelled)


@given(EVENTS, st.integers(1, N_VALVES))
def test_never_more_valves_are_open_than_allowed(events: list[Wish], most: int) -> None:
    bank = Watched(*events)
    bank.max_open_valves = most
    refused = [evid for evid, reason in bank.reports_until(2000) if reason is EjectReason.DUTY_LIMIT]
    pulses = bank.recorder.take()
    spans = [span for spans in open_spans(pulses).values() for span in spans]
    for tick in {start for start, _ in spans}:
        assert sum(start <= tick < stop for start, stop in spans) <= most
    assert not {pulse.evid for pulse in pulses} & set(refused)
    assert len(events) - len(refused) == bank.fired_count


@given(EVENTS, st.integers(1, 300))
def test_no_valve_is_open_longer_than_its_duty_allows(events: list[Wish], duty_permille: int) -> None:
    bank = Watched(*((tick * 40, first, mask, pulse * 100) for tick, first, mask, pulse in events))
    bank.max_pulse_ticks, bank.max_duty_permille = MAX_PULSE * 100, duty_permille
    bank.run_until(100_000)
    for spans in open_spans(bank.recorder.take()).values():
        for first, last in itertools.combinations_with_replacement(range(len(spans)), 2):
            open_ticks = sum(stop - start for start, stop in spans[first : last + 1])
            window = spans[last][1] - spans[first][0]
            assert open_ticks <= duty_permille * 1000 + window * duty_permille // 1000 + 1


# ---- one valve ----


def test_a_new_bank_has_the_limits_of_a_controller_after_power_on() -> None:
    bank = ValveBank(4, PulseRecorder())
    limits = (bank.max_pulse_ticks, bank.min_off_ticks, bank.max_open_valves, bank.max_duty_permille)
    assert limits == (20_000, 500, 4096, 1000)
    assert (bank.pending, bank.fired_count, bank.is_quiet) == (0, 0, True)


def test_an_event_is_normal_unless_it_is_said_otherwise() -> None:
    event = ScheduledEvent(100, 1, 0, 1, 50)
    assert (event.reason, event.lateness_10us) == (None, 0)


def test_an_event_fires_at_its_tick_and_not_before() -> None:
    bank = Watched((100, 2, 1, 50))
    assert bank.run_until(99) == []
    assert (bank.pending, bank.fired_count) == (1, 0)
    bank.run_until(100)
    assert (bank.pending, bank.fired_count) == (0, 1)


def test_events_fire_by_time_and_then_by_id_whatever_the_order_they_came_in() -> None:
    bank = Watched()
    for evid, tick in ((7, 130), (2, 120), (1, 130), (0, 100)):
        bank.wish(evid, tick, 0, 1, 60)
    assert [evid for evid, _ in bank.reports_until(500)] == [2, 1, 7]
    assert [event.evid for event in bank.cancel_pending()] == []


def test_quiet_means_nothing_waits_and_the_last_valve_has_closed() -> None:
    bank = Watched((100, 2, 1, 50), (110, 5, 1, 20))
    quiet = [bank.is_quiet]
    for tick in (149, 150, 10):  # time does not go back
        bank.run_until(tick)
        quiet.append(bank.is_quiet)
    assert quiet == [False, False, True, True]


def test_overlap_is_the_union_and_is_reported_for_the_later_event() -> None:
    bank = Watched((100, 2, 0b111, 50), (130, 4, 0b11, 60))
    assert bank.reports_until(500) == [(1, EjectReason.MERGED)]
    assert bank.recorder.take() == [FiredPulse(0, 2, 3, 100, 150), FiredPulse(1, 4, 2, 130, 190)]


def test_a_pulse_within_another_adds_nothing_and_is_written_down() -> None:
    bank = Watched((100, 0, 1, 50), (110, 0, 1, 10), (130, 0, 1, 40), (191, 0, 1, 10))
    assert bank.reports_until(500) == [(1, EjectReason.MERGED), (2, EjectReason.MERGED)]
    assert sorted(bank.recorder.take()) == [
        FiredPulse(0, 0, 1, 100, 150),
        FiredPulse(1, 0, 1, 110, 120),
        FiredPulse(2, 0, 1, 130, 170),
        FiredPulse(3, 0, 1, 191, 201),
    ]


@pytest.mark.parametrize(
    ("start", "is_merged", "opens"),
    [(149, True, 149), (150, True, 150), (151, True, 170), (169, True, 170), (170, False, 170), (171, False, 171)],
)
def test_a_second_pulse_joins_waits_or_stands_alone(start: int, is_merged: bool, opens: int) -> None:
    """At the tick of the end it joins, later it waits for the end of the pause, and then it is a pulse of its own."""
    bank = Watched((100, 2, 1, 50), (start, 2, 1, 50))
    assert bank.reports_until(500) == [(1, EjectReason.MERGED)] * is_merged
    assert bank.recorder.take()[1] == FiredPulse(1, 2, 1, opens, start + 50)


def test_a_valve_that_has_just_closed_waits_for_the_end_of_its_pause() -> None:
    bank = Watched((100, 2, 1, 50), (160, 2, 0b11, 50))
    assert bank.reports_until(500) == [(1, EjectReason.MERGED)]
    assert bank.recorder.take() == [
        FiredPulse(0, 2, 1, 100, 150),
        FiredPulse(1, 2, 1, 170, 210),
        FiredPulse(1, 3, 1, 160, 210),
    ]


@pytest.mark.parametrize("pulse", [10, 15])
def test_a_pulse_that_ends_within_the_pause_never_opens(pulse: int) -> None:
    bank = Watched((100, 2, 1, 50), (155, 2, 1, pulse), (170, 2, 1, 30))
    assert bank.reports_until(500) == [(1, EjectReason.MERGED)]
    assert bank.fired_count == 3
    assert bank.recorder.take() == [FiredPulse(0, 2, 1, 100, 150), FiredPulse(2, 2, 1, 170, 200)]


def test_who_comes_while_a_valve_waits_for_its_pause_opens_with_it() -> None:
    bank = Watched((100, 2, 1, 50), (160, 2, 1, 40), (165, 2, 1, 60))
    assert bank.reports_until(500) == [(1, EjectReason.MERGED), (2, EjectReason.MERGED)]
    assert bank.recorder.take() == [
        FiredPulse(0, 2, 1, 100, 150),
        FiredPulse(1, 2, 1, 170, 200),
        FiredPulse(2, 2, 1, 170, 225),
    ]


def test_the_longest_pulse_counts_from_the_end_of_the_pause() -> None:
    bank = Watched((0, 0, 1, 50), (60, 0, 1, 100), (150, 0, 1, 100))
    bank.run_until(1000)
    assert open_spans(bank.recorder.take()) == {0: [(0, 50), (70, 170)]}


def test_a_chain_of_pulses_is_cut_at_the_longest_pulse() -> None:
    bank = Watched((0, 0, 1, 80), (60, 0, 1, 80), (120, 0, 1, 80))
    bank.run_until(1000)
    assert open_spans(bank.recorder.take()) == {0: [(0, 100), (120, 200)]}


def test_pulses_end_to_end_are_one_and_cut_at_the_longest_pulse() -> None:
    bank = Watched((0, 0, 1, 60), (60, 0, 1, 60), (90, 0, 1, 60))
    bank.run_until(1000)
    assert open_spans(bank.recorder.take()) == {0: [(0, 100)]}


def test_pulses_end_to_end_are_cut_even_where_valves_need_no_pause() -> None:
    bank = Watched((0, 0, 1, 60), (60, 0, 1, 60), (101, 0, 1, 60))
    bank.min_off_ticks = 0
    assert bank.reports_until(1000) == [(1, EjectReason.MERGED)]
    assert open_spans(bank.recorder.take()) == {0: [(0, 100), (101, 161)]}


def test_a_limit_that_was_lowered_holds_for_what_waits_already() -> None:
    bank = Watched((100, 0, 1, 40), (120, 1, 1, 41), (121, 1, 1, 90))
    bank.max_pulse_ticks = 40
    assert bank.reports_until(500) == [(1, EjectReason.PULSE_CLAMPED), (2, EjectReason.PULSE_CLAMPED)]
    assert open_spans(bank.recorder.take()) == {0: [(100, 140)], 1: [(120, 160)]}


# ---- masks ----


def test_a_mask_opens_exactly_its_valves_and_adjacent_ones_are_one_pulse() -> None:
    bank = Watched((100, 3, 0b1_0110_0111, 50))
    bank.run_until(500)
    assert sorted(bank.recorder.take()) == [
        FiredPulse(0, 3, 3, 100, 150),
        FiredPulse(0, 8, 2, 100, 150),
        FiredPulse(0, 11, 1, 100, 150),
    ]


def test_adjacent_valves_with_different_parts_are_written_down_apart() -> None:
    bank = Watched((100, 4, 0b10, 50), (160, 3, 0b1111, 30))
    bank.run_until(500)
    assert sorted(bank.recorder.take()) == [
        FiredPulse(0, 5, 1, 100, 150),
        FiredPulse(1, 3, 2, 160, 190),
        FiredPulse(1, 5, 1, 170, 190),
        FiredPulse(1, 6, 1, 160, 190),
    ]


def test_one_valve_of_a_mask_that_meets_another_pulse_makes_the_event_merged() -> None:
    bank = Watched((100, 5, 1, 50), (120, 3, 0b111, 50))
    assert bank.reports_until(500) == [(1, EjectReason.MERGED)]


# ---- what is reported ----


def test_what_was_not_normal_before_is_the_one_report() -> None:
    bank = Watched((100, 0, 1, 50))
    clamped = ScheduledEvent(120, 1, 0, 1, 50, EjectReason.PULSE_CLAMPED)
    late = ScheduledEvent(300, 2, 0, 1, 50, EjectReason.LATE_FIRED, lateness_10us=7)
    bank.schedule(clamped)
    bank.schedule(late)
    assert bank.run_until(500) == [(clamped, EjectReason.PULSE_CLAMPED), (late, EjectReason.LATE_FIRED)]


def test_what_a_limit_refuses_is_reported_as_that_whatever_was_known_before() -> None:
    bank = Watched((100, 0, 1, 50))
    bank.max_open_valves = 1
    late = ScheduledEvent(120, 1, 3, 1, 50, EjectReason.LATE_FIRED, lateness_10us=7)
    bank.schedule(late)
    assert bank.run_until(500) == [(late, EjectReason.DUTY_LIMIT)]
    assert bank.fired_count == 1


# ---- how many valves, how much of the time ----


def test_valves_that_are_open_already_are_not_counted_twice() -> None:
    bank = Watched((100, 0, 0b11, 50), (120, 1, 1, 50), (125, 1, 0b11, 50), (150, 5, 1, 50), (160, 6, 1, 50))
    bank.max_open_valves = 2
    assert bank.reports_until(500) == [
        (1, EjectReason.MERGED),
        (2, EjectReason.DUTY_LIMIT),
        (4, EjectReason.DUTY_LIMIT),
    ]


def test_a_valve_that_closes_at_this_tick_counts_again_if_it_is_to_stay_open() -> None:
    bank = Watched((100, 0, 1, 50), (150, 0, 0b11, 50))
    bank.max_open_valves = 1
    assert bank.reports_until(500) == [(1, EjectReason.DUTY_LIMIT)]


def test_a_refused_event_leaves_no_trace() -> None:
    bank = Watched((100, 0, 1, 50), (120, 0, 0b111, 90), (151, 1, 1, 50))
    bank.max_open_valves = 2
    assert bank.reports_until(500) == [(1, EjectReason.DUTY_LIMIT)]
    assert open_spans(bank.recorder.take()) == {0: [(100, 150)], 1: [(151, 201)]}


def is_refused(bank: Watched, tick: int, pulse: int, mask: int = 1) -> bool:
    bank.wish(0, tick, 0, mask, pulse)
    return (0, EjectReason.DUTY_LIMIT) in bank.reports_until(tick)


def test_the_open_time_of_a_second_is_exact_on_both_sides() -> None:
    bank = long_bank()
    bank.max_duty_permille = 10  # 10 ms of a second
    assert is_refused(bank, 0, 10_001)
    assert not is_refused(bank, 0, 10_000)
    assert is_refused(bank, 110_000, 1101)  # 1 % of 110 ms is forgotten
    assert not is_refused(bank, 110_000, 1100)
    assert is_refused(bank, 9_000_000, 10_001)  # nothing is saved up
    assert not is_refused(bank, 9_000_000, 10_000)


def test_a_prolonged_pulse_counts_what_it_adds() -> None:
    bank = long_bank()
    bank.max_duty_permille = 10
    assert not is_refused(bank, 0, 6000)
    assert not is_refused(bank, 1000, 5000)  # within: adds nothing
    assert is_refused(bank, 5000, 5051)  # 5 x 10 are forgotten, 4050 more are left
    assert not is_refused(bank, 5000, 5050)
    assert open_spans(bank.recorder.fired) == {}
    bank.run_until(20_000)
    assert open_spans(bank.recorder.fired) == {0: [(0, 10_050)]}


def test_a_pulse_that_waits_for_its_pause_counts_from_there() -> None:
    bank = long_bank()
    bank.max_duty_permille = 10
    assert not is_refused(bank, 0, 6000)
    assert is_refused(bank, 6200, 300 + 4063)  # 62 are forgotten
    assert not is_refused(bank, 6200, 300 + 4062)


def test_one_valve_above_its_duty_refuses_the_whole_event() -> None:
    bank = long_bank()
    bank.max_duty_permille = 10
    assert not is_refused(bank, 0, 10_000)
    assert is_refused(bank, 20_000, 1000, mask=0b11)
    bank.run_until(50_000)
    assert open_spans(bank.recorder.take()) == {0: [(0, 10_000)]}


def test_open_time_before_the_limit_was_set_counts_too() -> None:
    bank = long_bank()
    assert not is_refused(bank, 0, 20_000)
    bank.max_duty_permille = 999
    assert not is_refused(bank, 30_000, 20_000)
    bank.max_duty_permille = 10
    assert is_refused(bank, 60_000, 1)


def test_pulses_of_one_tick_count_to_the_tick() -> None:
    bank = long_bank()
    assert not is_refused(bank, 0, 6000)
    assert not is_refused(bank, 0, 10_000)
    bank.max_duty_permille = 10
    assert is_refused(bank, 0, 10_001)
    assert not is_refused(bank, 0, 10_000)


def test_without_a_limit_a_valve_may_be_open_all_the_time() -> None:
    bank = Watched()
    bank.min_off_ticks, bank.max_pulse_ticks = 1, 1_500_000
    assert not is_refused(bank, 0, 1_500_000)
    bank.max_duty_permille = 999
    assert is_refused(bank, 1_500_001, 999_000)


def test_an_event_in_the_past_of_a_valve_forgives_nothing_and_charges_nothing_more() -> None:
    bank = long_bank()
    bank.max_duty_permille, bank.max_pulse_ticks = 10, 60_001
    bank.test_pulse(0, 100_000, 4000)
    assert is_refused(bank, 50_000, 54_000 + 6001)
    assert not is_refused(bank, 50_000, 54_000 + 6000)


# ---- self-test, cancel, stop ----


def test_a_bank_is_not_quiet_during_a_test_pulse_at_tick_0() -> None:
    bank = Watched()
    bank.test_pulse(0, 0, 1)
    assert not bank.is_quiet


def test_a_test_pulse_is_no_event_and_keeps_the_limits() -> None:
    bank = Watched()
    bank.max_open_valves = 1
    bank.test_pulse(3, 100, 50)
    bank.test_pulse(4, 120, 50)
    bank.test_pulse(3, 155, 50)
    bank.run_until(500)
    assert bank.fired_count == 0
    assert bank.recorder.take() == [
        FiredPulse(SELFTEST_EVID, 3, 1, 100, 150),
        FiredPulse(SELFTEST_EVID, 3, 1, 170, 205),
    ]


def test_a_cancelled_event_is_gone_and_the_others_stay_in_order() -> None:
    bank = Watched(*((100 + 30 * (evid % 5), 2 * evid, 1, 10) for evid in range(6)))
    assert bank.cancel(0)
    assert not bank.cancel(0)
    assert not bank.cancel(99)
    assert bank.pending == 5
    assert [bank.run_until(tick) or bank.fired_count for tick in range(100, 230, 30)] == [1, 2, 3, 4, 5]
    bank.run_until(500)
    assert [pulse.evid for pulse in bank.recorder.take()] == [5, 1, 2, 3, 4]


def test_what_waits_can_be_forgotten_while_open_valves_close_at_their_time() -> None:
    bank = Watched((100, 0, 1, 50), (130, 1, 1, 50), (120, 2, 1, 50))
    bank.run_until(110)
    assert [event.evid for event in bank.cancel_pending()] == [2, 1]
    assert bank.pending == 0
    bank.run_until(500)
    assert bank.recorder.take() == [FiredPulse(0, 0, 1, 100, 150)]


def test_after_a_stop_the_pause_of_a_valve_counts_from_the_stop() -> None:
    bank = Watched((100, 0, 1, 90), (139, 0, 1, 50), (141, 7, 1, 50))
    bank.run_until(120)
    bank.close_all(120)
    assert bank.is_quiet is False
    assert bank.reports_until(500) == [(1, EjectReason.MERGED)]
    assert sorted(bank.recorder.take()) == [
        FiredPulse(0, 0, 1, 100, 120),
        FiredPulse(1, 0, 1, 140, 189),
        FiredPulse(2, 7, 1, 141, 191),
    ]


def test_a_valve_that_never_opened_before_a_stop_keeps_its_pause() -> None:
    """It waited for the end of its pause when everything was closed: the pause starts again."""
    bank = Watched((100, 0, 1, 50), (160, 0, 1, 50), (165, 0, 1, 50))
    bank.run_until(164)
    bank.close_all(165)
    assert bank.reports_until(500) == [(2, EjectReason.MERGED)]
    assert bank.recorder.take() == [FiredPulse(0, 0, 1, 100, 150), FiredPulse(2, 0, 1, 185, 215)]


def test_a_stop_closes_at_once_and_the_bank_is_quiet_then() -> None:
    bank = Watched((100, 0, 1, 90))
    bank.run_until(120)
    was_quiet = bank.is_quiet
    bank.close_all(120)
    assert (was_quiet, bank.is_quiet) == (False, True)
    assert bank.recorder.take() == [FiredPulse(0, 0, 1, 100, 120)]


def test_what_begins_at_the_tick_of_a_stop_joins_what_was_stopped() -> None:
    bank = Watched((100, 0, 1, 90))
    bank.run_until(120)
    bank.close_all(120)
    bank.wish(1, 120, 0, 1, 100)
    assert bank.reports_until(500) == [(1, EjectReason.MERGED)]
    assert open_spans(bank.recorder.take()) == {0: [(100, 200)]}


def test_what_was_to_open_after_its_pause_does_not_outlive_a_stop() -> None:
    bank = Watched((100, 0, 1, 50), (160, 0, 1, 50), (190, 0, 1, 100))
    bank.run_until(165)
    bank.close_all(165)
    bank.run_until(500)
    assert bank.recorder.take() == [FiredPulse(0, 0, 1, 100, 150), FiredPulse(2, 0, 1, 190, 290)]
