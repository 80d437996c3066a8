"""A crop is the object's own pixels of the frame at a fixed scale, and nothing else."""

import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from strategies import draw_shape, scenes, segment_settings

from edge_runtime.crop import Crops, CropSpec, canvas_of, cut_crops, is_oversize, pack_crop, reduce_crops, unpack_crop
from edge_runtime.errors import CropError
from edge_runtime.segment import Objects, SegmentSettings, segment

PLAIN = SegmentSettings(blur_px=1, min_area_px=1, mask_margin_px=0)
WIDE = SegmentSettings(blur_px=1, min_area_px=1, mask_margin_px=3)
SCENES = scenes(heights=st.integers(8, 90))


def cut(picture: NDArray[np.uint8], objects: Objects, spec: CropSpec, chosen: SegmentSettings) -> Crops:
    return cut_crops(canvas_of(picture, spec), objects, spec, chosen)


def fitting(scene: NDArray[np.uint8], chosen: SegmentSettings, spec: CropSpec) -> Objects:
    objects = segment(scene, chosen)
    return objects.select(~is_oversize(objects, spec))


def window_of(scene: NDArray[np.uint8], box: list[int], side_px: int) -> NDArray[np.uint8]:
    """The window around the middle of a box, 0 beyond the frame."""
    x, y = box[0] + box[2] // 2 - side_px // 2, box[1] + box[3] // 2 - side_px // 2
    window = np.zeros((side_px, side_px, scene.shape[2]), np.uint8)
    for row in range(max(0, -y), min(side_px, scene.shape[0] - y)):
        for column in range(max(0, -x), min(side_px, scene.shape[1] - x)):
            window[row, column] = scene[y + row, x + column]
    return window


@settings(deadline=None, max_examples=60)
@given(SCENES, segment_settings(), st.sampled_from([24, 33, 48]))
def test_crop_is_the_window_inside_the_mask_and_0_outside(
    scene: NDArray[np.uint8], chosen: SegmentSettings, side_px: int
) -> None:
    spec = CropSpec(side_px=side_px)
    objects = fitting(scene, chosen, spec)
    crops = cut(scene, objects, spec, chosen)
    for pixels, mask, box in zip(crops.pixels, crops.masks, objects.boxes_px.tolist(), strict=True):
        window = window_of(scene, box, side_px)
        assert np.array_equal(pixels, window * mask[..., None])


@settings(deadline=None, max_examples=60)
@given(SCENES, segment_settings())
def test_mask_is_the_filled_contour_and_a_margin_that_takes_nothing_else(
    scene: NDArray[np.uint8], chosen: SegmentSettings
) -> None:
    """Against masks of the size of the frame, drawn one by one."""
    spec = CropSpec(side_px=96)
    objects = fitting(scene, chosen, spec)
    crops = cut(scene, objects, spec, chosen)
    side = 2 * chosen.mask_margin_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    for i, box in enumerate(objects.boxes_px.tolist()):
        own = np.zeros(scene.shape[:2], np.uint8)
        cv2.drawContours(own, [objects.contours[i]], -1, 1, cv2.FILLED)
        expected = (own | (cv2.dilate(own, kernel) & (objects.foreground == 0))).astype(np.uint8)
        assert np.array_equal(crops.masks[i], window_of(expected[..., None], box, 96)[..., 0] > 0)


@settings(deadline=None, max_examples=60)
@given(SCENES, segment_settings(), st.data())
def test_crop_does_not_depend_on_which_others_are_cut(
    scene: NDArray[np.uint8], chosen: SegmentSettings, data: st.DataObject
) -> None:
    spec = CropSpec(side_px=48)
    objects = fitting(scene, chosen, spec)
    keep = np.array([data.draw(st.booleans()) for _ in range(len(objects))], np.bool_)
    all_crops, some = cut(scene, objects, spec, chosen), cut(scene, objects.select(keep), spec, chosen)
    assert np.array_equal(some.pixels, all_crops.pixels[keep])
    assert np.array_equal(some.masks, all_crops.masks[keep])


