"""Any bytes become 8-bit BGR pixels or a FrameError with its reason, and nothing enormous is ever decoded."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.errors import FrameError
from edge_runtime.images import MAX_SIDE_PX, decode_picture, picture_size

SUFFIXES = (".png", ".jpg", ".bmp")
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def noise(height: int, width: int, *bands: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, *bands), dtype=np.uint8)


def noise16(height: int, width: int, *bands: int) -> NDArray[np.uint16]:
    return np.random.default_rng(1).integers(0, 65536, (height, width, *bands), dtype=np.uint16)


def encode(suffix: str, pixels: NDArray[np.uint8] | NDArray[np.uint16], *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, pixels, options)[1].tobytes())


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@given(SIZES, st.sampled_from(SUFFIXES))
def test_size_in_the_header_is_that_of_the_pixels(size: tuple[int, int], suffix: str) -> None:
    data = encode(suffix, noise(*size, 3))
    assert picture_size(data) == size
    assert decode_picture(data).pixels.shape == (*size, 3)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_lossless_pixels_are_as_they_were(suffix: str) -> None:
    pixels = noise(13, 17, 3)
    picture = decode_picture(encode(suffix, pixels))
    assert picture.converted == ""
    assert np.array_equal(picture.pixels, pixels)


def test_progressive_jpeg_with_restart_markers_has_its_size() -> None:
    data = encode(".jpg", noise(33, 21, 3), cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    assert picture_size(data) == (33, 21)


def test_fill_bytes_and_metadata_before_the_size_are_passed_over() -> None:
    data = encode(".jpg", noise(9, 5, 3))
    thumbnail = encode(".jpg", noise(2, 2, 3))
    segment = b"\xff\xff\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    assert picture_size(data[:2] + segment + data[2:]) == (9, 5)


def test_bmp_stored_top_down_has_a_positive_height() -> None:
    data = bytearray(encode(".bmp", noise(6, 4, 3)))
    data[22:26] = struct.pack("<i", -6)
    assert picture_size(bytes(data)) == (6, 4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_picture_that_ends_early_is_refused_at_every_byte(suffix: str) -> None:
    """But for the mark of the end, behind the last pixel: without it a PNG or JPEG may still be whole."""
    data = encode(suffix, noise(12, 16, 3))
    for length in range(len(data) - {".png": 12, ".jpg": 2, ".bmp": 0}[suffix]):
        with pytest.raises(FrameError, match=r"empty file|not a whole|damaged picture"):
            decode_picture(data[:length])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_picture_is_a_picture_or_refused(suffix: str) -> None:
    data = encode(suffix, noise(12, 16, 3))
    outcomes = set()
    for at in range(len(data)):
        try:
            outcomes.add(decode_picture(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]).pixels.ndim)
        except FrameError as error:
            outcomes.add(0)
            assert str(error)
    assert outcomes == {0, 3}


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"BM", b"\xff\xd8\xff"]))
def test_any_bytes_are_refused_with_a_reason(data: bytes, start: bytes) -> None:
    with pytest.raises(FrameError, match=r"picture|empty file"):
        decode_picture(start + data)


@pytest.mark.parametrize(
    ("width", "height"),
    [(MAX_SIDE_PX + 1, 1), (1, MAX_SIDE_PX + 1), (MAX_SIDE_PX, MAX_SIDE_PX), (2**31 - 1, 2**31 - 1), (0, 5), (5, 0)],
)
def test_enormous_or_empty_header_is_refused_before_decoding(width: int, height: int) -> None:
    """The bytes behind the header would not decode: the reason shows that nobody tried."""
    with pytest.raises(FrameError, match=f"picture of {width} x {height} px: the limit is 16384 a side"):
        decode_picture(png_header(width, height))


@pytest.mark.parametrize(
    ("pixels", "converted"),
    [
        (noise(5, 7), "grey to colour"),
        (noise(5, 7, 4), "alpha dropped"),
        (noise16(5, 7, 3), "16 bit to 8 bit"),
        (noise16(5, 7), "16 bit to 8 bit, grey to colour"),
        (noise16(5, 7, 4), "16 bit to 8 bit, alpha dropped"),
    ],
    ids=["grey", "alpha", "16 bit", "16 bit grey", "16 bit alpha"],
)
def test_other_pixels_become_8_bit_bgr_and_say_so(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], converted: str
) -> None:
    picture = decode_picture(encode(".png", pixels))
    wide = np.asarray(pixels, np.int64)
    levels = wide if pixels.dtype == np.uint8 else wide // 256
    expected = np.repeat(levels[:, :, None], 3, axis=2) if levels.ndim == 2 else levels[:, :, :3]
    assert picture.converted == converted
    assert np.array_equal(picture.pixels, expected)


def test_empty_file_says_so() -> None:
    with pytest.raises(FrameError, match="empty file"):
        decode_picture(b"")


@pytest.mark.parametrize("data", [b"GIF89a" + bytes(40), b"%PDF-1.7", b"<svg/>", b"II*\x00" + bytes(40)])
def test_another_format_is_named_by_its_first_bytes(data: bytes) -> None:
    with pytest.raises(FrameError, match=f"starts with {data[:6].hex(' ')}"):
        decode_picture(data)
