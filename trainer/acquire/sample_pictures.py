"""The bytes of one file to a picture, or to the reason why it cannot be a sample.

Stricter than a decoder, which fills the missing part of a torn picture with grey and says nothing. Knows bytes only.

>>> read_picture(b"")
Unusable(outcome='empty_file', reason='the file is empty')
"""

from dataclasses import dataclass
from typing import Final, Literal

from edge_runtime.errors import FrameError
from edge_runtime.images import MAX_SIDE_PX, Picture, decode_picture, picture_size

__all__ = ["Unusable", "read_picture"]

_SIGNATURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")
_MAX_PIXELS: Final = 1 << 26  # the decoder's own limit
_JPEG_END: Final = b"\xff\xd9"
_JPEG_SCAN: Final = b"\xff\xda"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a file cannot be a sample."""

    outcome: Literal["empty_file", "unsupported", "too_large", "corrupt"]
    reason: str


def read_picture(data: bytes) -> Picture | Unusable:
    """Return the decoded picture, (H, W, 3) uint8 BGR, or why there is none."""
    if not data:
        return Unusable("empty_file", "the file is empty")
    if not data.startswith(_SIGNATURES):
        return Unusable("unsupported", f"not a PNG, JPEG or BMP picture: it starts with {data[:8].hex(' ')}")
    try:
        height, width = picture_size(data)
        if max(height, width) > MAX_SIDE_PX or height * width > _MAX_PIXELS:
            return Unusable("too_large", f"{width} x {height} px: the limit is {MAX_SIDE_PX} px a side and 64 Mpx")
        if _ends_early(data):
            return Unusable("corrupt", f"the picture ends early, after {len(data)} bytes: copy it again")
        return decode_picture(data)
    except FrameError as error:
        return Unusable("corrupt", str(error))


def _ends_early(data: bytes) -> bool:
    """Return whether a picture's last part is missing; decoders accept such files."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-1024:]  # tools append a little behind the end
    if data.startswith(b"BM"):
        return len(data) < int.from_bytes(data[2:6], "little")
    scan = data.rfind(_JPEG_SCAN)  # of the picture itself: that of an embedded preview comes earlier
    return scan < 0 or _JPEG_END not in data[scan:]
