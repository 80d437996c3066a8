"""Every layout gives the colours that lie in it, whatever stands between its lines."""

from mmap import mmap
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.cameras.pixel_formats import PixelFormat, PixelLayout, to_pixels
from edge_runtime.errors import CameraError

BLUE, GREEN, RED = 200, 100, 40
# Bytes of two pixels of that colour; a mosaic's lines: the first, the second.
MOSAICS: Final[dict[PixelFormat, tuple[tuple[int, int], tuple[int, int]]]] = {
    "bayer_rggb8": ((RED, GREEN), (GREEN, BLUE)),
    "bayer_grbg8": ((GREEN, RED), (BLUE, GREEN)),
    "bayer_gbrg8": ((GREEN, BLUE), (RED, GREEN)),
    "bayer_bggr8": ((BLUE, GREEN), (GREEN, RED)),
}
PACKED: Final[dict[PixelFormat, tuple[int, ...]]] = {
    "bgr8": (BLUE, GREEN, RED),
    "rgb8": (RED, GREEN, BLUE),
    "bgra8": (BLUE, GREEN, RED, 9),
    "rgba8": (RED, GREEN, BLUE, 9),
}


def memory_of(lines: list[bytes], padding_b: int) -> bytes:
    return b"".join(line + b"\xee" * padding_b for line in lines)


def colours(pixels: NDArray[np.uint8]) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[2]).tolist()}


@pytest.mark.parametrize("padding_b", [0, 12])
@pytest.mark.parametrize("pixel_format", PACKED)
def test_packed_colours_become_bgr(pixel_format: PixelFormat, padding_b: int) -> None:
    line = bytes(PACKED[pixel_format]) * 16
    pixels = to_pixels(memory_of([line] * 4, padding_b), PixelLayout.padded(pixel_format, 16, 4, padding_b))
    assert pixels.shape == (4, 16, 3)
    assert colours(pixels) == {(BLUE, GREEN, RED)}


@pytest.mark.parametrize("pixel_format", MOSAICS)
def test_a_mosaic_of_one_colour_becomes_that_colour(pixel_format: PixelFormat) -> None:
    lines = [bytes(pair) * 8 for pair in MOSAICS[pixel_format]] * 4
    pixels = to_pixels(memory_of(lines, 4), PixelLayout.padded(pixel_format, 16, 8, 4))
    assert pixels.shape == (8, 16, 3)
    assert colours(pixels[2:-2, 2:-2]) == {(BLUE, GREEN, RED)}


@pytest.mark.parametrize(("luma", "grey"), [(16, 0), (235, 255), (126, 128)])
def test_yuyv_without_colour_is_grey_of_full_range(luma: int, grey: int) -> None:
    pixels = to_pixels(bytes((luma, 128, luma, 128)) * 8 * 4, PixelLayout.padded("yuyv", 16, 4))
    assert pixels.shape == (4, 16, 3)
    assert colours(pixels) == {(grey, grey, grey)}


def test_the_first_half_of_yuyv_colours_the_second() -> None:
    red = to_pixels(bytes((81, 90, 81, 240)) * 8, PixelLayout.padded("yuyv", 16, 1))
    assert np.abs(red.astype(int) - (0, 0, 255)).max() <= 2


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 7), st.integers(0, 9))
def test_grey_is_a_view_of_the_memory_with_gaps_left_out(width: int, lines: int, padding_b: int, rest_b: int) -> None:
    memory = np.random.default_rng(width * lines).integers(0, 256, lines * (width + padding_b) + rest_b, np.uint8)
    pixels = to_pixels(memory.data, PixelLayout.padded("mono8", width, lines, padding_b))
    assert pixels.shape == (lines, width, 1)
    whole = memory[: lines * (width + padding_b)].reshape(lines, -1)
    assert np.array_equal(pixels[:, :, 0], whole[:, :width])
    assert np.shares_memory(pixels, memory)


@pytest.mark.parametrize("pixel_format", ["mono8", "bgr8"])
def test_memory_cannot_be_unmapped_under_the_pixels(pixel_format: PixelFormat) -> None:
    memory = mmap(-1, 4096)
    pixels = to_pixels(memory, PixelLayout.padded(pixel_format, 16, 3))
    with pytest.raises(BufferError):
        memory.close()
    assert not pixels.any()
    del pixels
    memory.close()


def test_the_gap_behind_the_last_line_may_be_missing() -> None:
    layout = PixelLayout.padded("mono8", 16, 3, 4)
    assert layout.size_b == 56
    assert to_pixels(bytes(56), layout).shape == (3, 16, 1)
    with pytest.raises(CameraError, match="55 bytes"):
        to_pixels(bytes(55), layout)


@pytest.mark.parametrize(
    "layout",
    [
        PixelLayout("bgr8", 16, 2, 47),
        PixelLayout("mono8", 16, 0, 16),
        PixelLayout.padded("yuyv", 15, 2),
    ],
    ids=str,
)
def test_what_is_no_layout_is_refused(layout: PixelLayout) -> None:
    with pytest.raises(CameraError):
        to_pixels(bytes(1000), layout)