@settings(deadline=None, max_examples=40)
@given(SCENES, st.integers(1, 4))
def test_every_object_has_a_mask_after_reduction(scene: NDArray[np.uint8], reduction: int) -> None:
    spec = CropSpec(side_px=24, reduction=reduction)
    crops = cut(scene, fitting(scene, PLAIN, spec), spec, PLAIN)
    assert crops.masks.any(axis=(1, 2)).all()
    assert not crops.pixels[~crops.masks].any()


def test_neighbours_nearer_than_the_margin_stay_outside() -> None:
    scene = np.zeros((40, 60, 3), np.uint8)
    scene[10:30, 10:20] = 100
    scene[10:30, 22:40] = 200  # two columns of ground between them
    crops = cut(scene, segment(scene, WIDE), CropSpec(side_px=48), WIDE)
    values = [sorted(np.unique(pixels).tolist()) for pixels in crops.pixels]
    assert values == [[0, 100], [0, 200]]
    assert [int(mask.sum()) > area for mask, area in zip(crops.masks, (200, 360), strict=True)] == [True, True]


def test_dust_in_the_margin_stays_outside() -> None:
    scene = np.zeros((40, 40, 3), np.uint8)
    scene[10:30, 10:30] = 100
    scene[20, 32] = 250
    chosen = SegmentSettings(blur_px=1, min_area_px=4, mask_margin_px=3)
    crops = cut(scene, segment(scene, chosen), CropSpec(side_px=40), chosen)
    assert sorted(np.unique(crops.pixels).tolist()) == [0, 100]


def test_object_at_the_border_is_padded_with_0_and_its_margin_ends_there() -> None:
    scene = np.full((40, 40, 3), 7, np.uint8)
    draw_shape(scene, ("box", 0, 0, 10, 10, 200))
    crops = cut(scene, segment(scene, WIDE), CropSpec(side_px=32), WIDE)
    inside = np.zeros((32, 32), np.bool_)
    inside[11:, 11:] = True  # the middle of the box, (5, 5), lies at (16, 16)
    assert not crops.masks[0][~inside].any()
    assert crops.masks[0][11:21, 11:21].all()


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_any_number_of_channels_is_cut(channels: int) -> None:
    rng = np.random.default_rng(1)
    scene = np.zeros((40, 40, channels), np.uint8)
    scene[10:25, 12:30] = rng.integers(100, 256, (15, 18, channels), dtype=np.uint8)
    crops = cut(scene, segment(scene, PLAIN), CropSpec(side_px=32, channels=channels), PLAIN)
    assert np.array_equal(crops.pixels[0][9:24, 7:25], scene[10:25, 12:30])


def test_no_objects_give_no_crops_of_the_right_shape() -> None:
    scene = np.zeros((20, 20, 3), np.uint8)
    crops = cut(scene, segment(scene, PLAIN), CropSpec(side_px=16), PLAIN)
    assert (len(crops), crops.pixels.shape, crops.masks.shape) == (0, (0, 16, 16, 3), (0, 16, 16))


def test_full_mask_keeps_every_pixel_of_the_picture() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    chosen = SegmentSettings(mask="full")
    crops = cut(picture, segment(picture, chosen), CropSpec(side_px=48), chosen)
    assert int(crops.masks.sum()) == 1200
    assert np.array_equal(crops.pixels[0][9:39, 4:44], picture)


@pytest.mark.parametrize(("width", "height", "oversize"), [(32, 32, False), (33, 5, True), (5, 33, True)])
def test_object_is_oversize_when_a_side_exceeds_the_window(width: int, height: int, *, oversize: bool) -> None:
    scene = np.zeros((60, 60, 3), np.uint8)
    scene[5 : 5 + height, 7 : 7 + width] = 200
    assert is_oversize(segment(scene, PLAIN), CropSpec(side_px=16, reduction=2)).tolist() == [oversize]


def test_oversize_object_is_refused() -> None:
    scene = np.full((60, 60, 3), 200, np.uint8)
    with pytest.raises(CropError, match="exceeds the window of 32 px"):
        cut(scene, segment(scene, PLAIN), CropSpec(side_px=32), PLAIN)


