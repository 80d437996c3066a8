"""Each event id is new once, for ever, across the wrap of u32."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.event_window import WINDOW_EVENTS, Arrival, EventWindow, unwrap


@given(st.lists(st.integers(0, 3000), max_size=400))
def test_an_id_is_new_at_most_once(evids: list[int]) -> None:
    window = EventWindow()
    new: set[int] = set()
    for evid in evids:
        oldest = window.next_evid - WINDOW_EVENTS
        expected = Arrival.STALE if evid < oldest else Arrival.DUPLICATE if evid in new else Arrival.NEW
        assert expected is window.add(evid)
        new |= {evid} if expected is Arrival.NEW else set()


@given(st.lists(st.integers(0, 2000), max_size=300), st.integers(0, 2000))
def test_the_acknowledgement_tells_exactly_the_known_ids(evids: list[int], base: int) -> None:
    window = EventWindow()
    new = {evid for evid in evids if window.add(evid) is Arrival.NEW}
    oldest = window.next_evid - WINDOW_EVENTS
    expected = {evid for evid in new if base <= evid < base + 64 and evid >= oldest}
    bits = window.received_from(base)
    assert expected == {base + bit for bit in range(64) if bits >> bit & 1}
    assert bits < 1 << 64


@given(st.integers(0, 2**70), st.integers(-(2**31), 2**31 - 1))
def test_unwrap_finds_the_number_within_half_a_circle(near: int, distance: int) -> None:
    assert near + distance == unwrap((near + distance) % 2**32, near)


def test_a_jump_beyond_the_window_forgets_all() -> None:
    window = EventWindow()
    window.add(0)
    assert window.add(5000) is Arrival.NEW
    assert window.add(0) is Arrival.STALE
    assert window.received_from(4999) == 0b10


def test_a_new_window_begins_at_0_and_knows_nothing() -> None:
    window = EventWindow()
    assert window.next_evid == 0
    assert [window.received_from(base) for base in (-1024, -64, 0)] == [0, 0, 0]


def test_the_window_is_1024_ids_on_both_sides_of_its_edge() -> None:
    window = EventWindow()
    assert window.add(2000) is Arrival.NEW
    assert window.next_evid == 2001
    assert [window.add(evid) for evid in (977, 976, 2000)] == [Arrival.NEW, Arrival.STALE, Arrival.DUPLICATE]
    assert window.next_evid == 2001
    assert window.add(2001) is Arrival.NEW
    assert window.next_evid == 2002
    assert [window.add(evid) for evid in (977, 978)] == [Arrival.STALE, Arrival.NEW]


def test_the_acknowledgement_is_64_bits_from_any_base() -> None:
    window = EventWindow()
    for evid in range(100):
        window.add(evid)
    assert window.received_from(0) == 2**64 - 1
    assert window.received_from(-1) == 2**64 - 2
    assert window.received_from(36) == 2**64 - 1
    assert window.received_from(37) == 2**63 - 1
    assert window.received_from(100) == 0
    assert window.received_from(100 - WINDOW_EVENTS - 1) == 0


@pytest.mark.parametrize("ahead", [1023, 1024, 1025, 5000])
def test_ids_skipped_by_a_jump_are_new(ahead: int) -> None:
    window = EventWindow()
    window.add(0)
    window.add(ahead)
    assert window.add(0) is (Arrival.STALE if ahead >= WINDOW_EVENTS else Arrival.DUPLICATE)
    assert {window.add(evid) for evid in range(max(1, ahead - 1023), ahead)} == {Arrival.NEW}
