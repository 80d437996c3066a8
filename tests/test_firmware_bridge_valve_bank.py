"""Valves: every event acts once, pulses unite, no valve is open too long or opens again too soon."""

import itertools
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.valve_bank import FiredPulse, ScheduledEvent, ValveBank

N_VALVES = 12
MAX_PULSE = 100
MIN_OFF = 20
EVENTS = st.lists(
    st.tuples(st.integers(0, 1500), st.integers(0, N_VALVES - 4), st.integers(1, 4), st.integers(1, MAX_PULSE)),
    max_size=60,
)


def bank_with(events: list[tuple[int, int, int, int]]) -> ValveBank:
    bank = ValveBank(N_VALVES)
    bank.max_pulse_ticks, bank.min_off_ticks = MAX_PULSE, MIN_OFF
    for evid, (tick, first, count, pulse) in enumerate(events):
        bank.schedule(ScheduledEvent(tick, evid, first, count, pulse, is_reported=False))
    return bank


def open_spans(pulses: list[FiredPulse]) -> dict[int, list[tuple[int, int]]]:
    """Return, per valve, the united times it was open."""
    parts = defaultdict(list)
    for pulse in pulses:
        for valve in range(pulse.first_valve, pulse.first_valve + pulse.valve_count):
            parts[valve].append((pulse.open_tick, pulse.close_tick))
    spans: dict[int, list[tuple[int, int]]] = {}
    for valve, pieces in parts.items():
        united: list[tuple[int, int]] = []
        for start, stop in sorted(pieces):
            if united and start <= united[-1][1]:
                united[-1] = (united[-1][0], max(united[-1][1], stop))
            else:
                united.append((start, stop))
        spans[valve] = united
    return spans


@given(EVENTS, st.integers(1, 200))
def test_limits_hold_for_any_events_and_any_steps(events: list[tuple[int, int, int, int]], step: int) -> None:
    bank = bank_with(events)
    for tick in range(0, 1700 + step, step):
        bank.run_until(tick)
    pulses = bank.take_fired()
    assert bank.is_quiet
    for spans in open_spans(pulses).values():
        assert all(stop - start <= MAX_PULSE for start, stop in spans)
        assert all(after[0] - before[1] >= MIN_OFF for before, after in itertools.pairwise(spans))
    for pulse in pulses:
        tick, first, count, length = events[pulse.evid]
        assert tick <= pulse.open_tick < pulse.close_tick <= tick + length
        assert first <= pulse.first_valve
        assert pulse.first_valve + pulse.valve_count <= first + count


@given(EVENTS)
def test_an_event_that_meets_no_other_fires_exactly_as_asked(events: list[tuple[int, int, int, int]]) -> None:
    bank = bank_with(events)
    merged = set(bank.run_until(2000))
    pulses = {pulse.evid: pulse for pulse in bank.take_fired()}
    for evid, (tick, first, count, length) in enumerate(events):
        if evid not in merged:
            assert FiredPulse(evid, first, count, tick, tick + length) == pulses[evid]


@given(EVENTS, st.integers(0, 1600))
def test_after_a_stop_nothing_is_open(events: list[tuple[int, int, int, int]], stop_tick: int) -> None:
    bank = bank_with(events)
    bank.run_until(stop_tick)
    bank.close_all(stop_tick)
    cancelled = bank.cancel_pending()
    assert bank.is_quiet
    assert all(pulse.close_tick <= stop_tick for pulse in bank.take_fired())
    assert sum(event[0] > stop_tick for event in events) == len(cancelled)


def test_overlap_is_the_union_and_is_reported_for_the_later_event() -> None:
    bank = bank_with([(100, 2, 3, 50), (130, 4, 2, 60)])
    assert bank.run_until(500) == [1]
    assert bank.take_fired() == [FiredPulse(0, 2, 3, 100, 150), FiredPulse(1, 4, 2, 130, 190)]


def test_a_valve_that_has_just_closed_waits_for_the_end_of_its_pause() -> None:
    bank = bank_with([(100, 2, 1, 50), (160, 2, 2, 50)])
    assert bank.run_until(500) == [1]
    assert bank.take_fired() == [
        FiredPulse(0, 2, 1, 100, 150),
        FiredPulse(1, 2, 1, 170, 210),
        FiredPulse(1, 3, 1, 160, 210),
    ]


def test_a_chain_of_pulses_is_cut_at_the_longest_pulse() -> None:
    bank = bank_with([(0, 0, 1, 80), (60, 0, 1, 80), (120, 0, 1, 80)])
    bank.run_until(1000)
    assert open_spans(bank.take_fired()) == {0: [(0, 100), (120, 200)]}


def test_fired_stays_until_it_is_taken() -> None:
    bank = bank_with([(0, 0, 1, 80)])
    bank.run_until(1000)
    assert len(bank.fired) == len(bank.fired) == 1
    bank.take_fired()
    assert bank.fired == []
