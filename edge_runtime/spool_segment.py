"""Segments: files that only grow, made of frames that prove themselves; what a spool keeps and an export carries.

A frame is magic (4) | payload length u32 | crc32 u32 over magic, length and payload | payload. All integers are little
endian. It knows frames and files, not what the payloads mean.

>>> frame = encode_frame(FrameKind.RECORD, b"payload")
>>> scan_frames(b"rubbish" + frame + frame[:5]).frames[0].payload
b'payload'
"""

import os
import re
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from edge_runtime.errors import StorageError
from edge_runtime.storage import fsync_folder

__all__ = [
    "FRAME_OVERHEAD_B",
    "SEGMENT_MAGIC",
    "Frame",
    "FrameKind",
    "Scan",
    "SegmentWriter",
    "decode_frame",
    "encode_frame",
    "frame_length",
    "scan_frames",
]

SEGMENT_MAGIC: Final = b"SLSG\x01\x00\x00\x00"  # segment files, format 1
_HEAD: Final = struct.Struct("<4sII")
FRAME_OVERHEAD_B: Final = _HEAD.size
_MAGIC: Final = re.compile(b"SL[RNE]1")


class FrameKind(Enum):
    """What a payload is; the value is the frame's magic."""

    RECORD = b"SLR1"
    NORMS = b"SLN1"
    END = b"SLE1"


@dataclass(frozen=True, slots=True)
class Frame:
    """A proven frame.

    Attributes:
        kind: what the payload is.
        offset_b: where the frame begins.
        payload: its bytes.
    """

    kind: FrameKind
    offset_b: int
    payload: bytes

    @property
    def length_b(self) -> int:
        """Bytes of the whole frame."""
        return FRAME_OVERHEAD_B + len(self.payload)

    @property
    def end_b(self) -> int:
        """Where the next frame begins."""
        return self.offset_b + self.length_b


@dataclass(frozen=True, slots=True)
class Scan:
    """What is readable of a segment.

    Attributes:
        frames: in order.
        damaged: stretches of unreadable bytes with a readable frame behind them.
        end_b: where the last readable frame ends; what follows is torn.
    """

    frames: tuple[Frame, ...]
    damaged: int
    end_b: int


def encode_frame(kind: FrameKind, payload: bytes) -> bytes:
    """Return a payload as a frame."""
    prefix = kind.value + struct.pack("<I", len(payload))
    return prefix + struct.pack("<I", zlib.crc32(payload, zlib.crc32(prefix))) + payload


def frame_length(head: bytes) -> int:
    """Return the bytes of the whole frame whose first FRAME_OVERHEAD_B bytes are `head`.

    Raises:
        StorageError: no frame begins like this.
    """
    if len(head) < FRAME_OVERHEAD_B or _kind(head[:4]) is None:
        raise StorageError(f"no frame begins with {head[:4].hex(' ')}")
    return FRAME_OVERHEAD_B + int(_HEAD.unpack_from(head)[1])


def decode_frame(data: bytes, offset_b: int = 0) -> Frame:
    """Return the frame that begins at `offset_b`.

    Raises:
        StorageError: no whole frame with a right checksum begins there.
    """
    frame = _try_frame(data, offset_b)
    if frame is None:
        raise StorageError(f"no whole frame with a right checksum at byte {offset_b} of {len(data)}")
    return frame


def scan_frames(data: bytes, start_b: int = 0) -> Scan:
    """Return every readable frame from `start_b` on, stepping over what is damaged; accepts any bytes.

    Offsets count from the begin of `data`. A segment's magic is stepped over where it is expected.
    """
    frames: list[Frame] = []
    damaged = 0
    offset = good_end = max(start_b, len(SEGMENT_MAGIC) if data.startswith(SEGMENT_MAGIC) else 0)
    while offset < len(data):
        frame = _try_frame(data, offset)
        if frame is None:
            offset = _next_magic(data, offset + 1)
            continue
        damaged += offset != good_end
        frames.append(frame)
        offset = good_end = frame.end_b
    return Scan(tuple(frames), damaged, good_end)


class SegmentWriter:
    """One segment file, open for appending. Nothing is durable before `sync`, nothing claimed before `accept`.

    Attributes:
        path: the file.
        size_b: bytes written, durable or not.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, or create it with its magic.

        Raises:
            StorageError: it cannot be opened or created.
        """
        self.path = path
        self._is_new = not path.exists()
        try:
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self.size_b = os.fstat(self._handle).st_size
        except OSError as error:
            raise StorageError(f"cannot open segment {path}: {error.strerror or error}") from error
        self._accepted_b = self.size_b

    def append(self, data: bytes | bytearray) -> int:
        """Write `data` at the end and return where it begins.

        Raises:
            StorageError: the disk is full or failed; `abandon` the segment then.
        """
        if self.size_b == 0:
            data = SEGMENT_MAGIC + data
            start = len(SEGMENT_MAGIC)
        else:
            start = self.size_b
        try:
            while data:
                written = os.write(self._handle, data)
                self.size_b += written
                data = data[written:]
        except OSError as error:
            raise StorageError(f"cannot write segment {self.path}: {error.strerror or error}") from error
        return start

    def sync(self) -> None:
        """Make everything written durable, and the file's name when it is new.

        Raises:
            StorageError: the flush failed: nobody knows what reached the disk, `abandon` the segment.
        """
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise StorageError(f"cannot flush segment {self.path}: {error.strerror or error}") from error
        if self._is_new:
            fsync_folder(self.path.parent)
            self._is_new = False

    def accept(self) -> None:
        """Note that everything written is claimed by the index: `abandon` will not cut it."""
        self._accepted_b = self.size_b

    def abandon(self) -> int:
        """Give the file up after a failure, cut back to what was accepted if possible; return its size."""
        with suppress(OSError):
            os.ftruncate(self._handle, self._accepted_b)
            self.size_b = self._accepted_b
        self.close()
        if self.size_b == 0:
            with suppress(OSError):
                self.path.unlink()
        return self.size_b

    def close(self) -> None:
        """Close the file; what was not synced may be lost."""
        with suppress(OSError):
            os.close(self._handle)


def _kind(magic: bytes) -> FrameKind | None:
    try:
        return FrameKind(magic)
    except ValueError:
        return None


def _try_frame(data: bytes, offset_b: int) -> Frame | None:
    if len(data) - offset_b < FRAME_OVERHEAD_B:
        return None
    magic, length, crc = _HEAD.unpack_from(data, offset_b)
    kind = _kind(magic)
    start = offset_b + FRAME_OVERHEAD_B
    if kind is None or length > len(data) - start:
        return None
    payload = data[start : start + length]
    if zlib.crc32(payload, zlib.crc32(data[offset_b : offset_b + 8])) != crc:
        return None
    return Frame(kind, offset_b, payload)


def _next_magic(data: bytes, offset_b: int) -> int:
    """Return where the next frame may begin, the end of `data` if nowhere."""
    found = _MAGIC.search(data, offset_b)
    return found.start() if found else len(data)
