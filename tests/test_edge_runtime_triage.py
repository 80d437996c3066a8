"""What has no class is told from what has one by size, outline and border alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import scenes, segment_settings

from edge_runtime.crop import CropSpec
from edge_runtime.decisions import CLUSTER, CUT_OFF, OVERSIZE
from edge_runtime.schemas import Action, Camera, ClassRule, Recipe
from edge_runtime.segment import Objects, SegmentSettings, segment
from edge_runtime.shapes import measure_shapes
from edge_runtime.triage import is_dust, solidities, triage, unclassified_ejects

CLASSES = (ClassRule("good"), ClassRule("stone", "eject"))
CROP = CropSpec(side_px=48)
CAMERA = Camera(pixel_mm=0.2, max_object_lines=40)
PLAIN = SegmentSettings(blur_px=1, min_area_px=1)


def found(*boxes: tuple[int, int, int, int], height: int = 100, width: int = 120) -> Objects:
    """Return objects that fill these boxes: x, y, width, height."""
    frame = np.zeros((height, width, 3), np.uint8)
    for x, y, across, down in boxes:
        frame[y : y + down, x : x + across] = 200
    return segment(frame, PLAIN)


def kinds_of(objects: Objects, recipe: Recipe, *, is_frame: bool = True) -> list[int]:
    kinds: list[int] = triage(objects, measure_shapes(objects), recipe, CAMERA, is_frame=is_frame).tolist()
    return kinds


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((5, 5, 48, 10), 0),
        ((5, 5, 49, 10), OVERSIZE),
        ((5, 5, 10, 40), 0),
        ((5, 5, 10, 41), OVERSIZE),
    ],
    ids=["window", "wider than the window", "longest of the camera", "longer than the camera allows"],
)
def test_oversize_is_beyond_window_or_camera(box: tuple[int, int, int, int], kind: int) -> None:
    assert kinds_of(found(box), Recipe(CLASSES, crop=CROP)) == [kind]


def test_oversize_is_beyond_the_greatest_length_in_millimetres() -> None:
    objects = found((5, 5, 30, 10), (5, 50, 31, 10))
    assert kinds_of(objects, Recipe(CLASSES, crop=CROP, max_length_mm=6.0)) == [0, OVERSIZE]


def test_limits_of_less_than_a_millimetre_count_and_a_length_at_the_limit_is_within() -> None:
    objects = found((5, 5, 4, 2), (5, 50, 3, 2))
    camera = Camera(pixel_mm=0.25)
    small = Recipe(CLASSES, crop=CROP, max_length_mm=0.75)
    assert triage(objects, measure_shapes(objects), small, camera, is_frame=True).tolist() == [OVERSIZE, 0]
    assert is_dust(measure_shapes(objects), Recipe(CLASSES, min_length_mm=1.0), camera).tolist() == [False, True]


def test_a_slanted_object_is_measured_along_itself() -> None:
    frame = np.zeros((60, 60, 3), np.uint8)
    cv2.line(frame, (10, 10), (38, 38), (200, 200, 200), 5)
    recipe = Recipe(CLASSES, crop=CROP, max_length_mm=7.0)  # 29 px or 5.8 mm along each side, 8 mm along itself
    assert kinds_of(segment(frame, PLAIN), recipe) == [OVERSIZE]


def test_dust_is_below_the_least_length_in_millimetres() -> None:
    objects = found((5, 5, 10, 4), (5, 50, 11, 4))
    recipe = Recipe(CLASSES, min_length_mm=2.1)
    assert is_dust(measure_shapes(objects), recipe, CAMERA).tolist() == [True, False]
    assert not is_dust(measure_shapes(objects), Recipe(CLASSES), CAMERA).any()


@pytest.mark.parametrize(
    ("box", "in_frame", "in_scan"),
    [
        ((0, 50, 9, 9), True, True),
        ((111, 50, 9, 5), True, True),
        ((100, 50, 9, 20), False, False),
        ((50, 0, 9, 9), True, False),
        ((50, 91, 9, 9), True, False),
        ((1, 1, 9, 9), False, False),
        ((110, 90, 9, 9), False, False),
    ],
    ids=[
        "left",
        "right",
        "near the right and higher than wide",
        "top",
        "bottom",
        "just inside",
        "just inside at the end",
    ],
)
def test_cut_off_is_what_reaches_out_of_the_view(box: tuple[int, int, int, int], in_frame: bool, in_scan: bool) -> None:
    recipe = Recipe(CLASSES, crop=CROP, cut_off="accept")
    assert kinds_of(found(box), recipe) == [CUT_OFF if in_frame else 0]
    assert kinds_of(found(box), recipe, is_frame=False) == [CUT_OFF if in_scan else 0]
    assert kinds_of(found(box), Recipe(CLASSES, crop=CROP)) == [0]


def test_a_cluster_fills_too_little_of_its_hull() -> None:
    frame = np.zeros((60, 90, 3), np.uint8)
    for x in (15, 37, 70):
        cv2.circle(frame, (x, 30), 12, (200, 200, 200), -1)
    objects = segment(frame, SegmentSettings(blur_px=1))
    solidity = float(solidities(objects).min())
    at_the_limit = Recipe(CLASSES, segment=SegmentSettings(min_solidity=solidity), crop=CropSpec(side_px=64))
    assert kinds_of(objects, at_the_limit) == [0, 0]
    of_one, of_two = sorted(solidities(objects).tolist(), reverse=True)
    assert of_one > 0.95
    assert of_two < 0.92
    recipe = Recipe(CLASSES, segment=SegmentSettings(min_solidity=0.93), crop=CropSpec(side_px=64))
    assert sorted(kinds_of(objects, recipe)) == [CLUSTER, 0]
    assert kinds_of(objects, Recipe(CLASSES, crop=CropSpec(side_px=64))) == [0, 0]


@settings(deadline=None)
@given(scenes(heights=st.integers(1, 60)), segment_settings())
def test_solidity_is_a_share_and_lines_are_solid(scene: NDArray[np.uint8], chosen: SegmentSettings) -> None:
    objects = segment(scene, chosen)
    shares = solidities(objects)
    assert shares.shape == (len(objects),)
    assert ((shares >= 0) & (shares <= 1)).all()
    thin = objects.boxes_px[:, 2:].min(axis=1) == 1
    assert (shares[thin] == 1).all()


@pytest.mark.parametrize("thickness", [1, 2, 4, 6])
@pytest.mark.parametrize("end", [(80, 30), (80, 80), (80, 12), (30, 80), (80, 50)])
def test_a_straight_thing_is_solid_at_any_angle(thickness: int, end: tuple[int, int]) -> None:
    frame = np.zeros((100, 120, 3), np.uint8)
    cv2.line(frame, (10, 10), end, (200, 200, 200), thickness)
    assert solidities(segment(frame, PLAIN)).min() > 0.85


def test_oversize_comes_before_cut_off_and_that_before_cluster() -> None:
    frame = np.zeros((100, 120, 3), np.uint8)
    frame[50:70, 0:20] = 200
    frame[55:70, 5:20] = 0  # an L at the left border
    recipe = Recipe(CLASSES, segment=SegmentSettings(min_solidity=0.9), crop=CROP, cut_off="eject")
    objects = segment(frame, PLAIN)
    assert kinds_of(objects, recipe) == [CUT_OFF]
    assert kinds_of(objects, Recipe(CLASSES, segment=recipe.segment, crop=CropSpec(side_px=16))) == [OVERSIZE]
    assert kinds_of(objects, Recipe(CLASSES, segment=recipe.segment, crop=CROP)) == [CLUSTER]


def test_a_whole_picture_can_only_be_oversize() -> None:
    chosen = SegmentSettings(mask="full", min_solidity=1.0)
    recipe = Recipe(CLASSES, segment=chosen, crop=CropSpec(side_px=64), cut_off="eject", max_length_mm=0.1)
    objects = segment(np.zeros((60, 60, 3), np.uint8), chosen)
    assert kinds_of(objects, recipe) == [0]
    dusty = Recipe(CLASSES, segment=chosen, crop=CropSpec(side_px=64), min_length_mm=50.0)
    assert not is_dust(measure_shapes(objects), dusty, CAMERA).any()


@pytest.mark.parametrize("oversize", ["accept", "eject"])
@pytest.mark.parametrize("cluster", ["accept", "eject"])
@pytest.mark.parametrize("cut_off", ["accept", "eject"])
def test_each_kind_has_its_own_action(oversize: Action, cluster: Action, cut_off: Action) -> None:
    recipe = Recipe(CLASSES, oversize=oversize, cluster=cluster, cut_off=cut_off)
    ejected = unclassified_ejects(np.array([OVERSIZE, CLUSTER, CUT_OFF, 0]), recipe)
    assert ejected.tolist() == [action == "eject" for action in (oversize, cluster, cut_off)] + [False]
