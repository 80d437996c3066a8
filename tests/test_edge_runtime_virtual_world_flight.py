"""What lands is told once, in order, whatever the steps; what the inspection forgets changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_host import BLOCK_LINES, MACHINE, RECIPE, Blocks, make_scene

from edge_runtime.errors import ConfigError
from edge_runtime.schemas import ClassRule, Recipe
from edge_runtime.virtual_belt import BeltSettings, VirtualBelt
from edge_runtime.virtual_inspection import InspectionTraits, VirtualInspection
from edge_runtime.virtual_world_flight import Flight, WorldInspection
from edge_runtime.virtual_world_log import WorldPulse
from edge_runtime.virtual_world_scene import draw_scene

SCENE = make_scene(pieces=200, rate_hz=2000)
OVER_US = 2_000_000

pulses = st.builds(
    lambda valve, count, start, length: WorldPulse(0, 0, valve, count, start, start + length),
    st.integers(0, 13),
    st.integers(1, 4),
    st.integers(100_000, 400_000),
    st.integers(100, 20_000),
)


def flight_of() -> Flight:
    scatter_mm = np.random.default_rng(4).normal(0, 0.3, SCENE.pieces.count)
    return Flight(SCENE.pieces, MACHINE, scatter_mm)


def inspect(steps_us: list[int], fired: list[WorldPulse]) -> list[tuple[int, int, str]]:
    look = VirtualInspection(
        InspectionTraits(share=1.0), MACHINE.lanes, RECIPE.class_names, pixel_mm=0.13, rng=np.random.default_rng(1)
    )
    inspection = WorldInspection(flight_of(), look, RECIPE.class_names)
    verdicts = []
    for us in sorted(steps_us):
        closed = sorted((pulse for pulse in fired if pulse.close_us <= us), key=lambda pulse: pulse.close_us)
        verdicts += inspection.judge(us, closed)
    return [(verdict.tick, verdict.class_id, verdict.source.name) for verdict in verdicts]


@settings(deadline=None, max_examples=40)
@given(st.lists(pulses, min_size=20, max_size=40), st.lists(st.integers(250_000, 550_000), min_size=5, max_size=30))
def test_the_inspection_sees_the_same_however_often_it_looks(fired: list[WorldPulse], steps_us: list[int]) -> None:
    at_once = inspect([OVER_US], fired)

    assert inspect([*steps_us, OVER_US], fired) == at_once
    assert len(at_once) == SCENE.pieces.count


@settings(deadline=None, max_examples=40)
@given(st.lists(pulses, max_size=30), st.integers(0, 200))
def test_pieces_are_thrown_the_same_in_parts_and_at_once(fired: list[WorldPulse], cut: int) -> None:
    flight = flight_of()
    count = flight.pieces.count

    parts = [flight.is_thrown(0, cut, fired), flight.is_thrown(cut, count, fired)]

    assert np.array_equal(np.concatenate(parts), flight.is_thrown(0, count, fired))


@given(st.integers(0, OVER_US), st.integers(0, OVER_US))
def test_what_has_landed_stays_landed(us: int, later_us: int) -> None:
    flight = flight_of()

    assert flight.landed_by(us) <= flight.landed_by(us + later_us) <= flight.pieces.count
    assert flight.inspected_by(us) <= flight.landed_by(us)
    assert flight.landed_by(flight.over_us) == flight.inspected_by(flight.over_us) == flight.pieces.count
    assert flight.inspected_by(flight.over_us - 1) < flight.pieces.count


def test_the_scene_is_the_belt_in_whole_blocks() -> None:
    belt = BeltSettings({"good": 1.0, "bad": 1.0}, 40, 900.0, pixel_mm=0.13, width_px=512)
    scene = draw_scene(belt, Blocks(), RECIPE, block_lines=BLOCK_LINES, most_pieces=100)
    raw = VirtualBelt(belt, Blocks())
    lines = np.concatenate([block.pixels for block in raw.blocks(77)])

    whole = np.concatenate(scene.blocks)

    assert {len(block) for block in scene.blocks} == {BLOCK_LINES}
    assert np.array_equal(whole[: len(lines)], lines)
    assert int(whole[len(lines) :].max(initial=0)) <= 12
    assert scene.pieces.first_lines.tolist() == [piece.first_line for piece in raw.objects]
    assert scene.pieces.last_lines.tolist() == [piece.last_line for piece in raw.objects]
    assert scene.pieces.centres_px.tolist() == [piece.centre_px for piece in raw.objects]
    assert [RECIPE.class_names[i] for i in scene.pieces.class_ids] == [piece.kind for piece in raw.objects]


def test_around_the_scene_the_belt_is_empty() -> None:
    for number in (None, -1, SCENE.total_blocks):
        assert SCENE.block(number) is SCENE.empty
    assert SCENE.block(0) is SCENE.blocks[0]
    assert SCENE.block(SCENE.total_blocks - 1) is SCENE.blocks[-1]


def test_a_class_that_the_recipe_lacks_is_refused() -> None:
    belt = BeltSettings({"good": 1.0}, 4, pixel_mm=0.13, width_px=512)

    with pytest.raises(ConfigError, match="carries 'good', the recipe has rice"):
        draw_scene(belt, Blocks(), Recipe((ClassRule("rice"),)), block_lines=64, most_pieces=10)
