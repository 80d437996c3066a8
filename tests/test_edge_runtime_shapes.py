"""Position, size and orientation are those of the filled outline, wherever it lies."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from strategies import scenes, segment_settings

from edge_runtime.segment import Objects, SegmentSettings, segment
from edge_runtime.shapes import measure_shapes

PLAIN = SegmentSettings(blur_px=1, min_area_px=1)
BLOBS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))


def objects_of(shape: NDArray[np.bool_], x: int = 0, y: int = 0, margin: int = 0) -> Objects:
    frame = np.zeros((shape.shape[0] + y + margin, shape.shape[1] + x + margin, 3), np.uint8)
    frame[y : y + shape.shape[0], x : x + shape.shape[1]][shape] = 200
    return segment(frame, PLAIN)


def ellipse(length: int, width: int, angle_deg: int) -> Objects:
    """Return an ellipse of these axes, drawn in eighths of a pixel so that it is one."""
    side = length + 9
    fine = np.zeros((8 * side, 8 * side), np.uint8)
    cv2.ellipse(fine, (4 * side, 4 * side), (4 * length, 4 * width), angle_deg, 0, 360, 255, cv2.FILLED)
    coarse = fine.reshape(side, 8, side, 8).mean(axis=(1, 3)) > 127
    return objects_of(coarse)


@settings(deadline=None)
@given(BLOBS, st.integers(0, 300), st.integers(0, 300))
def test_size_and_angle_do_not_depend_on_where_an_object_lies(shape: NDArray[np.bool_], x: int, y: int) -> None:
    here, there = measure_shapes(objects_of(shape)), measure_shapes(objects_of(shape, x, y, 3))
    assert here.lengths_px.tolist() == there.lengths_px.tolist()
    assert here.widths_px.tolist() == there.widths_px.tolist()
    assert here.angles_deg.tolist() == there.angles_deg.tolist()
    assert here.centres_px.tolist() == there.centres_px.tolist()


@settings(deadline=None)
@given(BLOBS)
def test_every_figure_is_finite_and_in_its_range(shape: NDArray[np.bool_]) -> None:
    objects = objects_of(shape)
    shapes = measure_shapes(objects)
    sides = objects.boxes_px[:, 2:]
    assert ((shapes.centres_px >= 0) & (shapes.centres_px <= sides - 1 + 1e-9)).all()
    assert ((shapes.lengths_px >= shapes.widths_px) & (shapes.widths_px >= 1.0)).all()
    assert ((shapes.angles_deg >= 0) & (shapes.angles_deg < 180)).all()
    assert (shapes.lengths_px <= np.hypot(*(sides - 1).T) + 1 + 1e-9).all()
    assert len(shapes) == len(objects)


@settings(deadline=None)
@given(BLOBS)
def test_a_quarter_turn_turns_the_axes_with_it(shape: NDArray[np.bool_]) -> None:
    upright, turned = measure_shapes(objects_of(shape)), measure_shapes(objects_of(np.rot90(shape)))
    assert np.allclose(sorted(upright.lengths_px), sorted(turned.lengths_px), atol=1e-6)
    assert np.allclose(sorted(upright.widths_px), sorted(turned.widths_px), atol=1e-6)


@settings(deadline=None)
@given(scenes(heights=st.integers(1, 60)), segment_settings())
def test_centre_is_that_of_the_pixels_of_the_filled_outline(scene: NDArray[np.uint8], chosen: SegmentSettings) -> None:
    """Within a pixel's half, for the outline's own pixels count by half of their edges."""
    objects = segment(scene, chosen)
    centres = measure_shapes(objects).centres_px + objects.boxes_px[:, :2]
    for contour, centre in zip(objects.contours, centres, strict=True):
        filled = np.zeros(scene.shape[:2], np.uint8)
        cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED)
        rows, columns = np.nonzero(filled)
        assert abs(centre - (columns.mean(), rows.mean())).max() < 0.5


@pytest.mark.parametrize("angle", range(0, 180, 15))
@pytest.mark.parametrize(("length", "width"), [(60, 20), (90, 60), (25, 11)])
def test_an_ellipse_has_the_axes_it_was_drawn_with(length: int, width: int, angle: int) -> None:
    """Within the half pixel by which drawing rounds each of its ends."""
    shapes = measure_shapes(ellipse(length, width, angle))
    assert abs(shapes.lengths_px[0] - length) < 1.1
    assert abs(shapes.widths_px[0] - width) < 1.1
    assert abs((shapes.angles_deg[0] - angle + 90) % 180 - 90) < 2.5


@pytest.mark.parametrize(("width", "height", "angle"), [(30, 5, 0.0), (5, 30, 90.0), (1, 9, 90.0), (9, 1, 0.0)])
def test_a_box_is_measured_from_edge_to_edge(width: int, height: int, angle: float) -> None:
    shapes = measure_shapes(objects_of(np.ones((height, width), np.bool_), 4, 7, 2))
    assert (shapes.lengths_px[0], shapes.widths_px[0]) == (max(width, height), min(width, height))
    assert shapes.angles_deg[0] == angle
    assert shapes.centres_px[0].tolist() == [(width - 1) / 2, (height - 1) / 2]


def test_a_single_pixel_is_one_long_and_one_wide() -> None:
    shapes = measure_shapes(objects_of(np.ones((1, 1), np.bool_), 3, 5, 2))
    assert (shapes.centres_px.tolist(), shapes.lengths_px.tolist(), shapes.widths_px.tolist()) == (
        [[0.0, 0.0]],
        [1.0],
        [1.0],
    )


def test_a_lean_to_the_left_is_beyond_the_right_angle() -> None:
    stripe = np.eye(20, dtype=np.bool_) | np.eye(20, k=1, dtype=np.bool_)
    down, up = measure_shapes(objects_of(stripe)), measure_shapes(objects_of(stripe[:, ::-1]))
    assert abs(down.angles_deg[0] - 45) < 1
    assert abs(up.angles_deg[0] - 135) < 1


def test_no_objects_have_no_shapes() -> None:
    shapes = measure_shapes(segment(np.zeros((9, 9, 3), np.uint8), PLAIN))
    assert (len(shapes), shapes.centres_px.shape, shapes.angles_deg.shape) == (0, (0, 2), (0,))


def test_selected_shapes_keep_their_order() -> None:
    frame = np.zeros((40, 60, 3), np.uint8)
    for x, size in ((2, 5), (20, 8), (40, 11)):
        frame[5 : 5 + size, x : x + size] = 200
    some = measure_shapes(segment(frame, PLAIN)).select(np.array([True, False, True]))
    assert some.lengths_px.tolist() == [5.0, 11.0]
