"""Encoded pictures to arrays, with a clear reason when a picture cannot be used.

Sizes are read from the header before anything is decoded, so that an enormous picture costs nothing.

>>> picture_size(b"BM" + bytes(16) + (20).to_bytes(4, "little") + (10).to_bytes(4, "little"))
(10, 20)
"""

from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError

__all__ = ["IMAGE_SUFFIXES", "MAX_SIDE_PX", "Picture", "as_bgr", "decode_picture", "picture_size"]

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
MAX_SIDE_PX: Final = 16384  # the widest line-scan cameras have 16k pixels; larger is a mistake or an attack
_MAX_PIXELS: Final = 1 << 26  # 64 Mpx, 192 MiB decoded
cv2.utils.logging.setLogLevel(0)  # a damaged picture is reported once, by us, not in lines of OpenCV between our logs
_JPEG_SIZE_MARKERS: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


class Picture(msgspec.Struct, frozen=True):
    """A decoded picture.

    Attributes:
        pixels: (H, W, 3) uint8, BGR.
        converted: what was changed on the way, "" for nothing: "grey to colour", "16 bit to 8 bit", "alpha dropped".
    """

    pixels: NDArray[np.uint8]
    converted: str


def picture_size(data: bytes) -> tuple[int, int]:
    """Return height and width of a PNG, JPEG or BMP from its header.

    Raises:
        FrameError: another format, or a header that ends early.
    """
    size = None
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        size = int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    elif data[:2] == b"BM" and len(data) >= 26:
        height = int.from_bytes(data[22:26], "little", signed=True)  # negative: stored top down
        size = abs(height), int.from_bytes(data[18:22], "little", signed=True)
    elif data[:2] == b"\xff\xd8":
        size = _jpeg_size(data)
    if size is None:
        raise FrameError(f"not a whole PNG, JPEG or BMP picture ({len(data)} bytes, starts with {data[:8].hex(' ')})")
    return size


def decode_picture(data: bytes) -> Picture:
    """Decode a PNG, JPEG or BMP to 8-bit BGR.

    Raises:
        FrameError: empty, damaged, another format, no pixels, or larger than 16384 px a side or 64 Mpx.
    """
    if not data:
        raise FrameError("empty file")
    height, width = picture_size(data)
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX and height * width <= _MAX_PIXELS):
        raise FrameError(f"picture of {width} x {height} px: the limit is {MAX_SIDE_PX} a side and 64 Mpx in all")
    try:
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FrameError(f"damaged picture: {error.err}") from error
    if raw is None:
        raise FrameError("damaged picture: it cannot be decoded")
    return _to_bgr8(raw)


def as_bgr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, C) uint8 as (H, W, 3) to look at: itself, its first band as grey, or the first three of more."""
    bands = pixels.shape[2]
    if bands == 3:
        return pixels
    shown = pixels[:, :, :3] if bands > 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(shown)


def _to_bgr8(raw: NDArray[np.generic]) -> Picture:
    notes = []
    if raw.dtype == np.uint16:
        raw = (raw >> 8).astype(np.uint8)  # type: ignore[operator]  # numpy's stubs do not narrow on dtype
        notes.append("16 bit to 8 bit")
    if raw.dtype != np.uint8:
        raise FrameError(f"picture with {raw.dtype} pixels: 8 or 16 bit are supported")
    pixels = np.asarray(raw, np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        notes.append("grey to colour")
    elif pixels.shape[2] == 4:
        pixels = np.ascontiguousarray(pixels[:, :, :3])
        notes.append("alpha dropped")
    return Picture(pixels, ", ".join(notes))


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _JPEG_SIZE_MARKERS:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
