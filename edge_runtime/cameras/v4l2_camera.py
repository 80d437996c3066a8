"""A V4L2 camera: /dev/video0, by way of linuxpy (`v4l2_stream.py`).

Counter, stamp and error flag are the kernel's own. Pixel formats, in the order of preference: BGR3, RGB3, YUYV, 8-bit
Bayer, GREY. A camera that gives only compressed pictures is refused: their artefacts would be sorted.

>>> settings = V4l2Settings(width_px=640, lines=480, fourcc="GREY")
>>> settings.stamp_late_us
0
"""

import errno
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from edge_runtime.cameras.buffered_camera import BufferedCamera, DriverBuffer
from edge_runtime.cameras.pixel_formats import PixelFormat, PixelLayout
from edge_runtime.cameras.v4l2_stream import V4l2Stream, open_v4l2_stream
from edge_runtime.errors import CameraError
from firmware_bridge.clock import Clock

__all__ = ["FourCc", "V4l2Driver", "V4l2Settings", "open_v4l2_camera"]

FourCc = Literal["BGR3", "RGB3", "YUYV", "RGGB", "GRBG", "GBRG", "BA81", "GREY"]

# Names of linux/videodev2.h, best first: colour without conversion, colour with one, grey.
_FORMATS: Final[dict[FourCc, PixelFormat]] = {
    "BGR3": "bgr8",
    "RGB3": "rgb8",
    "YUYV": "yuyv",
    "RGGB": "bayer_rggb8",
    "GRBG": "bayer_grbg8",
    "GBRG": "bayer_gbrg8",
    "BA81": "bayer_bggr8",
    "GREY": "mono8",
}
_NS_PER_US: Final = 1000
# linux/videodev2.h
_FLAG_ERROR: Final = 0x40
_STAMP_MASK: Final = 0xE000
_STAMP_MONOTONIC: Final = 0x2000
_GONE: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


class V4l2Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to ask the device for.

    Attributes:
        width_px: pixels of a line; a device that gives another width is refused.
        lines: of a frame; 0 leaves what the device has.
        fourcc: pixel format; null takes the best that the device has.
        stamp_late_us: by how much the device's stamps are later than the exposure of the first line: 0 for devices that
            stamp the start of a frame, its read-out for those that stamp its end.
    """

    width_px: Annotated[int, msgspec.Meta(ge=16, le=16384)]
    lines: Annotated[int, msgspec.Meta(ge=0, le=16384)] = 0
    fourcc: FourCc | None = None
    stamp_late_us: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0


class V4l2Driver:
    """The buffers of a device, which streams from now on.

    Args:
        stream: of an open device; the driver stops it.
        path: device file, for messages.
        settings: what to ask it for.

    Raises:
        CameraError: another program uses it, or it gives nothing that can be used.
    """

    def __init__(self, stream: V4l2Stream, path: Path, settings: V4l2Settings) -> None:
        self._stream = stream
        self._path = path
        self._settings = settings
        self._poll = select.poll()
        try:
            with _translated(path):
                self._layout = _negotiated(stream, path, settings)
                stream.start()
                self._poll.register(stream.fileno(), select.POLLIN)
        except CameraError:
            self.close()
            raise

    @property
    def layout(self) -> PixelLayout:
        """How frames lie in the buffers, as the device said when it was opened."""
        return self._layout

    @property
    def id_period(self) -> int:
        """The kernel's counter has 32 bits."""
        return 2**32

    def fetch(self, timeout_s: float) -> DriverBuffer | None:
        """Lend the next filled buffer; None where none was filled in time.

        Raises:
            CameraError: the device is gone.
        """
        with _translated(self._path):
            events = self._poll.poll(max(timeout_s, 0.0) * 1000)
            if any(event & _GONE for _, event in events):
                raise CameraError(f"{self._path}: the device is gone")
            if not events:
                return None
            try:
                buffer = self._stream.dequeue()
            except BlockingIOError:
                return None
        is_monotonic = buffer.flags & _STAMP_MASK == _STAMP_MONOTONIC
        return DriverBuffer(
            key=buffer.key,
            memory=self._stream.memory(buffer.key),
            filled_b=buffer.filled_b,
            frame_id=buffer.sequence,
            stamp_ns=(buffer.stamp_us - self._settings.stamp_late_us) * _NS_PER_US if is_monotonic else None,
            has_error=bool(buffer.flags & _FLAG_ERROR),
        )

    def requeue(self, key: int) -> None:
        """Take a lent buffer back.

        Raises:
            CameraError: the device is gone.
        """
        with _translated(self._path):
            self._stream.enqueue(key)

    def close(self) -> None:
        """Stop the stream and close the device, also one that is gone."""
        self._stream.stop()


def open_v4l2_camera(path: Path, settings: V4l2Settings, clock: Clock) -> BufferedCamera:
    """Return a V4L2 camera that streams.

    Args:
        path: device file.
        settings: what to ask it for.
        clock: gives the time of frames that the driver stamps by another clock than CLOCK_MONOTONIC.

    Raises:
        CameraError: there is no such device, another program uses it, or it gives nothing that can be used.
        ConfigError: linuxpy is not installed.
    """
    with _translated(path):
        stream = open_v4l2_stream(path)
    return BufferedCamera(V4l2Driver(stream, path, settings), clock)


def _negotiated(stream: V4l2Stream, path: Path, settings: V4l2Settings) -> PixelLayout:
    """Set the first pixel format that the device takes; return how frames will lie in the buffers.

    Raises:
        CameraError: it takes none, or gives lines of another width.
        OSError: the device refuses.
    """
    lines = settings.lines or stream.get_format().height
    for fourcc in _FORMATS if settings.fourcc is None else (settings.fourcc,):
        try:
            stream.set_format(settings.width_px, lines, fourcc)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some drivers say so instead of taking another format
                raise
            continue
        given = stream.get_format()
        if given.fourcc != fourcc:
            continue
        if given.width != settings.width_px or (settings.lines and given.height != settings.lines):
            raise CameraError(
                f"{path} gives {given.width} x {given.height} px, not {settings.width_px} x {lines}: "
                "set the camera's width_px, or lines, to what it has"
            )
        return PixelLayout(_FORMATS[fourcc], given.width, given.height, given.line_b)
    raise CameraError(
        f"{path} has no pixel format {settings.fourcc or ', '.join(_FORMATS)}: "
        "`v4l2-ctl --list-formats-ext` shows those it has"
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn the kernel's errors into ours.

    Raises:
        CameraError: the device is gone or refuses.
    """
    try:
        yield
    except OSError as error:
        raise CameraError(f"{path}: {error.strerror or error}") from error
