"""Objects are found by the recipe's threshold, in one order, holes filled, dust left out."""

from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from strategies import draw_shape, scenes, segment_settings

from edge_runtime.config import decode_settings
from edge_runtime.errors import ConfigError, FrameError
from edge_runtime.segment import SegmentSettings, foreground, gray_levels, levels, segment, smooth_levels

PLAIN = SegmentSettings(blur_px=1, min_area_px=1)


def channelled(channel: str) -> SegmentSettings:
    return decode_settings({"channel": channel}, SegmentSettings, "recipe.toml")


def dark_frame(height: int = 30, width: int = 40) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


@settings(deadline=None)
@given(scenes(heights=st.integers(1, 80)), segment_settings())
def test_order_is_by_last_row_then_by_the_column_where_it_begins(
    scene: NDArray[np.uint8], chosen: SegmentSettings
) -> None:
    objects = segment(scene, chosen)
    keys = list(zip(objects.last_rows_px.tolist(), objects.last_columns_px.tolist(), strict=True))
    assert keys == sorted(set(keys))


@settings(deadline=None)
@given(scenes(heights=st.integers(1, 80)), segment_settings())
def test_last_row_and_column_are_a_pixel_of_the_object(scene: NDArray[np.uint8], chosen: SegmentSettings) -> None:
    objects = segment(scene, chosen)
    for (x, y, width, height), column in zip(objects.boxes_px.tolist(), objects.last_columns_px.tolist(), strict=True):
        assert x <= column < x + width
        assert objects.foreground[y + height - 1, column] == 255
        assert column == x or objects.foreground[y + height - 1, column - 1] == 0


@settings(deadline=None)
@given(scenes(heights=st.integers(1, 80)), segment_settings())
def test_no_object_is_smaller_than_the_least_area(scene: NDArray[np.uint8], chosen: SegmentSettings) -> None:
    assert (segment(scene, chosen).areas_px >= chosen.min_area_px).all()


@settings(deadline=None)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))), st.integers(1, 6))
def test_measures_are_those_of_the_filled_contour_whatever_its_shape(
    shape: NDArray[np.bool_], min_area_px: int
) -> None:
    frame = np.repeat(shape[:, :, None], 3, axis=2).astype(np.uint8) * np.uint8(200)
    objects = segment(frame, SegmentSettings(blur_px=1, min_area_px=min_area_px))
    measures = zip(objects.contours, objects.boxes_px, objects.areas_px, objects.last_columns_px, strict=True)
    for contour, box, area, last_column in measures:
        filled = np.zeros(shape.shape, np.uint8)
        cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED)
        rows, columns = np.nonzero(filled)
        last = int(rows.max())
        assert area == len(rows) >= min_area_px
        assert box.tolist() == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert last_column == columns[rows == last].min()


@settings(deadline=None)
@given(scenes(heights=st.integers(1, 60)), segment_settings())
def test_dark_objects_on_bright_are_found_like_bright_ones_on_dark(
    scene: NDArray[np.uint8], chosen: SegmentSettings
) -> None:
    """At the mirrored threshold: bright lies above it, dark at or below it. One channel, for grey is rounded."""
    bright = SegmentSettings(channel="red", threshold=60, blur_px=chosen.blur_px, min_area_px=chosen.min_area_px)
    dark = SegmentSettings(
        channel="red", polarity="dark", threshold=194, blur_px=chosen.blur_px, min_area_px=chosen.min_area_px
    )
    assert segment(255 - scene, dark).boxes_px.tolist() == segment(scene, bright).boxes_px.tolist()


@pytest.mark.parametrize("threshold", [0, 1, 100, 254, 255])
def test_bright_lies_above_the_threshold_and_dark_at_or_below_it(threshold: int) -> None:
    levels = np.arange(256, dtype=np.uint8)
    frame = np.repeat(levels, 3).reshape(1, 256, 3)
    bright = SegmentSettings(threshold=threshold, blur_px=1)
    dark = SegmentSettings(threshold=threshold, blur_px=1, polarity="dark")
    assert (foreground(frame, bright)[0] == 255).tolist() == (levels > threshold).tolist()
    assert (foreground(frame, dark)[0] == 255).tolist() == (levels <= threshold).tolist()


def test_holes_are_filled_and_what_is_in_them_is_no_object() -> None:
    frame = dark_frame()
    draw_shape(frame, ("box", 5, 5, 20, 20, 200))
    frame[8:22, 8:22] = 0
    frame[12:16, 12:16] = 200
    objects = segment(frame, PLAIN)
    assert objects.boxes_px.tolist() == [[5, 5, 20, 20]]
    assert objects.areas_px.tolist() == [400]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (7, 1), (2, 2), (5, 3), (20, 20)])
def test_area_of_a_box_is_its_number_of_pixels(width: int, height: int) -> None:
    frame = dark_frame()
    frame[3 : 3 + height, 4 : 4 + width] = 200
    assert segment(frame, PLAIN).areas_px.tolist() == [width * height]


def test_dust_is_left_out_at_exactly_the_least_area() -> None:
    frame = dark_frame()
    frame[2:6, 2:6] = 200  # 16 pixels
    frame[20:23, 2:7] = 200  # 15 pixels
    assert segment(frame, SegmentSettings(blur_px=1, min_area_px=16)).boxes_px.tolist() == [[2, 2, 4, 4]]
    assert len(segment(frame, SegmentSettings(blur_px=1, min_area_px=15))) == 2


