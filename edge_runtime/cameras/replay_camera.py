"""A recording as a camera: its pictures in order, at the pace of a belt or as fast as they are asked for.

A picture that cannot be used leaves a gap in the ids, and in time its own length. Nothing else is ever lost: where
pictures cannot be read fast enough, or nobody takes them, the belt of the recording waits.

>>> import tempfile
>>> from firmware_bridge.clock import ManualClock
>>> folder = Path(tempfile.mkdtemp())
>>> camera = ReplayCamera(folder, ManualClock())
>>> camera.take(0.1)
Traceback (most recent call last):
    ...
edge_runtime.errors.CameraError: ... holds no picture: PNG, JPEG, BMP or a video is expected
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.cameras.camera import CameraFrame
from edge_runtime.errors import CameraError, FrameError, RecordingEndedError
from edge_runtime.frames import Frame, MissingFrame, picture_names, read_frames
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["ReplayCamera", "ReplaySettings"]


class ReplaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a recording is played.

    Attributes:
        lines_s: lines a second; 0 gives each picture as soon as it is asked for.
        loops: how often it is played; 0 for ever.
    """

    lines_s: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] = 0.0
    loops: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1


class _Picture(NamedTuple):
    """A picture that waits for its time: its last line passes the camera at `due_ns`."""

    pixels: NDArray[np.uint8]
    frame_id: int
    exposed_ns: int
    due_ns: int


class ReplayCamera:
    """A recording as a camera; ids count the pictures from 0.

    Args:
        recording: a picture, folder, tar or video, as `frames.read_frames` takes it.
        clock: paces it; the belt starts when the first picture is asked for.
        settings: how it is played.

    Raises:
        CameraError: there is no such recording, or it is damaged.
    """

    def __init__(self, recording: Path, clock: Clock, settings: ReplaySettings | None = None) -> None:
        self._recording = recording
        self._clock = clock
        self._settings = settings or ReplaySettings()
        self._next_id = 0
        self._line_ns = NS_PER_S / self._settings.lines_s if self._settings.lines_s else 0.0
        self._belt_ns: int | None = None  # when the line that comes next is exposed
        self._last_exposed_ns = -1
        self._pictures = self._played()
        self._waiting: _Picture | None = None
        self._is_open = True
        try:
            picture_names(recording)
        except FrameError as error:
            raise CameraError(str(error)) from error

    def take(self, timeout_s: float) -> CameraFrame | None:
        """Return the next picture when its last line has passed; None where that is not in time.

        Args:
            timeout_s: longest wait; reading a picture may take longer.

        Returns:
            Pixels (H, W, 3) uint8 BGR.

        Raises:
            RecordingEndedError: it was played as often as the settings say.
            CameraError: the recording is damaged or holds no picture that can be used, or the camera was closed.
        """
        if not self._is_open:
            raise CameraError("the camera is closed: open it again")
        if self._waiting is None:
            self._waiting = self._read()
        picture = self._waiting
        wait_s = (picture.due_ns - self._clock.monotonic_ns()) / NS_PER_S
        self._clock.sleep_s(min(wait_s, timeout_s))
        if wait_s > timeout_s:
            return None
        self._waiting = None
        return CameraFrame(picture.pixels, picture.frame_id, picture.exposed_ns, is_complete=True)

    def close(self) -> None:
        """Let go of the recording; harmless when it was closed before."""
        self._is_open = False
        self._waiting = None
        self._pictures = iter(())

    def _read(self) -> _Picture:
        try:
            return next(self._pictures)
        except StopIteration:
            self.close()
            raise RecordingEndedError(f"{self._recording} was played to its end") from None
        except FrameError as error:
            self.close()
            raise CameraError(str(error)) from error

    def _played(self) -> Iterator[_Picture]:
        """Yield the pictures of all plays.

        Raises:
            FrameError: the recording is damaged, or holds no picture that can be used.
        """
        loops = self._settings.loops
        for _ in itertools.repeat(None, loops) if loops else itertools.repeat(None):
            lines = 0
            for frame in read_frames(self._recording):
                match frame:
                    case Frame(pixels=pixels):
                        lines = len(pixels)
                        yield self._scheduled(pixels)
                    case MissingFrame():
                        self._skip(lines)
            if not lines:
                raise FrameError(
                    f"{self._recording} holds no picture that can be used: `sortloop-edge replay` says why"
                )

    def _scheduled(self, pixels: NDArray[np.uint8]) -> _Picture:
        """Return a picture with its time on the belt, which waits where it is late by more than its own length."""
        now_ns, length_ns = self._clock.monotonic_ns(), round(len(pixels) * self._line_ns)
        exposed_ns = now_ns if self._belt_ns is None else self._belt_ns
        if exposed_ns + 2 * length_ns < now_ns:
            exposed_ns = now_ns
        exposed_ns = max(exposed_ns, self._last_exposed_ns + 1)
        self._last_exposed_ns, self._belt_ns = exposed_ns, exposed_ns + length_ns
        picture = _Picture(pixels, self._next_id, exposed_ns, exposed_ns + length_ns if length_ns else now_ns)
        self._next_id += 1
        return picture

    def _skip(self, lines: int) -> None:
        """Let a picture pass that cannot be used; it is as long as the one before."""
        self._next_id += 1
        if self._belt_ns is not None:
            self._belt_ns += round(lines * self._line_ns)
