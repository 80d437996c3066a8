"""A view becomes decisions about exactly the objects that it owns, oversize ones included but never classified."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import scenes, segment_settings, stub_scores

from edge_runtime.crop import CropSpec, canvas_of, cut_crops
from edge_runtime.decide import decide
from edge_runtime.decisions import KIND_NAMES, OVERSIZE, Decisions
from edge_runtime.errors import CropError
from edge_runtime.line_scan import Lines, View
from edge_runtime.norm import NormSpec, norm_sums
from edge_runtime.pipeline import Sorter, sort_view
from edge_runtime.schemas import Action, Camera, ClassRule, Recipe
from edge_runtime.segment import SegmentSettings
from edge_runtime.shapes import measure_shapes
from edge_runtime.split import find_objects
from edge_runtime.triage import triage

CLASSES = (ClassRule("good"), ClassRule("stone", "eject"), ClassRule("husk", "eject", min_score=0.6))
CROP = CropSpec(side_px=32)
CAMERA = Camera(name="front", width_px=40, max_object_lines=30)


def sorter_of(chosen: SegmentSettings, *, oversize: Action = "eject") -> Sorter:
    recipe = Recipe(CLASSES, segment=chosen, crop=CROP, oversize=oversize)
    return Sorter(recipe, NormSpec(channel_weights=(1, 2, 3)), CAMERA, stub_scores)


def whole(frame: NDArray[np.uint8], first_line: int = 0) -> View:
    return View(Lines(first_line, canvas_of(frame, CROP)), first_line, first_line + len(frame), is_frame=True)


def part(frame: NDArray[np.uint8], owned_from: int, owned_to: int, first_line: int = 0) -> View:
    return View(Lines(first_line, canvas_of(frame, CROP)), owned_from, owned_to)


@settings(deadline=None, max_examples=60)
@given(scenes(heights=st.integers(1, 120)), segment_settings(), st.integers(0, 10**9))
def test_decisions_are_those_of_the_stages_one_by_one(
    scene: NDArray[np.uint8], chosen: SegmentSettings, first_line: int
) -> None:
    sorter = sorter_of(chosen)
    decisions = sort_view(whole(scene, first_line), sorter)

    objects = find_objects(scene, chosen)
    shapes = measure_shapes(objects)
    fits = triage(objects, shapes, sorter.recipe, CAMERA, is_frame=True) == 0
    crops = cut_crops(canvas_of(scene, sorter.recipe.crop), objects.select(fits), sorter.recipe.crop, chosen)
    scores = stub_scores(crops.pixels)
    class_ids, is_eject = decide(scores, sorter.recipe)
    numerators, denominators = norm_sums(crops.pixels, crops.masks, sorter.norm)

    assert decisions.camera == "front"
    assert decisions.lines.tolist() == (objects.last_rows_px.astype(np.int64) + first_line).tolist()
    assert decisions.columns.tolist() == objects.last_columns_px.tolist()
    assert (decisions.boxes_px - [0, first_line, 0, 0]).tolist() == objects.boxes_px.tolist()
    assert (decisions.class_ids[~fits] < 0).all()
    assert decisions.lengths_mm.tolist() == (shapes.lengths_px * CAMERA.pixel_mm).tolist()
    middles = objects.boxes_px[:, :2] + shapes.centres_px + [0.5, first_line + 0.5]
    assert np.allclose(decisions.centres_mm, middles * CAMERA.pixel_mm, rtol=1e-12, atol=0)
    for found, expected in (
        (decisions.class_ids, class_ids),
        (decisions.is_eject, is_eject),
        (decisions.scores, scores),
        (decisions.pixels, crops.pixels),
        (decisions.masks, crops.masks),
        (decisions.norm_numerators, numerators),
        (decisions.norm_denominators, denominators),
    ):
        assert np.array_equal(found[fits], expected)


@settings(deadline=None, max_examples=60)
@given(scenes(heights=st.integers(1, 120)), segment_settings(), st.integers(0, 120))
def test_two_views_of_one_frame_share_its_objects(
    scene: NDArray[np.uint8], chosen: SegmentSettings, border: int
) -> None:
    camera = Camera(name="front", width_px=40, max_object_lines=120)  # else only the whole view parts long clusters
    sorter, height = msgspec.structs.replace(sorter_of(chosen), camera=camera), len(scene)
    parts = [sort_view(part(scene, *owned), sorter) for owned in ((0, border), (border, max(border, height)))]
    joined = Decisions.concat(parts)
    both = sort_view(whole(scene), sorter)
    assert joined.lines.tolist() == both.lines.tolist()
    assert np.array_equal(joined.pixels, both.pixels)
    assert np.array_equal(joined.scores, both.scores)


@pytest.mark.parametrize("action", ["accept", "eject"])
@pytest.mark.parametrize(
    "box", [(5, 5, 33, 10), (5, 5, 10, 31)], ids=["wider than the window", "longer than the camera's"]
)
def test_oversize_object_gets_the_recipes_action_and_no_class(action: Action, box: tuple[int, int, int, int]) -> None:
    frame = np.zeros((80, 40, 3), np.uint8)
    x, y, width, height = box
    frame[y : y + height, x : x + width] = 200
    decisions = sort_view(whole(frame), sorter_of(SegmentSettings(), oversize=action))
    assert decisions.class_ids.tolist() == [OVERSIZE]
    assert decisions.is_eject.tolist() == [action == "eject"]
    assert not decisions.scores.any()
    assert not decisions.pixels.any()
    assert (decisions.norm_numerators.tolist(), decisions.norm_denominators.tolist()) == ([0], [1])


def test_longest_object_of_a_camera_is_still_classified() -> None:
    frame = np.zeros((80, 40, 3), np.uint8)
    frame[5:35, 5:15] = 200
    class_ids = sort_view(whole(frame), sorter_of(SegmentSettings())).class_ids
    assert len(class_ids) == 1
    assert OVERSIZE not in class_ids


def test_full_mask_knows_no_longest_object() -> None:
    recipe = Recipe(CLASSES, segment=SegmentSettings(mask="full"), crop=CROP)
    camera = Camera(width_px=30, max_object_lines=20)
    decisions = sort_view(whole(np.zeros((31, 30, 3), np.uint8)), Sorter(recipe, NormSpec(), camera, stub_scores))
    assert OVERSIZE not in decisions.class_ids
    assert len(decisions) == 1


def test_classifier_is_not_asked_about_nothing() -> None:
    def never(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise AssertionError(f"asked about {len(crops)} crops")

    sorter = sorter_of(SegmentSettings())
    decisions = sort_view(whole(np.zeros((20, 40, 3), np.uint8)), Sorter(sorter.recipe, sorter.norm, CAMERA, never))
    assert (len(decisions), decisions.scores.shape, decisions.pixels.shape) == (0, (0, 3), (0, 32, 32, 3))


def test_frame_of_other_channels_is_refused() -> None:
    with pytest.raises(CropError, match="the recipe wants"):
        sort_view(whole(np.zeros((20, 40, 4), np.uint8)), sorter_of(SegmentSettings()))


def test_each_kind_without_a_class_gets_its_own_action_and_dust_is_left_out() -> None:
    frame = np.zeros((80, 40, 3), np.uint8)
    frame[5:15, 5:15] = 200  # classified
    frame[20:30, 0:10] = 200  # cut off at the left
    frame[40:60, 12:15] = frame[57:60, 12:32] = 200  # an L
    frame[70:72, 20:24] = 200  # dust
    chosen = SegmentSettings(blur_px=1, min_area_px=1, min_solidity=0.8)
    recipe = Recipe(CLASSES, segment=chosen, crop=CROP, cluster="accept", cut_off="eject", min_length_mm=0.6)
    decisions = sort_view(whole(frame), Sorter(recipe, NormSpec(), CAMERA, stub_scores))
    assert [KIND_NAMES.get(kind) for kind in decisions.class_ids.tolist()] == [None, "cut_off", "cluster"]
    assert decisions.is_eject[1:].tolist() == [True, False]
