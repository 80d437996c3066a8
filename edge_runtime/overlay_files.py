"""Overlay pictures to disk: a PNG a frame in a folder, or a video. Knows no page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import cv2

from edge_runtime.errors import FrameError, StorageError
from edge_runtime.frames import VIDEO_SUFFIXES
from edge_runtime.gallery import drawn_of, outlines_of
from edge_runtime.overlay import draw_overlay
from edge_runtime.replay import Seen
from edge_runtime.storage import write_atomic

__all__ = ["OverlayFiles", "overlay_files"]

_FRAMES_PER_S: Final = 4.0  # slow enough to look
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
        StorageError: folder or video cannot be made or written.
    """
    if target.suffix.lower() not in VIDEO_SUFFIXES:
        yield _Folder(target)
        return
    video = _Video(target)
    try:
        yield video
    except BaseException:
        video.discard()
        raise
    video.close()


class _Folder:
    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make the folder {folder}: {error.strerror or error}") from error
        self._folder = folder

    def look(self, seen: Seen) -> None:
        picture = draw_overlay(seen.pixels, outlines_of(seen), drawn_of(seen))
        name = f"{seen.number:06d}_{Path(seen.name.replace('#', '_')).stem}.png"  # a video's frames are called a.avi#7
        write_atomic(self._folder / name, cv2.imencode(".png", picture)[1].tobytes())


class _Video:
    """Writes beside the target under another name, and puts it in place at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".part.{path.name}")
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def look(self, seen: Seen) -> None:
        picture = draw_overlay(seen.pixels, outlines_of(seen), drawn_of(seen))
        size = (int(picture.shape[1]), int(picture.shape[0]))
        if self._writer is None:
            self._writer, self._size = self._open(size), size
        if size != self._size:
            raise FrameError(
                f"{seen.name} is {size[0]} x {size[1]} px, the video has {self._size[0]} x {self._size[1]}: "
                "pictures of several sizes go into a folder"
            )
        self._writer.write(picture)

    def close(self) -> None:
        """Finish the file and put it in place."""
        if self._writer is None:
            return
        self._writer.release()
        try:
            self._part.replace(self._path)
        except OSError as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror or error}") from error

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.release()
            self._part.unlink(missing_ok=True)

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        codec = cv2.VideoWriter.fourcc(*_CODECS.get(self._path.suffix.lower(), "MJPG"))
        writer = cv2.VideoWriter(str(self._part), codec, _FRAMES_PER_S, size)
        if not writer.isOpened():
            raise StorageError(
                f"cannot write a video to {self._path}: check the folder; a name that ends in .avi works everywhere"
            )
        return writer
