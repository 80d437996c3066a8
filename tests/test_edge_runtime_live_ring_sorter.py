"""Frames of a ring, sorted by any worker in any order, give what the inline shell gives."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import scenes, segment_settings, stub_scores

from edge_runtime.crop import CropSpec
from edge_runtime.decisions import Decisions
from edge_runtime.inline import InlineSorter, desk_machine
from edge_runtime.line_scan import Block
from edge_runtime.live.frame_ring import FrameRing, RingShape
from edge_runtime.live.ring_sorter import RingSorter
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.schemas import ClassRule, Recipe
from edge_runtime.segment import SegmentSettings

CLASSES = (ClassRule("good"), ClassRule("stone", "eject"), ClassRule("husk", "eject", min_score=0.6))
MACHINE = desk_machine(40, max_object_lines=32)
MOST_LINES = 64
CUTS = st.lists(st.one_of(st.integers(1, 8), st.integers(1, MOST_LINES)), min_size=1, max_size=30)


def sorter_for(segment: SegmentSettings) -> Sorter:
    recipe = Recipe(CLASSES, segment=segment, crop=CropSpec(side_px=48))
    return Sorter(recipe, NormSpec(), MACHINE.cameras[0], stub_scores)


def blocks_of(scene: NDArray[np.uint8], heights: list[int], gaps: set[int]) -> list[Block]:
    """Cut a scene; blocks whose turn is in `gaps` never come."""
    blocks, line, turn = [], 0, 0
    while line < len(scene):
        pixels = scene[line : line + heights[turn % len(heights)]]
        if turn not in gaps:
            blocks.append(Block(line, pixels))
        line, turn = line + len(pixels), turn + 1
    return blocks


def ring_of(blocks: list[Block], *, slots: int) -> FrameRing:
    ring = FrameRing.create("test", RingShape(slots, MOST_LINES, 40, 3))
    for block in blocks:
        ring.write(block.pixels, first_line=block.first_line, frame_id=0, exposed_ns=0)
    return ring


def sort_inline(blocks: list[Block], sorter: Sorter) -> list[Decisions]:
    """Sort block by block; what a gap leaves behind comes with the block after it, as live."""
    inline = InlineSorter(sorter, MACHINE)
    results, expected = [], blocks[0].first_line if blocks else 0
    for block in blocks:
        parts = [] if block.first_line == expected else [inline.finish().decisions]
        parts.append(inline.sort_block(block).decisions)
        results.append(Decisions.concat(parts))
        expected = block.end_line
    if results:
        results[-1] = Decisions.concat([results[-1], inline.finish().decisions])
    return results


def differing_fields(one: Decisions, other: Decisions) -> list[str]:
    return [
        name for name in Decisions.__struct_fields__ if not np.array_equal(getattr(one, name), getattr(other, name))
    ]


@settings(deadline=None, max_examples=100)
@given(scenes(heights=st.integers(1, 420)), CUTS, st.sets(st.integers(1, 12)), segment_settings(), st.data())
def test_workers_give_what_the_inline_shell_gives(
    scene: NDArray[np.uint8], heights: list[int], gaps: set[int], segment: SegmentSettings, data: st.DataObject
) -> None:
    """Whoever sorts which frame, in whatever order, with or without gaps between the frames."""
    blocks = blocks_of(scene, heights, gaps)
    sorter = sorter_for(segment)
    ring = ring_of(blocks, slots=len(blocks) + 2)
    workers = [RingSorter(sorter, ring) for _ in range(3)]
    last = len(blocks) - 1
    found: dict[int, Decisions | None] = {}

    for number in data.draw(st.permutations(range(len(blocks)))):
        worker = workers[data.draw(st.integers(0, 2))]
        found[number] = worker.sort(number, is_last=number == last)

    expected = sort_inline(blocks, sorter)
    for number, decisions in enumerate(expected):
        mine = found[number]
        assert mine is not None
        assert differing_fields(mine, decisions) == []


def test_a_frame_that_the_ring_does_not_hold_any_more_gives_nothing() -> None:
    blocks = [Block(16 * i, np.zeros((16, 40, 3), np.uint8)) for i in range(6)]
    ring = ring_of(blocks, slots=4)

    assert RingSorter(sorter_for(SegmentSettings()), ring).sort(1) is None


def test_a_frame_whose_lines_before_are_gone_gives_nothing_rather_than_less() -> None:
    """Frame 3 is whole, but what lies before it was overwritten: objects would be cut."""
    blocks = [Block(16 * i, np.zeros((16, 40, 3), np.uint8)) for i in range(6)]
    ring = ring_of(blocks, slots=4)

    assert ring.read(3) is not None
    assert RingSorter(sorter_for(SegmentSettings()), ring).sort(3) is None


def test_a_frame_overwritten_while_it_is_copied_gives_nothing() -> None:
    blocks = [Block(16 * i, np.full((16, 40, 3), 200, np.uint8)) for i in range(2)]
    ring = ring_of(blocks, slots=4)

    def overwrite(stage: str) -> None:
        if stage == "flat_field":
            for i in range(4):
                ring.write(blocks[0].pixels, first_line=1000 + 16 * i, frame_id=0, exposed_ns=0)

    recipe = Recipe(CLASSES, crop=CropSpec(side_px=48))
    sorter = Sorter(recipe, NormSpec(), MACHINE.cameras[0], stub_scores, None, overwrite)

    assert RingSorter(sorter, ring).sort(1) is None


def test_an_area_frame_is_a_scene_by_itself() -> None:
    frame = np.zeros((60, 40, 3), np.uint8)
    frame[20:30, 10:22] = 200
    machine = desk_machine(40, max_object_lines=32)
    camera = type(machine.cameras[0])(width_px=40, kind="area", frame_lines=60)
    sorter = Sorter(Recipe(CLASSES, crop=CropSpec(side_px=48)), NormSpec(), camera, stub_scores)
    ring = FrameRing.create("area", RingShape(4, 60, 40, 3))
    for first_line in (0, 60, 180):
        ring.write(frame, first_line=first_line, frame_id=0, exposed_ns=0)

    decisions = RingSorter(sorter, ring).sort(2)

    assert decisions is not None
    assert decisions.lines.tolist() == [180 + 29]
