"""The belt's future lies inside the stated bound for every way of driving that keeps the declared acceleration."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.belt_map import BeltForecast, BeltMap
from firmware_bridge.errors import BeltError
from firmware_bridge.event_window import unwrap

TICK_HZ = 1_000_000


@dataclass(frozen=True)
class Drive:
    """How a belt is driven: shares of the declared acceleration, one every 50 ms, and how it is looked at."""

    speed: float
    limit: float
    shares: list[float]
    period_s: float
    tick_zero: int
    count_zero: int

    def belt(self) -> "Belt":
        return Belt(self.speed, [share * self.limit for share in self.shares], 0.05)


def drives() -> st.SearchStrategy[Drive]:
    return st.builds(
        Drive,
        speed=st.floats(500.0, 20_000.0),
        limit=st.floats(1.0, 2000.0),
        shares=st.lists(st.sampled_from([-1.0, 1.0]) | st.floats(-1.0, 1.0), min_size=40, max_size=40),
        period_s=st.sampled_from([0.0005, 0.003, 0.02]),
        tick_zero=st.integers(0, 2**32 - 1),
        count_zero=st.integers(0, 2**32 - 1),
    )


class Belt:
    """A belt whose acceleration is constant between knots; position and time are exact."""

    def __init__(self, speed: float, accels: list[float], knot_s: float) -> None:
        self._knot_s = knot_s
        self._accels = accels
        self._speeds = [speed]
        self._places = [0.0]
        for accel in accels:
            self._places.append(self._places[-1] + self._speeds[-1] * knot_s + accel * knot_s**2 / 2)
            self._speeds.append(self._speeds[-1] + accel * knot_s)

    @property
    def end_s(self) -> float:
        return self._knot_s * len(self._accels)

    def place_at(self, time_s: float) -> float:
        knot = min(int(time_s / self._knot_s), len(self._accels) - 1)
        rest_s = time_s - knot * self._knot_s
        return self._places[knot] + self._speeds[knot] * rest_s + self._accels[knot] * rest_s**2 / 2

    def time_of(self, place: float) -> float | None:
        """Return when the belt first reaches a place, None if not within its time; by bisection."""
        knots = [self.place_at(number * self._knot_s) for number in range(len(self._accels) + 1)]
        for number, reached in enumerate(knots):
            if reached >= place and number > 0:
                low, high = (number - 1) * self._knot_s, number * self._knot_s
                for _ in range(60):
                    middle = (low + high) / 2
                    low, high = (low, middle) if self.place_at(middle) >= place else (middle, high)
                return high
        return None


def watch(belt: Belt, mapped: BeltMap, drive: Drive, *, until_s: float) -> int:
    """Feed stamps as a controller latches them; return the last count."""
    count = drive.count_zero
    for number in range(round(until_s / drive.period_s) + 1):
        time_s = number * drive.period_s
        count = drive.count_zero + math.floor(belt.place_at(time_s))
        mapped.add_stamp((drive.tick_zero + math.floor(time_s * TICK_HZ)) % 2**32, count % 2**32)
    return count


def steady(accel: float = 100.0, speed: float = 5000.0) -> tuple[BeltMap, int]:
    drive = Drive(speed, accel, [0.0] * 40, 0.01, 0, 0)
    mapped = BeltMap(TICK_HZ, max_accel=accel)
    return mapped, watch(drive.belt(), mapped, drive, until_s=1.0)


@given(drives(), st.integers(1, 4000))
def test_the_truth_lies_inside_the_bound_whatever_the_belt_does(drive: Drive, ahead: int) -> None:
    belt, mapped = drive.belt(), BeltMap(TICK_HZ, max_accel=drive.limit)
    count = watch(belt, mapped, drive, until_s=0.6)
    true_s = belt.time_of(count + ahead - drive.count_zero)
    try:
        forecast = mapped.forecast((count + ahead) % 2**32)
    except BeltError as error:
        assert "may stop" in str(error) or "may stand still" in str(error)
        return
    if true_s is not None:  # else beyond the simulated time
        guessed = unwrap(forecast.tick, drive.tick_zero) - drive.tick_zero
        assert abs(true_s * TICK_HZ - guessed) <= forecast.error_bound_us


@given(drives())
def test_the_true_speed_lies_between_least_and_most(drive: Drive) -> None:
    belt, mapped = drive.belt(), BeltMap(TICK_HZ, max_accel=drive.limit)
    watch(belt, mapped, drive, until_s=0.6)
    true_speed = (belt.place_at(0.6) - belt.place_at(0.6 - 1e-6)) / 1e-6
    assert mapped.speed.least - 1.0 <= true_speed <= mapped.speed.most + 1.0  # 1: of the difference quotient
    assert mapped.speed.least <= mapped.speed.counts_per_s <= mapped.speed.most


def test_a_steady_belt_is_known_to_a_fraction_of_a_percent() -> None:
    mapped, count = steady()
    assert abs(mapped.speed.counts_per_s - 5000.0) < 5.0
    forecast = mapped.forecast(count + 1000)
    assert abs(forecast.tick - 1_200_000) <= 200
    assert forecast.error_bound_us < 1500


def test_the_bound_grows_with_distance_and_with_the_declared_acceleration() -> None:
    bounds = [steady()[0].forecast(5000 + ahead).error_bound_us for ahead in (100, 500, 2000)]
    assert bounds == sorted(bounds)
    assert len(set(bounds)) == 3
    calm, wild = steady(accel=10.0)[0], steady(accel=1000.0)[0]
    assert calm.forecast(6000).error_bound_us < wild.forecast(6000).error_bound_us


def test_the_count_just_passing_is_forecast_for_now() -> None:
    mapped, count = steady()
    assert mapped.forecast(count) == BeltForecast(1_000_000, mapped.forecast(count).error_bound_us, 1_000_000)
    assert mapped.forecast(count).error_bound_us <= 210  # one count at 5000 a second, and a tick


@pytest.mark.parametrize("stamps", [[], [(0, 0)], [(0, 0), (0, 5)], [(0, 0), (1, 5)], [(100, 0), (50, 5)]])
def test_too_few_stamps_are_an_error_and_no_guess(stamps: list[tuple[int, int]]) -> None:
    mapped = BeltMap(TICK_HZ, max_accel=100.0)
    for tick, count in stamps:
        mapped.add_stamp(tick, count)
    with pytest.raises(BeltError, match="fewer than 2 trigger stamps"):
        mapped.forecast(100)


@pytest.mark.parametrize("speed", [0.0, -3000.0, 5.0])
def test_a_belt_that_stands_creeps_or_runs_backwards_is_an_error(speed: float) -> None:
    mapped, count = steady(speed=speed)
    with pytest.raises(BeltError, match="belt may stand still"):
        mapped.forecast(count + 100)


def test_a_belt_that_could_stop_on_the_way_is_an_error_with_the_distance() -> None:
    mapped, count = steady(accel=5000.0)
    with pytest.raises(BeltError, match=r"may stop before the count: 9001 counts ahead > \d+"):
        mapped.forecast(count + 9000)


def test_a_count_that_has_passed_is_an_error() -> None:
    mapped, count = steady()
    with pytest.raises(BeltError, match="50 counts behind the latest stamp"):
        mapped.forecast(count - 50)


def test_a_jump_of_the_counts_is_an_error_until_it_is_out_of_sight() -> None:
    mapped = BeltMap(TICK_HZ, max_accel=100.0)
    for block in range(100):
        mapped.add_stamp(block * 10_000, block * 50)
    for block in range(100, 300):
        mapped.add_stamp(block * 10_000, block * 50 + 3000)
        if block == 105:
            with pytest.raises(BeltError, match=r"faster than the declared 100 counts/s\^2"):
                mapped.forecast(block * 50 + 4000)
    assert abs(mapped.forecast(299 * 50 + 3000 + 500).tick - (2_990_000 + 100_000)) <= 200


def test_an_older_and_a_repeated_stamp_change_nothing() -> None:
    mapped, count = steady()
    before = mapped.forecast(count + 500)
    mapped.add_stamp(1_000_000, count + 77)
    mapped.add_stamp(600_000, 12)
    assert mapped.forecast(count + 500) == before


def test_long_runs_keep_few_stamps() -> None:
    """The cost of a forecast does not grow with the run."""
    mapped = BeltMap(TICK_HZ, max_accel=0.0)
    for block in range(20_000):
        mapped.add_stamp(block * 1000, block * 5)
    assert len(mapped._older) <= 66
    assert mapped.speed.most - mapped.speed.least < 1.0