def test_objects_at_every_border_are_found_with_their_whole_box() -> None:
    frame = dark_frame()
    for box in ((0, 0, 5, 5), (35, 0, 5, 5), (0, 25, 5, 5), (35, 25, 5, 5)):
        draw_shape(frame, ("box", *box, 200))
    assert segment(frame, PLAIN).boxes_px.tolist() == [[0, 0, 5, 5], [35, 0, 5, 5], [0, 25, 5, 5], [35, 25, 5, 5]]


def test_frame_full_of_object_is_one_object() -> None:
    assert segment(dark_frame() + 200, PLAIN).boxes_px.tolist() == [[0, 0, 40, 30]]


def test_empty_frame_has_no_objects() -> None:
    objects = segment(dark_frame(), PLAIN)
    assert (len(objects), objects.boxes_px.shape, objects.last_rows_px.shape) == (0, (0, 4), (0,))


@given(st.integers(1, 50), st.integers(1, 50))
def test_full_mask_takes_the_whole_picture_as_the_one_object(height: int, width: int) -> None:
    objects = segment(np.zeros((height, width, 3), np.uint8), SegmentSettings(mask="full", min_area_px=10_000))
    assert objects.boxes_px.tolist() == [[0, 0, width, height]]
    assert objects.areas_px.tolist() == [height * width]
    assert (objects.foreground == 255).all()


def test_pixels_that_touch_by_a_corner_are_one_object() -> None:
    frame = dark_frame()
    frame[5, 5] = frame[6, 6] = 200
    assert segment(frame, PLAIN).boxes_px.tolist() == [[5, 5, 2, 2]]


def test_median_removes_a_single_bright_pixel() -> None:
    frame = dark_frame()
    frame[5, 5] = 255
    assert len(segment(frame, SegmentSettings(blur_px=1, min_area_px=1))) == 1
    assert len(segment(frame, SegmentSettings(blur_px=3, min_area_px=1))) == 0


@pytest.mark.parametrize(("channel", "level"), [("blue", 10), ("green", 20), ("red", 30)])
def test_channels_are_bgr(channel: str, level: int) -> None:
    frame = np.empty((2, 2, 3), np.uint8)
    frame[:] = (10, 20, 30)
    assert levels(frame, channelled(channel)).tolist() == [[level] * 2] * 2


COLOURS = hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5)))


@given(COLOURS)
def test_chroma_is_the_strongest_band_less_the_weakest(frame: NDArray[np.uint8]) -> None:
    assert levels(frame, SegmentSettings(channel="chroma")).tolist() == np.ptp(frame, axis=2).tolist()


@given(COLOURS, st.data())
def test_background_is_the_greatest_difference_in_a_band(frame: NDArray[np.uint8], data: st.DataObject) -> None:
    colour = data.draw(st.tuples(*[st.integers(0, 255)] * frame.shape[2]))
    expected = np.abs(frame.astype(int) - np.array(colour)).max(axis=2)
    assert levels(frame, SegmentSettings(channel="background", background=colour)).tolist() == expected.tolist()


@given(st.integers(0, 255), st.integers(0, 255))
def test_shine_and_shadow_on_grey_have_no_chroma(level: int, other: int) -> None:
    frame = np.array([[[level] * 3, [other] * 3]], np.uint8)
    assert levels(frame, SegmentSettings(channel="chroma")).tolist() == [[0, 0]]


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_background_of_other_bands_than_the_frame_is_refused(bands: int) -> None:
    with pytest.raises(FrameError, match=rf"picture of {bands} bands: the recipe's background has 3"):
        segment(np.zeros((4, 4, bands), np.uint8), SegmentSettings(channel="background", background=(1, 2, 3)))


@pytest.mark.parametrize(("channel", "background"), [("background", ()), ("gray", (1, 2, 3)), ("chroma", (0,))])
def test_a_background_colour_belongs_to_its_channel_alone(channel: str, background: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"needs a colour, any other channel none"):
        decode_settings({"channel": channel, "background": list(background)}, SegmentSettings, "recipe.toml")


@pytest.mark.parametrize("bands", [1, 2, 4, 5])
def test_grey_of_other_than_three_bands_is_the_first(bands: int) -> None:
    frame = np.arange(2 * 2 * bands, dtype=np.uint8).reshape(2, 2, bands)
    assert gray_levels(frame).tolist() == frame[:, :, 0].tolist()


@settings(deadline=None)
@given(COLOURS, st.sampled_from([1, 3, 5]))
def test_noise_leaves_bands_before_they_are_compared_and_levels_else(
    frame: NDArray[np.uint8], size: Literal[1, 3, 5]
) -> None:
    bands = [
        cv2.medianBlur(band, size) if size > 1 else band for band in np.ascontiguousarray(np.moveaxis(frame, 2, 0))
    ]
    quiet = np.stack(bands, axis=2)
    for channel, background in (("chroma", ()), ("background", (7,) * frame.shape[2])):
        chosen = SegmentSettings(channel=channel, background=background, blur_px=size)  # type: ignore[arg-type]  # both are
        assert smooth_levels(frame, chosen).tolist() == levels(quiet, chosen).tolist()
    grey = gray_levels(frame)
    expected = cv2.medianBlur(grey, size) if size > 1 else grey
    assert smooth_levels(frame, SegmentSettings(blur_px=size)).tolist() == expected.tolist()


def test_selected_objects_keep_order_and_foreground() -> None:
    frame = dark_frame()
    for x in (2, 12, 22):
        draw_shape(frame, ("box", x, 5, 5, 5, 200))
    objects = segment(frame, PLAIN)
    some = objects.select(np.array([True, False, True]))
    assert some.boxes_px[:, 0].tolist() == [2, 22]
    assert [contour[:, 0, 0].min() for contour in some.contours] == [2, 22]
    assert some.foreground is objects.foreground
