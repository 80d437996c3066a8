"""Clocks never go back, and both kinds keep one contract."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.clock import NS_PER_S, Clock, ManualClock, SystemClock

STEPS = st.lists(st.integers(0, 10**12), max_size=20)


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    make: Callable[[], Clock] = request.param
    return make()


def test_monotonic_time_never_goes_back(clock: Clock) -> None:
    stamps = [clock.monotonic_ns() for _ in range(1000)]
    assert stamps == sorted(stamps)


def test_wall_clock_is_utc(clock: Clock) -> None:
    assert clock.utc_now().utcoffset() == timedelta(0)


@pytest.mark.parametrize("seconds", [0.001, 0.0, -1.0])
def test_sleep_lasts_at_least_as_long_as_asked(clock: Clock, seconds: float) -> None:
    before_ns = clock.monotonic_ns()
    clock.sleep_s(seconds)
    assert clock.monotonic_ns() - before_ns >= seconds * NS_PER_S


@given(STEPS)
def test_manual_clock_moves_by_what_it_is_told(steps: list[int]) -> None:
    start = datetime(2030, 5, 6, tzinfo=UTC)
    clock = ManualClock(start)
    for step_ns in steps:
        clock.advance_ns(step_ns)
    assert clock.monotonic_ns() == sum(steps)
    assert abs(clock.utc_now() - start - timedelta(microseconds=sum(steps) // 1000)) <= timedelta(microseconds=1)


def test_manual_clock_stands_still_by_itself() -> None:
    clock = ManualClock()
    assert (clock.monotonic_ns(), clock.utc_now()) == (clock.monotonic_ns(), clock.utc_now())
    assert clock.utc_now() == datetime(2026, 1, 1, tzinfo=UTC)


def test_manual_clock_does_not_go_back() -> None:
    clock = ManualClock()
    with pytest.raises(ValueError, match="a clock cannot go back by 5 ns"):
        clock.advance_ns(-5)
    clock.sleep_s(-3)
    assert clock.monotonic_ns() == 0
