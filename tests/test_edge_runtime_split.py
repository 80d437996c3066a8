"""Objects that touch are parted at the neck between them; what has none stays one object."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import scenes, segment_settings

from edge_runtime.annotations import match_objects, read_annotations
from edge_runtime.segment import Objects, SegmentSettings, segment
from edge_runtime.split import find_objects, split_touching

DATA = Path(__file__).parents[2] / "shared" / "data"
NECK = SegmentSettings(blur_px=1, min_area_px=40, split_neck=0.9)


def discs(*places: tuple[int, int], radius: int = 15, size: tuple[int, int] = (120, 120)) -> NDArray[np.uint8]:
    """Return a dark frame with bright discs around these (x, y)."""
    frame = np.zeros((*size, 3), np.uint8)
    for place in places:
        cv2.circle(frame, place, radius, (200, 200, 200), cv2.FILLED)
    return frame


def middles(objects: Objects) -> list[tuple[int, int]]:
    boxes = objects.boxes_px
    return [(int(x + w // 2), int(y + h // 2)) for x, y, w, h in boxes]


def filled(objects: Objects) -> NDArray[np.int64]:
    """Return (H, W), by how many objects each pixel is covered."""
    cover = np.zeros(objects.foreground.shape, np.int64)
    for contour in objects.contours:
        one = np.zeros(objects.foreground.shape, np.uint8)
        cv2.drawContours(one, [contour], -1, 1, cv2.FILLED)
        cover += one
    return cover


def test_two_discs_that_touch_are_parted_half_way() -> None:
    first, second = find_objects(discs((30, 40), (58, 40)), NECK).boxes_px.tolist()
    assert [first[1:], second[1:]] == [[25, first[2], 31], [25, second[2], 31]]
    assert abs(first[0] + first[2] - 44) <= 1
    assert abs(second[0] - 44) <= 1


@pytest.mark.parametrize(
    "frame",
    [
        discs((30, 40)),
        cv2.ellipse(np.zeros((90, 90, 3), np.uint8), (45, 45), (35, 12), 30, 0, 360, (200, 200, 200), cv2.FILLED),
        cv2.ellipse(np.zeros((90, 90, 3), np.uint8), (45, 45), (30, 30), 0, 0, 180, (200, 200, 200), 12),
    ],
    ids=["disc", "ellipse", "a bow of even width"],
)
def test_one_object_without_a_neck_stays_whole(frame: NDArray[np.uint8]) -> None:
    whole, parted = segment(frame, NECK), find_objects(frame, NECK)
    assert len(parted) == 1
    assert np.array_equal(whole.contours[0], parted.contours[0])


def test_neck_wider_than_the_share_joins() -> None:
    """Discs of radius 15 whose middles are 20 apart: the neck is sqrt(15^2 - 10^2) = 11.2 wide on either side, 0.75."""
    frame = discs((30, 40), (50, 40))
    assert len(find_objects(frame, NECK)) == 2
    assert len(find_objects(frame, SegmentSettings(blur_px=1, split_neck=0.6))) == 1


def test_zero_leaves_everything_as_it_is() -> None:
    objects = segment(discs((30, 40), (58, 40)), SegmentSettings(blur_px=1))
    assert split_touching(objects, SegmentSettings(blur_px=1), max_lines=120) is objects


def test_a_ring_of_discs_and_what_lies_in_it_are_found() -> None:
    corners = [(round(60 + 42 * np.cos(a)), round(60 + 42 * np.sin(a))) for a in np.linspace(0, 2 * np.pi, 9)[:8]]
    frame = discs(*corners, radius=17)
    cv2.circle(frame, (60, 60), 6, (200, 200, 200), cv2.FILLED)
    assert len(segment(frame, NECK)) == 1
    found = find_objects(frame, NECK)
    assert len(found) == 9
    assert (60, 60) in middles(found)


def test_a_packed_pile_is_parted_though_its_outline_has_no_neck() -> None:
    grid = [(x, y) for y in range(20, 110, 18) for x in range(20, 110, 18)]
    found = sorted(middles(find_objects(discs(*grid, radius=9), NECK)), key=lambda at: (round(at[0] / 18), at[1]))
    assert len(found) == 25
    assert np.abs(np.array(found) - np.array(sorted(grid))).max() <= 1


def test_what_lies_in_the_hole_of_a_part_belongs_to_it() -> None:
    frame = discs((92, 60), radius=22)
    cv2.circle(frame, (40, 60), 20, (200, 200, 200), 21)  # a ring from radius 10 to 30 that touches the disc
    cv2.circle(frame, (40, 60), 5, (200, 200, 200), cv2.FILLED)
    found = find_objects(frame, NECK)
    assert len(found) == 2
    assert filled(found).max() == 1
    assert filled(found)[60, 40] == 1


def test_a_spot_on_an_object_is_no_gap_but_a_larger_hole_is() -> None:
    """A figure of two discs whose neck has a hole: the neck is thin beside the hole, as wide as before without it."""
    frame = discs((30, 40), (52, 40), radius=16)
    frame[39:42, 40:43] = 0  # 9 pixels
    few = SegmentSettings(blur_px=1, split_neck=0.6, split_hole_px=9)
    assert len(find_objects(frame, few)) == 1
    assert len(find_objects(frame, SegmentSettings(blur_px=1, split_neck=0.6, split_hole_px=8))) == 2


def test_components_higher_than_the_lines_seen_stay_whole() -> None:
    objects = segment(discs((40, 30), (40, 58)), NECK)
    height = int(objects.boxes_px[0, 3])
    assert len(split_touching(objects, NECK, max_lines=height)) == 2
    assert len(split_touching(objects, NECK, max_lines=height - 1)) == 1


def test_scratches_are_narrower_than_the_least_width() -> None:
    frame = discs((30, 40))
    cv2.line(frame, (70, 10), (110, 100), (200, 200, 200), 3)
    assert len(segment(frame, NECK)) == 2
    assert middles(segment(frame, SegmentSettings(blur_px=1, min_width_px=10))) == [(30, 40)]


@pytest.mark.parametrize(("width", "kept"), [(5, True), (6, False)])
def test_least_width_counts_pixels(width: int, kept: bool) -> None:
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[10:15, 5:30] = 200
    assert len(segment(frame, SegmentSettings(blur_px=1, min_width_px=width))) == kept


@settings(deadline=None)
@given(scenes(heights=st.integers(1, 80)), segment_settings(), st.sampled_from([0.5, 0.9]))
def test_parts_share_no_pixel_and_lie_in_what_was_found(
    scene: NDArray[np.uint8], chosen: SegmentSettings, neck: float
) -> None:
    chosen = SegmentSettings(blur_px=chosen.blur_px, min_area_px=chosen.min_area_px, split_neck=neck)
    whole, parted = segment(scene, chosen), find_objects(scene, chosen)
    keys = list(zip(parted.last_rows_px.tolist(), parted.last_columns_px.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert (filled(parted) <= filled(whole)).all()
    assert (parted.areas_px >= chosen.min_area_px).all()


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(20, 31))
def test_a_cluster_is_parted_alike_wherever_it_lies_and_whatever_else_there_is(dx: int, dy: int, apart: int) -> None:
    def cluster(x: int, y: int) -> NDArray[np.uint8]:
        return discs((x, y), (x + apart, y + 3), (x + 5, y + apart), size=(200, 120))

    there = cluster(25 + dx, 25 + dy)
    cv2.circle(there, (60, 170), 12, (255, 255, 255), cv2.FILLED)
    here, moved = find_objects(cluster(25, 25), NECK), find_objects(there, NECK)
    assert len(moved) == len(here) + 1
    for contour, other in zip(here.contours, moved.contours, strict=False):
        assert np.array_equal(contour + np.array([dx, dy]), other)


@pytest.mark.parametrize("frame", [np.zeros((30, 30, 3), np.uint8), np.full((30, 30, 3), 255, np.uint8)])
def test_black_and_bright_frames_are_no_cluster(frame: NDArray[np.uint8]) -> None:
    assert len(find_objects(frame, NECK)) == int(frame.any())


def test_real_sorghum_that_touches_is_parted() -> None:
    folder = DATA / "frames_sorghum"
    if not folder.is_dir():
        pytest.skip(f"no scans at {folder}")
    chosen = SegmentSettings(min_area_px=450, min_width_px=16, split_neck=0.9)
    found = expected = matched = 0
    for name, polygons in read_annotations(folder / "annotations.json").items():
        scan = np.asarray(cv2.imread(str(folder / name)), np.uint8)
        match = match_objects(find_objects(scan, chosen).contours, polygons, scan.shape[:2])
        found, expected, matched = found + match.found, expected + match.expected, matched + len(match.ious)
    assert matched >= 0.98 * expected
    assert matched >= 0.98 * found