@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 1), (20, 20, 4)])
def test_frame_with_other_channels_is_refused(shape: tuple[int, ...]) -> None:
    scene = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(CropError, match=r"\(H, W, 3\)"):
        cut(np.zeros(shape, np.uint8), segment(scene, PLAIN), CropSpec(side_px=16), PLAIN)


@given(st.integers(1, 6), st.integers(1, 5), st.data())
def test_reduced_pixel_is_the_rounded_mean_of_its_block(factor: int, side: int, data: st.DataObject) -> None:
    window = side * factor
    masks = data.draw(hnp.arrays(np.bool_, (1, window, window)))
    pixels = data.draw(hnp.arrays(np.uint8, (1, window, window, 2))) * masks[..., None]
    reduced = reduce_crops(Crops(pixels, masks), factor)
    is_thin = not any(
        2 * int(masks[0, y : y + factor, x : x + factor].sum()) >= factor * factor
        for y in range(0, window, factor)
        for x in range(0, window, factor)
    )
    for row in range(side):
        for column in range(side):
            rows, columns = slice(row * factor, (row + 1) * factor), slice(column * factor, (column + 1) * factor)
            covered = int(masks[0, rows, columns].sum())
            is_inside = covered > 0 if is_thin else 2 * covered >= factor * factor
            sums = [sum(pixels[0, rows, columns, band].ravel().tolist()) for band in range(2)]
            means = [(total + factor * factor // 2) // (factor * factor) * is_inside for total in sums]
            assert reduced.pixels[0, row, column].tolist() == means
            assert bool(reduced.masks[0, row, column]) == is_inside


def test_hair_keeps_every_block_it_touches() -> None:
    scene = np.zeros((64, 64, 3), np.uint8)
    scene[10:50, 30] = 240
    crops = cut(scene, segment(scene, PLAIN), CropSpec(side_px=16, reduction=4), PLAIN)
    assert int(crops.masks.sum()) in {10, 11}  # 40 pixels of a column over blocks of 4


CROPS = st.tuples(st.integers(1, 12), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, (shape[0], shape[0], shape[1])), hnp.arrays(np.bool_, (shape[0], shape[0]))
    )
)


@given(CROPS)
def test_packed_crop_is_unpacked_as_it_was(crop: tuple[NDArray[np.uint8], NDArray[np.bool_]]) -> None:
    pixels, mask = crop
    again = unpack_crop(pack_crop(pixels, mask), pixels.shape[0], pixels.shape[2])
    assert np.array_equal(again[0], pixels)
    assert np.array_equal(again[1], mask)
    assert all(array.flags.writeable for array in again)


def packed() -> tuple[bytes, NDArray[np.uint8], NDArray[np.bool_]]:
    rng = np.random.default_rng(3)
    pixels, mask = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), rng.random((9, 9)) < 0.5
    return pack_crop(pixels, mask), pixels, mask


def test_damage_of_any_byte_never_gives_another_crop() -> None:
    """Some bits of the header tell the level of compression only: there the crop is the same."""
    data, pixels, mask = packed()
    refused = 0
    for at in range(len(data)):
        for flipped in range(1, 256):
            damaged = bytearray(data)
            damaged[at] ^= flipped
            try:
                again = unpack_crop(bytes(damaged), 9, 3)
            except CropError:
                refused += 1
            else:
                assert np.array_equal(again[0], pixels)
                assert np.array_equal(again[1], mask)
    assert refused > 254 * len(data)


def test_crop_that_ends_early_is_refused_at_every_byte() -> None:
    data, _, _ = packed()
    for length in range(len(data)):
        with pytest.raises(CropError, match="stored crop of"):
            unpack_crop(data[:length], 9, 3)


@pytest.mark.parametrize(
    "data",
    [packed()[0] + b"x", zlib.compress(b""), zlib.compress(bytes(9 * 9 * 3 + 12)), zlib.compress(bytes(1 << 26))],
    ids=["bytes behind", "empty", "one byte more", "64 MiB of zeros"],
)
def test_bytes_of_another_length_are_refused(data: bytes) -> None:
    with pytest.raises(CropError, match="is not one of side 9 and 3 channels, which has 254 bytes"):
        unpack_crop(data, 9, 3)
