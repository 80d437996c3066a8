r"""Recordings to frames: a picture, a folder, a tar or a video file, in sorted order.

Every picture is either a frame or an entry of what is missing, with its reason; nothing is skipped silently. File names
are bytes and need not be UTF-8; what leaves here can always be printed.

>>> printable("bean-\udcd6\udcd0.png")
'bean-\\xd6\\xd0.png'
"""

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError, StorageError
from edge_runtime.images import IMAGE_SUFFIXES, decode_picture
from edge_runtime.storage import read_bytes

__all__ = ["VIDEO_SUFFIXES", "Frame", "MissingFrame", "picture_names", "printable", "read_frames"]

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


def printable(name: str) -> str:
    r"""Return a file's name as text that UTF-8 can hold: bytes that are no UTF-8 are written as \xd6."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def picture_names(source: Path) -> tuple[str, ...]:
    """Return the names that `read_frames` gives the pictures of a recording; of a video none: it must be read for that.

    Raises:
        FrameError: the source does not exist, is of no known kind, or is a damaged tar.
    """
    match _kind_of(source):
        case _Kind.FOLDER:
            names = [str(path.relative_to(source)) for path in _files(source)]
        case _Kind.PICTURE:
            names = [source.name]
        case _Kind.TAR:
            with _open_tar(source) as archive:
                names = [member.name for member in _members(archive)]
        case _Kind.VIDEO:
            names = []
    return tuple(map(printable, names))


def read_frames(source: Path) -> Iterator[Frame | MissingFrame]:
    """Yield the frames of a recording, sorted by name (a video: in its order).

    Args:
        source: a picture, a folder searched through all levels, a tar of pictures, or a video file.

    Raises:
        FrameError: the source does not exist, is of no known kind, is a damaged tar or a video whose path is not UTF-8,
            or holds no picture at all.
    """
    frames: Iterator[Frame | MissingFrame]
    match _kind_of(source):
        case _Kind.FOLDER:
            frames = (_read_frame(str(path.relative_to(source)), path) for path in _files(source))
        case _Kind.PICTURE:
            frames = (_read_frame(source.name, source) for _ in range(1))
        case _Kind.VIDEO:
            frames = _video_frames(source)
        case _Kind.TAR:
            frames = _tar_frames(source)
    empty = True
    for frame in frames:
        empty = False
        yield _named(frame)
    if empty:
        raise FrameError(f"{source} holds no picture: PNG, JPEG, BMP or a video is expected")


class _Kind(Enum):
    FOLDER = "folder"
    PICTURE = "picture"
    VIDEO = "video"
    TAR = "tar"


def _kind_of(source: Path) -> _Kind:
    if source.is_dir():
        return _Kind.FOLDER
    if source.suffix.lower() in IMAGE_SUFFIXES and source.is_file():
        return _Kind.PICTURE
    if source.suffix.lower() in VIDEO_SUFFIXES and source.is_file():
        return _Kind.VIDEO
    if source.is_file() and _is_tar(source):
        return _Kind.TAR
    raise FrameError(f"{source} is no picture, folder, tar or video (or does not exist)")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _named(frame: Frame | MissingFrame) -> Frame | MissingFrame:
    match frame:
        case Frame():
            return replace(frame, name=printable(frame.name))
        case MissingFrame():
            return MissingFrame(printable(frame.name), printable(frame.reason))


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
    with _open_tar(source) as archive:
        for member in _members(archive):
            file = archive.extractfile(member)
            assert file is not None  # isfile() in _members
            yield _frame(member.name, file.read())


def _members(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    members = [m for m in archive.getmembers() if m.isfile() and Path(m.name).suffix.lower() in IMAGE_SUFFIXES]
    return sorted(members, key=lambda m: m.name)


@contextmanager
def _open_tar(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source) as archive:
            yield archive
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise FrameError(f"{source} cannot be read to its end: {error}") from error


def _video_frames(source: Path) -> Iterator[Frame | MissingFrame]:
    path = str(source)
    if printable(path) != path:  # OpenCV does not survive such a path
        raise FrameError(f"{printable(path)}: the path of a video must be UTF-8; rename the file or its folder")
    video = cv2.VideoCapture(path)
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
