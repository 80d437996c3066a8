"""Recordings to frames: a picture, a folder, a tar or a video file, in sorted order.

Every picture is either a frame or an entry of what is missing, with its reason; nothing is skipped silently.
"""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError, StorageError
from edge_runtime.images import IMAGE_SUFFIXES, decode_picture
from edge_runtime.storage import read_bytes

__all__ = ["VIDEO_SUFFIXES", "Frame", "MissingFrame", "read_frames"]

VIDEO_SUFFIXES: Final = frozenset({".avi", ".mkv", ".mov", ".mp4"})


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: its name inside the recording, and pixels (H, W, 3) uint8 BGR."""

    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MissingFrame:
    """A picture that cannot be used, and why."""

    name: str
    reason: str


def read_frames(source: Path) -> Iterator[Frame | MissingFrame]:
    """Yield the frames of a recording, sorted by name (a video: in its order).

    Args:
        source: a picture, a folder searched through all levels, a tar of pictures, or a video file.

    Raises:
        FrameError: the source does not exist, is of no known kind, is a damaged tar, or holds no picture at all.
    """
    frames: Iterator[Frame | MissingFrame]
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
        frames = (_read_frame(str(path.relative_to(source)), path) for path in files)
    elif source.suffix.lower() in IMAGE_SUFFIXES and source.is_file():
        frames = (_read_frame(source.name, source) for _ in range(1))
    elif source.suffix.lower() in VIDEO_SUFFIXES and source.is_file():
        frames = _video_frames(source)
    elif source.is_file() and _is_tar(source):
        frames = _tar_frames(source)
    else:
        raise FrameError(f"{source} is no picture, folder, tar or video (or does not exist)")
    empty = True
    for frame in frames:
        empty = False
        yield frame
    if empty:
        raise FrameError(f"{source} holds no picture: PNG, JPEG, BMP or a video is expected")


def _read_frame(name: str, path: Path) -> Frame | MissingFrame:
    try:
        return _frame(name, read_bytes(path))
    except StorageError as error:
        return MissingFrame(name, str(error))


def _frame(name: str, data: bytes) -> Frame | MissingFrame:
    try:
        return Frame(name, decode_picture(data).pixels)
    except FrameError as error:
        return MissingFrame(name, str(error))


def _is_tar(source: Path) -> bool:
    try:
        return tarfile.is_tarfile(source)
    except (EOFError, zlib.error):  # compressed, and damaged so early that no first entry can be read
        return True


def _tar_frames(source: Path) -> Iterator[Frame | MissingFrame]:
    try:
        with tarfile.open(source) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and Path(m.name).suffix.lower() in IMAGE_SUFFIXES]
            for member in sorted(members, key=lambda m: m.name):
                file = archive.extractfile(member)
                assert file is not None  # isfile() above
                yield _frame(member.name, file.read())
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise FrameError(f"{source} cannot be read to its end: {error}") from error


def _video_frames(source: Path) -> Iterator[Frame | MissingFrame]:
    video = cv2.VideoCapture(str(source))
    try:
        count = 0
        while True:
            is_read, pixels = video.read()
            if not is_read:
                return
            yield Frame(f"{source.name}#{count}", np.asarray(pixels, np.uint8))
            count += 1
    finally:
        video.release()
