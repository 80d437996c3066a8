"""A scene in blocks of any height gives the same objects, crops, norms, decisions and digest as the uncut scene."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import draw_shape, scenes, segment_settings, stub_scores

from edge_runtime.crop import CropSpec
from edge_runtime.decisions import OVERSIZE, Decisions, decisions_sha256
from edge_runtime.errors import ConfigError, CropError, FrameError
from edge_runtime.inline import InlineSorter, Sorted, desk_machine
from edge_runtime.line_scan import Block
from edge_runtime.norm import NormSpec
from edge_runtime.pipeline import Sorter
from edge_runtime.schemas import ClassRule, Machine, Recipe
from edge_runtime.segment import SegmentSettings, foreground

CLASSES = (ClassRule("good"), ClassRule("stone", "eject"), ClassRule("husk", "eject", min_score=0.6))
CROP = CropSpec(side_px=48)
MACHINE = desk_machine(40, max_object_lines=32)
HEIGHTS = st.integers(1, 420)
CUTS = st.lists(st.one_of(st.integers(1, 8), st.integers(1, 200)), min_size=1, max_size=30)


def inline_sorter(segment: SegmentSettings, machine: Machine = MACHINE, crop: CropSpec = CROP) -> InlineSorter:
    """Return a sorter that drops what is shorter than 4 px and takes nothing longer than 30 px."""
    recipe = Recipe(CLASSES, segment=segment, crop=crop, min_length_mm=0.4, max_length_mm=3.0, cut_off="classify")
    return InlineSorter(Sorter(recipe, NormSpec(), machine.cameras[0], stub_scores), machine)


def sort_blocks(scene: NDArray[np.uint8], heights: list[int], segment: SegmentSettings) -> list[Sorted]:
    """Sort a scene in blocks of these heights, repeated as needed."""
    inline = inline_sorter(segment)
    steps, line, turn = [], 0, 0
    while line < len(scene):
        block = scene[line : line + heights[turn % len(heights)]]
        steps.append(inline.sort_block(Block(line, block)))
        line, turn = line + len(block), turn + 1
    return [*steps, inline.finish()]


def digest(steps: list[Sorted]) -> str:
    return decisions_sha256([(step.decisions, step.pulses) for step in steps], [rule.name for rule in CLASSES])


def merged(steps: list[Sorted]) -> Decisions:
    return Decisions.concat([step.decisions for step in steps])


def differing_fields(one: Decisions, other: Decisions) -> list[str]:
    names = Decisions.__struct_fields__
    return [name for name in names if not np.array_equal(getattr(one, name), getattr(other, name))]


@settings(deadline=None, max_examples=120)
@given(scenes(heights=HEIGHTS), CUTS, segment_settings())
def test_any_block_height_gives_the_same_decisions(
    scene: NDArray[np.uint8], heights: list[int], segment: SegmentSettings
) -> None:
    whole, cut = sort_blocks(scene, [len(scene)], segment), sort_blocks(scene, heights, segment)

    assert differing_fields(merged(whole), merged(cut)) == []
    assert digest(whole) == digest(cut)


@settings(deadline=None, max_examples=15)
@given(scenes(heights=st.integers(100, 300)), segment_settings())
def test_blocks_of_one_line_give_the_same_decisions(scene: NDArray[np.uint8], segment: SegmentSettings) -> None:
    whole, lines = sort_blocks(scene, [len(scene)], segment), sort_blocks(scene, [1], segment)

    assert differing_fields(merged(whole), merged(lines)) == []
    assert digest(whole) == digest(lines)


@settings(deadline=None, max_examples=120)
@given(scenes(heights=HEIGHTS, kinds=("box", "ellipse", "line"), longest=24), CUTS, segment_settings())
def test_blocks_give_what_one_frame_of_the_whole_scene_gives(
    scene: NDArray[np.uint8], heights: list[int], segment: SegmentSettings
) -> None:
    """But for objects longer than the camera allows, and things inside of rings that a frame shows whole."""
    found = foreground(scene, segment)
    outer, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    contours, _ = cv2.findContours(found, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    assume(len(outer) == len(contours))
    assume(all(cv2.boundingRect(contour)[3] <= MACHINE.cameras[0].max_object_lines for contour in outer))

    frame = [inline_sorter(segment).sort_frame(scene)]
    blocks = sort_blocks(scene, heights, segment)

    assert differing_fields(merged(frame), merged(blocks)) == []
    assert digest(frame) == digest(blocks)


def test_object_over_many_blocks_is_decided_once() -> None:
    scene = np.zeros((300, 40, 3), np.uint8)
    scene[120:150, 5:30] = 200
    decisions = merged(sort_blocks(scene, [3], SegmentSettings(blur_px=1)))
    assert decisions.boxes_px.tolist() == [[5, 120, 25, 30]]
    assert decisions.lines.tolist() == [149]


def test_object_longer_than_the_camera_allows_is_oversize_once_at_any_block_height() -> None:
    scene = np.zeros((600, 40, 3), np.uint8)
    scene[50:450, 5:9] = 200
    for heights in ([600], [1], [7, 130]):
        decisions = merged(sort_blocks(scene, heights, SegmentSettings()))
        assert decisions.lines.tolist() == [449]
        assert decisions.class_ids.tolist() == [OVERSIZE]
        assert decisions.is_eject.all()


def test_objects_at_the_first_and_the_last_line_are_found() -> None:
    scene = np.zeros((200, 40, 3), np.uint8)
    scene[:6, 3:20] = scene[-6:, 3:20] = 200
    decisions = merged(sort_blocks(scene, [64], SegmentSettings()))
    assert decisions.lines.tolist() == [5, 199]


def test_margin_never_takes_pixels_of_a_neighbour_that_another_step_owns() -> None:
    """The neighbour one row below ends 10 rows later, beyond the step that owns the first."""
    scene = np.zeros((300, 40, 3), np.uint8)
    scene[100:121, 5:20] = 200
    scene[122:140, 5:20] = 90  # between 128 - guard and 128 the step ends
    decisions = merged(sort_blocks(scene, [300], SegmentSettings(blur_px=1, mask_margin_px=3)))
    assert decisions.boxes_px[0].tolist() == [5, 100, 15, 21]
    assert set(np.unique(decisions.pixels[0][..., 0]).tolist()) == {0, 200}


def test_margin_never_takes_pixels_of_an_oversize_neighbour() -> None:
    scene = np.zeros((100, 40, 3), np.uint8)
    scene[10:90, 2:10] = 90
    scene[40:60, 12:30] = 200
    decisions = merged(sort_blocks(scene, [100], SegmentSettings(blur_px=1, mask_margin_px=3)))
    fits = decisions.class_ids != OVERSIZE
    assert fits.tolist() == [True, False]
    assert set(np.unique(decisions.pixels[0][..., 0]).tolist()) == {0, 200}


@pytest.mark.parametrize(("top", "count"), [(30, 1), (80, 1), (100, 2), (126, 1)])
def test_thing_inside_a_ring_belongs_to_it_unless_its_step_ends_before_the_ring_does(top: int, count: int) -> None:
    """However the stream is cut: steps begin at multiples of 128 lines."""
    scene = np.zeros((300, 40, 3), np.uint8)
    draw_shape(scene, ("ring", 2, top, 34, 30, 200))
    draw_shape(scene, ("box", 15, top + 10, 8, 8, 220))
    for heights in ([300], [50], [52], [1]):
        assert len(merged(sort_blocks(scene, heights, SegmentSettings(blur_px=1)))) == count


def test_lines_count_on_from_frame_to_frame() -> None:
    frame = np.zeros((50, 40, 3), np.uint8)
    frame[10:20, 5:25] = 200
    inline = inline_sorter(SegmentSettings())
    assert [int(inline.sort_frame(frame).decisions.lines[0]) for _ in range(3)] == [19, 69, 119]


def test_finish_without_a_block_gives_nothing() -> None:
    last = inline_sorter(SegmentSettings()).finish()
    assert (len(last.decisions), len(last.pulses)) == (0, 0)


def test_scene_after_finish_is_a_new_one() -> None:
    scene = np.zeros((60, 40, 3), np.uint8)
    scene[10:30, 5:25] = 200
    inline = inline_sorter(SegmentSettings())
    digests = [digest([inline.sort_block(Block(0, scene)), inline.finish()]) for _ in range(2)]
    assert digests[0] == digests[1]


def test_missing_lines_are_refused() -> None:
    inline = inline_sorter(SegmentSettings())
    inline.sort_block(Block(0, np.zeros((10, 40, 3), np.uint8)))
    with pytest.raises(FrameError, match="lines are missing"):
        inline.sort_block(Block(11, np.zeros((10, 40, 3), np.uint8)))


def test_wrong_number_of_channels_is_refused() -> None:
    with pytest.raises(CropError, match=r"the recipe wants \(H, W, 3\)"):
        inline_sorter(SegmentSettings()).sort_frame(np.zeros((10, 40, 1), np.uint8))


def test_blocks_are_refused_where_each_picture_is_one_object() -> None:
    with pytest.raises(ConfigError, match='mask is "full"'):
        inline_sorter(SegmentSettings(mask="full")).sort_block(Block(0, np.zeros((10, 40, 3), np.uint8)))


@given(st.integers(16, 16384))
def test_desk_machine_covers_its_whole_view(width_px: int) -> None:
    machine = desk_machine(width_px)
    edges = [(lane.from_mm, lane.to_mm) for lane in machine.lanes]
    assert edges[0][0] == 0.0
    assert edges[-1][1] == width_px * machine.cameras[0].pixel_mm
    assert all(left[1] == right[0] for left, right in itertools.pairwise(edges))
    assert all(left < right for left, right in edges)
