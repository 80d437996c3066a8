"""Valves open once for all who ask, never later and never less than asked."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decisions import Pulses
from edge_runtime.unite import in_time, join_views, unite

Row = tuple[int, int, int, int, int]

ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 20), st.integers(1, 16), st.integers(0, 500), st.integers(1, 300)),
    max_size=15,
)


def pulses_of(rows: list[Row]) -> Pulses:
    table = np.array(rows, np.int64).reshape(-1, 5)
    return Pulses(table[:, 0], table[:, 1].astype(np.int32), table[:, 2].astype(np.int32), table[:, 3], table[:, 4])


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


@given(ROWS, st.integers(0, 80), st.integers(1, 900))
def test_a_valve_is_open_when_asked_and_else_only_over_short_pauses(
    rows: list[Row], min_pause_us: int, max_pulse_us: int
) -> None:
    asked = pulses_of(rows)
    told = unite(asked, min_pause_us=min_pause_us, max_pulse_us=max_pulse_us).pulses
    wanted, given_ = open_times(asked), open_times(told)
    assert wanted.keys() == given_.keys()
    for valve, times in wanted.items():
        assert times <= given_[valve]
        for moment in given_[valve] - times:
            before, after = max(t for t in times if t < moment), min(t for t in times if t > moment)
            assert after - before - 1 < min_pause_us


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
def test_no_pulse_is_made_longer_than_the_greatest(rows: list[Row], max_pulse_us: int) -> None:
    told = unite(pulses_of(rows), min_pause_us=30, max_pulse_us=max_pulse_us).pulses
    longest_asked = max([0, *(row[4] for row in rows)])
    assert all(length <= max(max_pulse_us, longest_asked) for *_, length in rows_of(told))
    assert all(1 <= count <= 16 for _, _, count, _, _ in rows_of(told))


@given(ROWS, st.data())
def test_order_of_asking_does_not_matter(rows: list[Row], data: st.DataObject) -> None:
    turned = data.draw(st.permutations(rows))
    told = unite(pulses_of(rows), min_pause_us=30, max_pulse_us=10**9).pulses
    again = unite(pulses_of(turned), min_pause_us=30, max_pulse_us=10**9).pulses
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
    assert len(unite(asked, min_pause_us=0, max_pulse_us=999).pulses) == 2


def test_a_long_pulse_counts_in_full_for_what_follows_inside_of_it() -> None:
    asked = pulses_of([(0, 3, 1, 1000, 900), (1, 3, 1, 1100, 100)])
    united = unite(asked, min_pause_us=0, max_pulse_us=800)
    assert united.is_merged.tolist() == [False, False]


def test_no_command_opens_more_than_16_valves_and_the_first_object_owns_it() -> None:
    asked = pulses_of([(7, 0, 9, 0, 5), (3, 9, 11, 0, 5)])
    assert rows_of(unite(asked, min_pause_us=0, max_pulse_us=99).pulses) == [(3, 0, 16, 0, 5), (3, 16, 4, 0, 5)]


def test_views_and_counts_belong_together() -> None:
    with pytest.raises(ValueError, match="zip"):
        join_views([pulses_of([])], [1, 2])
