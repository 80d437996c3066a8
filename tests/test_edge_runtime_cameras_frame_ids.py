"""A counter that wraps reads as one that does not; one that begins anew still does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cameras.frame_ids import FrameIds


@given(st.integers(0, 2**34), st.lists(st.integers(1, 2**26), max_size=60))
def test_a_counter_of_32_bits_is_unwrapped(start: int, steps: list[int]) -> None:
    ids, true = FrameIds(2**32), start
    base = start - start % 2**32  # the unwrapper cannot know of rounds before it
    assert ids.unwrap(true % 2**32) == true - base
    for step in steps:
        true += step
        assert ids.unwrap(true % 2**32) == true - base


def test_gige_vision_counts_1_to_65535() -> None:
    ids = FrameIds(65535)
    raw = [65534, 65535, 1, 2, *range(3, 65536), 1]
    unwrapped = [ids.unwrap(value) for value in raw]
    assert unwrapped == list(range(65534, 65534 + len(raw)))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_any_other_fall_stays_a_fall(last: int, then: int) -> None:
    ids = FrameIds(2**32)
    ids.unwrap(last)
    is_wrap = last >= 2**32 - 2**28 and then < 2**28
    assert ids.unwrap(then) == then + (2**32 if is_wrap else 0)


def test_a_wider_counter_than_its_period_does_not_wrap() -> None:
    ids = FrameIds(65535)
    assert [ids.unwrap(raw) for raw in (65535, 65536, 200_000, 3)] == [65535, 65536, 200_000, 3]


@pytest.mark.parametrize(
    ("last", "then", "is_wrap"),
    [(1600, 99, True), (1500, 99, True), (1499, 99, False), (1600, 100, False), (1600, 0, True), (1601, 0, False)],
)
def test_a_wrap_leads_from_the_last_sixteenth_into_the_first(last: int, then: int, is_wrap: bool) -> None:
    ids = FrameIds(1600)
    ids.unwrap(last)
    assert ids.unwrap(then) == then + 1600 * is_wrap
