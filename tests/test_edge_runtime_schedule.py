"""Pulses cover the passage of what is thrown out, at the lanes it lies over, and nothing else fires."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import decided_boxes

from edge_runtime.decisions import Pulses
from edge_runtime.schedule import lanes_of, line_time_us, schedule
from edge_runtime.schemas import Camera, Lane, Machine

CAMERA = Camera(width_px=1024, pixel_mm=0.1, to_valves_mm=300.0)
Box = tuple[int, int, int, int]


def machine_of(lanes: tuple[Lane, ...], *, belt_mm_s: float = 2000.0, margin_mm: float = 0.5) -> Machine:
    return Machine("desk", (CAMERA,), lanes, belt_mm_s=belt_mm_s, pulse_margin_mm=margin_mm)


def even_lanes(count: int, *, width_mm: float = 5.0, delay_us: int = 0) -> tuple[Lane, ...]:
    return tuple(Lane(i, i * width_mm, (i + 1) * width_mm, delay_us) for i in range(count))


def rows_of(pulses: Pulses) -> list[tuple[int, ...]]:
    columns = (pulses.objects, pulses.first_valves, pulses.valve_counts, pulses.open_us, pulses.pulse_us)
    return list(zip(*(column.tolist() for column in columns), strict=True))


BOXES = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 10**9), st.integers(1, 200), st.integers(1, 96)), max_size=10
)


@given(BOXES, st.floats(100, 10_000), st.floats(0, 5), st.integers(0, 100_000))
def test_pulse_covers_the_passage_with_margins_less_the_delay(
    boxes: list[Box], belt_mm_s: float, margin_mm: float, delay_us: int
) -> None:
    machine = machine_of(even_lanes(24, delay_us=delay_us), belt_mm_s=belt_mm_s, margin_mm=margin_mm)
    for owner, _, _, open_us, pulse_us in rows_of(schedule(decided_boxes(boxes), machine, CAMERA)):
        _, line, _, height = boxes[owner]
        jet_us = open_us + delay_us
        arrives_us = (line * CAMERA.pixel_mm + CAMERA.to_valves_mm - margin_mm) / belt_mm_s * 1e6
        leaves_us = ((line + height) * CAMERA.pixel_mm + CAMERA.to_valves_mm + margin_mm) / belt_mm_s * 1e6
        assert jet_us == pytest.approx(arrives_us, abs=1, rel=1e-12)
        assert jet_us + pulse_us == pytest.approx(leaves_us, abs=2, rel=1e-12)
        assert pulse_us > 0


@given(BOXES)
def test_lanes_are_those_that_cover_some_of_the_middle_half(boxes: list[Box]) -> None:
    lanes = even_lanes(15)  # the view is wider: its right edge has no lane
    for (x, _, width, _), (first, count) in zip(
        boxes, lanes_of(np.array(boxes).reshape(-1, 4), machine_of(lanes), CAMERA), strict=True
    ):
        begin, end = (x + width / 4) * CAMERA.pixel_mm, (x + width * 3 / 4) * CAMERA.pixel_mm
        covering = [i for i, lane in enumerate(lanes) if lane.from_mm < end and lane.to_mm > begin]
        assert list(range(first, first + count)) == covering


@given(BOXES, st.data())
def test_only_what_is_ejected_gets_pulses(boxes: list[Box], data: st.DataObject) -> None:
    is_eject = [data.draw(st.booleans()) for _ in boxes]
    pulses = schedule(decided_boxes(boxes, is_eject), machine_of(even_lanes(21)), CAMERA)
    fired = set(pulses.objects.tolist())
    assert all(is_eject[owner] for owner in fired)
    over_a_lane = {i for i, box in enumerate(boxes) if is_eject[i] and (box[0] + box[2] / 4) * 0.1 < 105}
    assert fired == over_a_lane


LANES = st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0, 0, 0, 250])), min_size=1, max_size=60)


@given(LANES)
def test_valves_of_an_object_are_fired_once_each_in_runs(lanes: list[tuple[int, int]]) -> None:
    """Runs of consecutive valves with equal delays, at most 16 a pulse, as few as that allows."""
    valve, table = -1, []
    for i, (gap, delay_us) in enumerate(lanes):
        valve += 1 + (gap == 0)
        table.append(Lane(valve, i * 1.0, i + 1.0, delay_us))
    wide: Box = (-600, 0, 2400, 10)  # its middle half covers the first 120 mm, all lanes
    pulses = schedule(decided_boxes([wide]), machine_of(tuple(table)), CAMERA)
    first, count = lanes_of(np.array([wide]), machine_of(tuple(table)), CAMERA)[0]
    assert (first, count) == (0, len(table))
    expected = [(lane.valve, lane.delay_us) for lane in table[first : first + count]]
    fired = [
        (first_valve + i, round(150_000 - 250 - open_us))
        for _, first_valve, valves, open_us, _ in rows_of(pulses)
        for i in range(valves)
    ]
    assert fired == expected
    runs = [(run[1], run[2], run[3]) for run in rows_of(pulses)]
    assert all(1 <= valves <= 16 for _, valves, _ in runs)
    for (valve_a, count_a, open_a), (valve_b, _, open_b) in itertools.pairwise(runs):
        assert valve_b != valve_a + count_a or open_a != open_b or count_a == 16


def test_object_over_no_lane_gets_no_pulse() -> None:
    machine = machine_of((Lane(0, 50.0, 60.0),))
    assert len(schedule(decided_boxes([(0, 0, 100, 10)]), machine, CAMERA)) == 0


def test_an_object_over_no_lane_does_not_keep_the_next_one_from_its_pulse() -> None:
    machine = machine_of((Lane(4, 50.0, 60.0),))
    pulses = schedule(decided_boxes([(0, 0, 100, 10), (500, 5, 100, 10)]), machine, CAMERA)
    assert (pulses.objects.tolist(), pulses.first_valves.tolist(), pulses.valve_counts.tolist()) == ([1], [4], [1])


def test_lanes_that_only_meet_the_middle_half_do_not_cover_it() -> None:
    lanes = (Lane(0, 0.0, 2.5), Lane(1, 2.5, 7.5), Lane(2, 7.5, 9.0))
    assert lanes_of(np.array([[0, 0, 100, 10]]), machine_of(lanes), CAMERA) == [(1, 1)]
    assert lanes_of(np.array([[500, 0, 100, 10]]), machine_of(lanes), CAMERA) == [(0, 0)]


def test_a_passage_of_no_time_is_a_pulse_of_one_microsecond() -> None:
    machine = machine_of(even_lanes(2), belt_mm_s=1e9, margin_mm=0.0)
    assert schedule(decided_boxes([(0, 0, 40, 1)]), machine, CAMERA).pulse_us.tolist() == [1]


def test_edge_that_leans_into_the_next_lane_does_not_fire_it() -> None:
    machine = machine_of(even_lanes(2))
    assert lanes_of(np.array([[40, 0, 12, 10], [35, 0, 30, 10]]), machine, CAMERA) == [(0, 1), (0, 2)]


def test_no_decisions_give_no_pulses_of_the_right_types() -> None:
    pulses = schedule(decided_boxes([]), machine_of(even_lanes(3)), CAMERA)
    assert len(pulses) == 0
    assert [pulses.first_valves.dtype, pulses.open_us.dtype] == [np.int32, np.int64]


def test_line_time_is_pixel_over_belt_speed() -> None:
    assert line_time_us(machine_of(even_lanes(1)), CAMERA) == pytest.approx(50.0)
