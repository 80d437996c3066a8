"""A steady belt divides, an encoder counts; pulses follow either."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import decided_boxes

from edge_runtime.belts import EncoderBelt, Passing, SteadyBelt
from edge_runtime.decisions import Decisions
from edge_runtime.schedule import schedule, schedule_on
from edge_runtime.schemas import Camera, Lane, Machine
from firmware_bridge.belt_map import BeltMap
from firmware_bridge.errors import BeltError

TICK_HZ = 1_000_000
CAMERA = Camera(pixel_mm=0.1, to_valves_mm=300.0)
MACHINE = Machine("m", (CAMERA,), (Lane(3, 0.0, 50.0, 250),), belt_mm_s=2000.0, pulse_margin_mm=0.5)


def ejected_boxes(*lines: int) -> Decisions:
    """Objects of 20 lines, from these lines on, to be ejected."""
    return decided_boxes([(0, line, 30, 20) for line in lines])


def turning(speed_counts_s: float, *, max_accel: float = 1.0) -> BeltMap:
    """Return what stamps tell of a belt of this speed, every 10 ms for a second, the last at tick 1,000,000."""
    belt = BeltMap(TICK_HZ, max_accel=max_accel)
    for step in range(101):
        belt.add_stamp(step * 10_000, round(step * 0.01 * speed_counts_s))
    return belt


@given(st.floats(0, 5000), st.floats(50, 10_000), st.floats(0, 500))
def test_a_steady_belt_passes_at_way_over_speed(way_mm: float, speed_mm_s: float, spread_us: float) -> None:
    assert SteadyBelt(speed_mm_s, spread_us).passing(way_mm) == Passing(way_mm / speed_mm_s * 1e6, spread_us)


@given(st.floats(10, 2000), st.floats(1000, 20_000))
def test_an_encoder_of_even_counts_agrees_with_a_steady_belt(way_mm: float, speed_counts_s: float) -> None:
    belt = EncoderBelt(turning(speed_counts_s), 1_000_000, round(speed_counts_s), counts_per_mm=5.0, tick_hz=TICK_HZ)
    steady = SteadyBelt(speed_counts_s / 5.0)
    counted = belt.passing(way_mm)
    one_count_us = 1e6 / speed_counts_s
    assert abs(counted.at_us - steady.passing(way_mm).at_us) <= counted.spread_us + one_count_us


def test_an_encoder_that_may_stop_tells_nothing_and_nothing_is_fired() -> None:
    belt = EncoderBelt(turning(1000, max_accel=50_000.0), 1_000_000, 1000, counts_per_mm=5.0, tick_hz=TICK_HZ)
    with pytest.raises(BeltError, match="may stop before the count"):
        belt.passing(300.0)
    told = schedule_on(belt, ejected_boxes(100), MACHINE, CAMERA)
    assert (len(told.pulses), told.untold) == (0, (0,))


def test_an_object_that_has_passed_does_not_take_the_others_with_it() -> None:
    belt = EncoderBelt(turning(10_000), 800_000, 8_000, counts_per_mm=5.0, tick_hz=TICK_HZ)  # 400 mm ago
    told = schedule_on(belt, ejected_boxes(900, 2000), MACHINE, CAMERA)
    assert (told.pulses.objects.tolist(), told.untold) == ([1], (0,))


@pytest.mark.parametrize("minutes", [1, 36, 73, 200])
def test_an_encoder_counts_on_for_hours(minutes: int) -> None:
    """Ticks of the wire come again after 71.6 minutes, and are ambiguous after half of that."""
    belt = BeltMap(TICK_HZ, max_accel=1.0)
    belt.add_stamp(5, 3)
    line_0 = EncoderBelt(belt, belt.axis_tick(5), 3, counts_per_mm=0.5, tick_hz=TICK_HZ)
    seconds = minutes * 60
    for second in range(1, seconds + 1):
        belt.add_stamp((5 + second * TICK_HZ) % 2**32, 3 + second * 1000)
    way_mm = (seconds + 0.1) * 2000  # a tenth of a second ahead, at 2 m/s
    passing = line_0.passing(way_mm)
    assert abs(passing.at_us - (seconds + 0.1) * 1e6) <= passing.spread_us


def test_what_the_belt_leaves_open_widens_the_pulse_on_both_sides() -> None:
    exact, loose = (
        schedule_on(SteadyBelt(2000.0, spread), ejected_boxes(100), MACHINE, CAMERA).pulses for spread in (0.0, 300.0)
    )
    assert loose.open_us.tolist() == [exact.open_us[0] - 300]
    assert loose.pulse_us.tolist() == [exact.pulse_us[0] + 600]


def test_the_machine_knows_its_own_spread() -> None:
    machine = Machine("m", (CAMERA,), MACHINE.lanes, timing_spread_us=300.0)
    expected = schedule_on(SteadyBelt(2000.0, 300.0), ejected_boxes(100), MACHINE, CAMERA).pulses
    assert schedule(ejected_boxes(100), machine, CAMERA).pulse_us.tolist() == expected.pulse_us.tolist()


def test_pulses_of_an_encoder_open_when_its_count_comes() -> None:
    belt = EncoderBelt(turning(10_000), 1_000_000, 10_000, counts_per_mm=5.0, tick_hz=TICK_HZ)
    pulses = schedule_on(belt, ejected_boxes(100), MACHINE, CAMERA).pulses
    arrives_us = (100 * 0.1 + 300.0 - 0.5) / 2000 * 1e6 - 250  # 10,000 counts a second are 2 m/s
    spread = belt.passing(309.5).spread_us
    assert abs(pulses.open_us[0] + spread - arrives_us) <= spread + 100
