"""Valves open once for all who ask, never later and never less than asked."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decisions import Pulses, pulses_of
from edge_runtime.unite import in_time, join_views, unite
from firmware_bridge.pulse_recorder import PulseRecorder
from firmware_bridge.valve_bank import ScheduledEvent, ValveBank

Row = tuple[int, int, int, int, int]

ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 20), st.integers(1, 16), st.integers(0, 500), st.integers(1, 300)),
    max_size=15,
)


def rows_of(pulses: Pulses) -> list[Row]:
    columns = (pulses.objects, pulses.first_valves, pulses.valve_counts, pulses.open_us, pulses.pulse_us)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def open_times(pulses: Pulses) -> dict[int, set[int]]:
    """Return by valve the microseconds at which it is open."""
    times: dict[int, set[int]] = {}
    for _, first, count, opens, length in rows_of(pulses):
        for valve in range(first, first + count):
            times.setdefault(valve, set()).update(range(opens, opens + length))
    return times


def openers(rows: list[Row]) -> set[tuple[int, int]]:
    return {(valve, opens) for _, first, count, opens, _ in rows for valve in range(first, first + count)}


@given(ROWS, st.integers(1, 80), st.integers(81, 900))
def test_a_valve_is_open_when_asked_but_for_cut_pulses_and_else_only_over_short_pauses(
    rows: list[Row], min_pause_us: int, max_pulse_us: int
) -> None:
    united = unite(pulses_of(rows), min_pause_us=min_pause_us, max_pulse_us=max_pulse_us)
    given_ = open_times(united.pulses)
    for (_, first, count, opens, length), is_cut in zip(rows, united.is_cut.tolist(), strict=True):
        asked = set(range(opens, opens + length))
        assert is_cut == any(not asked <= given_.get(valve, set()) for valve in range(first, first + count))
    wanted = open_times(pulses_of(rows))
    for valve, times in given_.items():
        for moment in times - wanted[valve]:
            before, after = max(t for t in wanted[valve] if t < moment), min(t for t in wanted[valve] if t > moment)
            assert after - before - 1 < min_pause_us


@given(ROWS, st.integers(1, 80), st.integers(81, 900))
def test_the_controller_fires_what_it_is_told_and_cuts_nothing(
    rows: list[Row], min_pause_us: int, max_pulse_us: int
) -> None:
    told = rows_of(unite(pulses_of(rows), min_pause_us=min_pause_us, max_pulse_us=max_pulse_us).pulses)
    recorder = PulseRecorder()
    bank = ValveBank(40, recorder)
    bank.min_off_ticks, bank.max_pulse_ticks = min_pause_us, max_pulse_us
    for evid, (_, first, count, opens, length) in enumerate(told):
        bank.schedule(ScheduledEvent(opens, evid, first, (1 << count) - 1, length))
    assert bank.run_until(100_000) == []  # nothing that is not normal
    fired = {(pulse.first_valve, pulse.valve_count, pulse.open_tick, pulse.close_tick) for pulse in recorder.take()}
    assert fired == {(first, count, opens, opens + length) for _, first, count, opens, length in told}


@given(ROWS)
def test_without_a_limit_openings_of_a_valve_are_apart_by_the_pause(rows: list[Row]) -> None:
    told = unite(pulses_of(rows), min_pause_us=50, max_pulse_us=10**9).pulses
    by_valve: dict[int, list[tuple[int, int]]] = {}
    for _, first, count, opens, length in rows_of(told):
        for valve in range(first, first + count):
            by_valve.setdefault(valve, []).append((opens, opens + length))
    for spans in by_valve.values():
        spans.sort()
        assert all(later[0] - earlier[1] >= 50 for earlier, later in itertools.pairwise(spans))


@given(ROWS, st.integers(1, 900))
def test_no_pulse_is_longer_than_the_greatest(rows: list[Row], max_pulse_us: int) -> None:
    told = unite(pulses_of(rows), min_pause_us=30, max_pulse_us=max_pulse_us).pulses
    assert all(0 < length <= max_pulse_us for *_, length in rows_of(told))
    assert all(1 <= count <= 16 for _, _, count, _, _ in rows_of(told))


@given(ROWS, st.integers(31, 900), st.data())
def test_order_of_asking_does_not_matter(rows: list[Row], max_pulse_us: int, data: st.DataObject) -> None:
    turned = data.draw(st.permutations(rows))
    told = unite(pulses_of(rows), min_pause_us=30, max_pulse_us=max_pulse_us).pulses
    again = unite(pulses_of(turned), min_pause_us=30, max_pulse_us=max_pulse_us).pulses
    assert rows_of(told) == rows_of(again)


@given(ROWS)
def test_what_is_united_stays_as_it_is(rows: list[Row]) -> None:
    once = unite(pulses_of(rows), min_pause_us=30, max_pulse_us=10**9).pulses
    twice = unite(once, min_pause_us=30, max_pulse_us=10**9)
    assert open_times(once) == open_times(twice.pulses)
    assert not twice.is_merged.any()


@given(ROWS)
def test_a_pulse_counts_as_merged_when_others_open_all_of_its_valves(rows: list[Row]) -> None:
    asked = pulses_of(rows)
    united = unite(asked, min_pause_us=30, max_pulse_us=10**9)
    assert united.is_merged.shape == (len(asked),)
    kept = [row for row, merged in zip(rows, united.is_merged.tolist(), strict=True) if not merged]
    assert bool(kept) == bool(rows)
    assert openers(rows_of(united.pulses)) <= openers(kept)


def test_two_cameras_that_see_one_object_fire_once() -> None:
    front, rear = pulses_of([(0, 4, 2, 1000, 900)]), pulses_of([(0, 4, 2, 1010, 900)])
    united = unite(join_views([front, rear], [1, 1]), min_pause_us=500, max_pulse_us=20_000)
    assert rows_of(united.pulses) == [(0, 4, 2, 1000, 910)]
    assert united.is_merged.tolist() == [False, True]


def test_a_view_that_fires_more_valves_opens_only_those_for_longer() -> None:
    both = pulses_of([(0, 4, 1, 1000, 500), (1, 4, 3, 1200, 600)])
    united = unite(both, min_pause_us=0, max_pulse_us=20_000)
    assert rows_of(united.pulses) == [(0, 4, 1, 1000, 800), (1, 5, 2, 1200, 600)]
    assert united.is_merged.tolist() == [False, False]


def test_objects_are_counted_on_from_view_to_view() -> None:
    views = [pulses_of([(0, 1, 1, 0, 5), (2, 1, 1, 9, 5)]), pulses_of([]), pulses_of([(1, 3, 1, 4, 5)])]
    joined = join_views(views, [3, 4, 2])
    assert joined.objects.tolist() == [0, 2, 8]
    assert joined.first_valves.tolist() == [1, 1, 3]
    assert joined.open_us.dtype == np.int64
    assert len(join_views([], [])) == 0


def test_late_is_what_can_not_be_commanded_any_more() -> None:
    asked = pulses_of([(0, 1, 1, 1500, 5), (1, 1, 1, 1499, 5)])
    assert in_time(asked, now_us=1000, lead_us=500).tolist() == [True, False]


def test_pulses_are_united_up_to_exactly_the_greatest_length() -> None:
    asked = pulses_of([(0, 3, 1, 1000, 500), (1, 3, 1, 1400, 600)])
    assert rows_of(unite(asked, min_pause_us=0, max_pulse_us=1000).pulses) == [(0, 3, 1, 1000, 1000)]
    assert rows_of(unite(asked, min_pause_us=0, max_pulse_us=999).pulses) == [(0, 3, 1, 1000, 999), (1, 3, 1, 1999, 1)]


def test_a_valve_that_may_not_stay_open_closes_for_the_least_pause_and_tells_whom_that_cuts() -> None:
    asked = pulses_of([(0, 3, 1, 0, 15_000), (1, 3, 1, 14_000, 15_000), (2, 3, 1, 60_000, 25_000)])
    united = unite(asked, min_pause_us=500, max_pulse_us=20_000)
    assert rows_of(united.pulses) == [(0, 3, 1, 0, 20_000), (1, 3, 1, 20_500, 8_500), (2, 3, 1, 60_000, 20_000)]
    assert (united.is_cut.tolist(), united.is_merged.tolist()) == ([False, True, True], [False, False, False])


def test_a_pulse_that_comes_too_soon_after_a_full_one_begins_after_the_pause() -> None:
    united = unite(pulses_of([(0, 3, 1, 0, 19_900), (1, 3, 1, 20_000, 5_000)]), min_pause_us=500, max_pulse_us=20_000)
    assert rows_of(united.pulses) == [(0, 3, 1, 0, 19_900), (1, 3, 1, 20_400, 4_600)]
    assert united.is_cut.tolist() == [False, True]


def test_no_command_opens_more_than_16_valves_and_the_first_object_owns_it() -> None:
    asked = pulses_of([(7, 0, 9, 0, 5), (3, 9, 11, 0, 5)])
    assert rows_of(unite(asked, min_pause_us=0, max_pulse_us=99).pulses) == [(3, 0, 16, 0, 5), (3, 16, 4, 0, 5)]


def test_views_and_counts_belong_together() -> None:
    with pytest.raises(ValueError, match="zip"):
        join_views([pulses_of([])], [1, 2])
