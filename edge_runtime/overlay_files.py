"""Overlay pictures to disk: a PNG a frame in a folder, or a video. Knows no page."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import FrameError, StorageError
from edge_runtime.frames import VIDEO_SUFFIXES, printable
from edge_runtime.gallery import drawn_of, outlines_of
from edge_runtime.overlay import draw_overlay
from edge_runtime.replay import Seen
from edge_runtime.storage import fsync_folder, write_atomic

__all__ = ["OverlayFiles", "overlay_files"]

_FRAMES_PER_S: Final = 4.0  # slow enough to look
_STEM_B: Final = 200  # of a picture's own name in that of its overlay; file systems take 255 bytes in all
_CODECS: Final = {".mp4": "mp4v", ".mov": "mp4v"}  # else MJPG, which every build of OpenCV can write


class OverlayFiles(Protocol):
    """Where overlay pictures go; pass `look` to a replay as a viewer."""

    def look(self, seen: Seen) -> None:
        """Write one picture.

        Raises:
            StorageError: it cannot be written.
            FrameError: a video cannot take a picture of this size.
        """
        ...


@contextmanager
def overlay_files(target: Path) -> Iterator[OverlayFiles]:
    """Open a folder, or a video where the name ends as one does; a video is whole when the context ends without error.

    Raises:
        StorageError: folder or video cannot be made or written, or what was written of a video cannot be read back
            whole; a video that was there before is unchanged.
    """
    if target.suffix.lower() not in VIDEO_SUFFIXES:
        yield _Folder(target)
        return
    video = _Video(target)
    try:
        yield video
        video.close()
    except BaseException:
        video.discard()
        raise


class _Folder:
    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {folder}: {error.strerror or error}") from error
        self._folder = folder

    def look(self, seen: Seen) -> None:
        picture = draw_overlay(seen.pixels, outlines_of(seen), drawn_of(seen))
        stem = Path(seen.name.replace("#", "_")).stem.replace("\\", "_")  # a video's frames are called a.avi#7
        short = stem.encode()[:_STEM_B].decode(errors="ignore")
        write_atomic(self._folder / f"{seen.number:06d}_{short}.png", cv2.imencode(".png", picture)[1].tobytes())


class _Video:
    """Writes beside the target under another name, and puts it in place at the end.

    Codecs halve the colour's resolution and so want even sides: an odd one gets a black line more.
    """

    def __init__(self, path: Path) -> None:
        if printable(str(path)) != str(path):  # OpenCV does not survive such a path
            raise StorageError(f"{printable(str(path))}: the path of a video must be UTF-8; choose another name")
        self._path = path
        self._part = path.with_name(f".{os.getpid()}.part.{path.name}")
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written = 0

    def look(self, seen: Seen) -> None:
        """Write one more frame.

        Raises:
            FrameError: the picture has another size than the first.
            StorageError: the video cannot be begun.
        """
        picture = draw_overlay(seen.pixels, outlines_of(seen), drawn_of(seen))
        size = (int(picture.shape[1]), int(picture.shape[0]))
        if self._writer is None:
            self._size, self._writer = size, self._open(_even(size))
        if size != self._size:
            raise FrameError(
                f"{seen.name} is {size[0]} x {size[1]} px, the video has {self._size[0]} x {self._size[1]}: "
                "pictures of several sizes go into a folder"
            )
        self._writer.write(_padded(picture, _even(size)))
        self._written += 1

    def close(self) -> None:
        """Finish the file, read it back, and put it in place.

        Raises:
            StorageError: it cannot be written, or is not what was written; OpenCV itself tells of no full disk.
        """
        if self._writer is None:
            return
        self._writer.release()
        found = _frames_of(self._part, _even(self._size))
        if found != self._written:
            raise StorageError(
                f"cannot write {self._path}: {found} of {self._written} frames can be read back; is the disk full?"
            )
        try:
            with self._part.open("rb") as file:
                os.fsync(file.fileno())
            self._part.replace(self._path)
        except OSError as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror or error}") from error
        fsync_folder(self._path.parent)

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.release()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        codec = cv2.VideoWriter.fourcc(*_CODECS.get(self._path.suffix.lower(), "MJPG"))
        writer = cv2.VideoWriter(str(self._part), codec, _FRAMES_PER_S, size)
        if not writer.isOpened():
            raise StorageError(
                f"cannot write a video to {self._path}: check the folder; a name that ends in .avi works everywhere"
            )
        return writer


def _even(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    return width + width % 2, height + height % 2


def _padded(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture with black at its right and lower side, so that it has this width and height."""
    height, width = picture.shape[:2]
    padded = cv2.copyMakeBorder(picture, 0, size[1] - height, 0, size[0] - width, cv2.BORDER_CONSTANT)
    return np.asarray(padded, np.uint8)


def _frames_of(path: Path, size: tuple[int, int]) -> int:
    """Return how many frames of this width and height a video gives before it ends or gives another."""
    video = cv2.VideoCapture(str(path))
    try:
        count = 0
        while True:
            is_read, frame = video.read()
            if not is_read or frame.shape[1::-1] != size:
                return count
            count += 1
    finally:
        video.release()
