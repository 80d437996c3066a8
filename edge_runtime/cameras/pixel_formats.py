"""The memory of a camera's driver as pixels: (H, W, 1) grey or (H, W, 3) BGR. Pure.

Grey and BGR stay where they are; the other layouts cost one pass over the frame. Knows no driver.

>>> layout = PixelLayout("mono8", width_px=16, lines=2, line_b=20)
>>> to_pixels(bytes(40), layout).shape
(2, 16, 1)
"""

from mmap import mmap
from typing import Final, Literal, Self

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import CameraError

__all__ = ["PixelFormat", "PixelLayout", "to_pixels"]

PixelFormat = Literal[
    "mono8", "bgr8", "rgb8", "bgra8", "rgba8", "yuyv", "bayer_rggb8", "bayer_grbg8", "bayer_gbrg8", "bayer_bggr8"
]

_PIXEL_B: Final[dict[PixelFormat, int]] = {"bgr8": 3, "rgb8": 3, "bgra8": 4, "rgba8": 4, "yuyv": 2}  # others: 1
_CONVERSIONS: Final[dict[PixelFormat, int]] = {
    "rgb8": cv2.COLOR_RGB2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "rgba8": cv2.COLOR_RGBA2BGR,
    "yuyv": cv2.COLOR_YUV2BGR_YUYV,
    "bayer_rggb8": cv2.COLOR_BayerRGGB2BGR,
    "bayer_grbg8": cv2.COLOR_BayerGRBG2BGR,
    "bayer_gbrg8": cv2.COLOR_BayerGBRG2BGR,
    "bayer_bggr8": cv2.COLOR_BayerBGGR2BGR,
}


class PixelLayout(msgspec.Struct, frozen=True):
    """How a frame lies in memory.

    Attributes:
        format: of a pixel.
        width_px: pixels of a line; lines: of a frame.
        line_b: bytes from one line to the next.
    """

    format: PixelFormat
    width_px: int
    lines: int
    line_b: int

    @classmethod
    def padded(cls, pixel_format: PixelFormat, width_px: int, lines: int, padding_b: int = 0) -> Self:
        """Return the layout of lines that follow one another after `padding_b` bytes."""
        unpadded = cls(pixel_format, width_px, lines, 0)
        return cls(pixel_format, width_px, lines, unpadded.used_b + padding_b)

    @property
    def used_b(self) -> int:
        """Bytes of a line that are pixels."""
        return self.width_px * _PIXEL_B.get(self.format, 1)

    @property
    def size_b(self) -> int:
        """Bytes that a complete frame fills; the gap behind its last line may be missing."""
        return self.line_b * (self.lines - 1) + self.used_b


def to_pixels(memory: bytes | memoryview | mmap, layout: PixelLayout) -> NDArray[np.uint8]:
    """Return what lies in a driver's memory as pixels.

    Args:
        memory: at least `layout.size_b` bytes.
        layout: how they lie there.

    Returns:
        (lines, width_px, C) uint8: C = 1 for mono8, else 3, BGR. A view of the memory for mono8 and bgr8.

    Raises:
        CameraError: the memory is too small, or the layout is none: lines overlap, or yuyv or Bayer of odd size.
    """
    if layout.line_b < layout.used_b or layout.lines < 1 or len(memory) < layout.size_b:
        raise CameraError(f"{len(memory)} bytes of memory hold no {layout}: the camera's driver contradicts itself")
    shape = (layout.lines, layout.width_px, layout.used_b // layout.width_px)
    strides = (layout.line_b, shape[2], 1)
    held = np.frombuffer(memory, np.uint8)  # np.ndarray alone would let a mapping be unmapped under the pixels
    raw: NDArray[np.uint8] = np.ndarray(shape, np.uint8, held, strides=strides)  # (H, W, bytes of a pixel)
    conversion = _CONVERSIONS.get(layout.format)
    if conversion is None:
        return raw
    try:
        return np.asarray(cv2.cvtColor(raw, conversion), np.uint8)
    except cv2.error as error:
        raise CameraError(f"{layout} cannot be converted: {error.err}") from error
