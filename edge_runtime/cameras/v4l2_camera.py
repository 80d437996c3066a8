"""A V4L2 camera: /dev/video0, by way of linuxpy.

Counter, stamp and error flag are the kernel's own. Pixel formats, in the order of preference: BGR3, RGB3, YUYV, 8-bit
Bayer, GREY. A camera that gives only compressed pictures is refused: their artefacts would be sorted.

>>> from firmware_bridge.clock import SystemClock
>>> open_v4l2_camera(Path("/dev/null"), V4l2Settings(width_px=640), SystemClock())
Traceback (most recent call last):
    ...
edge_runtime.errors.CameraError: /dev/null: ...
"""

import errno
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from mmap import mmap
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

import msgspec

from edge_runtime.cameras.buffered_camera import BufferedCamera, DriverBuffer
from edge_runtime.cameras.pixel_formats import PixelFormat, PixelLayout
from edge_runtime.errors import CameraError, ConfigError
from firmware_bridge.clock import Clock

__all__ = [
    "Capture",
    "CaptureDevice",
    "CaptureFormat",
    "CaptureMemory",
    "CaptureQueue",
    "CapturedBuffer",
    "CapturedTime",
    "FourCc",
    "V4l2Driver",
    "V4l2Settings",
    "open_v4l2_camera",
]

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
_BUFFERS: Final = 4
_NS_PER_US: Final = 1000
_US_PER_S: Final = 1_000_000
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


class CapturedBuffer(Protocol):
    """What is used of linuxpy's v4l2_buffer."""

    index: int
    bytesused: int
    sequence: int
    flags: int
    timestamp: "CapturedTime"


class CapturedTime(Protocol):
    """A timeval."""

    secs: int
    usecs: int


class CaptureFormat(Protocol):
    """What is used of linuxpy's Format."""

    width: int
    height: int
    pixel_format: int
    bytes_per_line: int


class CaptureQueue(Protocol):
    """What is used of linuxpy's BufferQueue."""

    def dequeue(self) -> CapturedBuffer:
        """Return a filled buffer; BlockingIOError where there is none, OSError where the device is gone."""
        ...

    def enqueue(self, buff: CapturedBuffer, /) -> object:
        """Give a buffer back; OSError where the device is gone."""
        ...


class CaptureMemory(Protocol):
    """What is used of linuxpy's MemoryMap."""

    queue: CaptureQueue
    buffers: Sequence[mmap]


class CaptureDevice(Protocol):
    """What is used of linuxpy's Device."""

    filename: Path

    def fileno(self) -> int:
        """Return what can be polled."""
        ...

    def close(self) -> None:
        """Close the device's file."""
        ...


class Capture(Protocol):
    """What is used of linuxpy's VideoCapture; OSError from any of it means that the device refuses or is gone."""

    device: CaptureDevice
    buffer: CaptureMemory

    def set_format(self, width: int, height: int, pixel_format: str, /) -> object:
        """Ask for a size and a pixel format; the device takes what is nearest."""
        ...

    def get_format(self) -> CaptureFormat:
        """Return what the device has taken."""
        ...

    def open(self) -> None:
        """Map and queue the buffers, then start the stream."""
        ...

    def close(self) -> None:
        """Stop the stream and unmap the buffers."""
        ...


class V4l2Driver:
    """The buffers of a device that streams from now on.

    Args:
        capture: of an open device; the driver closes both.
        settings: what to ask it for.

    Raises:
        CameraError: another program uses it, or it gives nothing that can be used.
    """

    def __init__(self, capture: Capture, settings: V4l2Settings) -> None:
        self._capture = capture
        self._path = capture.device.filename
        self._settings = settings
        try:
            with _translated(self._path):
                self._layout = _negotiated(capture, settings)
                capture.open()
                self._poll = select.poll()
                self._poll.register(capture.device.fileno(), select.POLLIN)
        except CameraError:
            self.close()
            raise
        self._lent: dict[int, CapturedBuffer] = {}

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
                raw = self._capture.buffer.queue.dequeue()
            except BlockingIOError:
                return None
        self._lent[raw.index] = raw
        return DriverBuffer(
            key=raw.index,
            memory=self._capture.buffer.buffers[raw.index],
            filled_b=raw.bytesused,
            frame_id=raw.sequence,
            stamp_ns=_stamp_ns(raw, self._settings.stamp_late_us),
            has_error=bool(raw.flags & _FLAG_ERROR),
        )

    def requeue(self, key: int) -> None:
        """Take a lent buffer back.

        Raises:
            CameraError: the device is gone.
        """
        with _translated(self._path):
            self._capture.buffer.queue.enqueue(self._lent.pop(key))

    def close(self) -> None:
        """Stop the stream and close the device, also one that is gone.

        Note:
            Memory that pixels still point into is unmapped when they are let go of.
        """
        with suppress(OSError, BufferError):  # gone; or pixels of the last frame are still looked at
            self._capture.close()
        with suppress(OSError):
            self._capture.device.close()


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
    try:
        from linuxpy.video.device import Device, VideoCapture  # noqa: PLC0415 - only machines with such a camera need it
    except ImportError as error:
        raise ConfigError("linuxpy is not installed: pip install linuxpy") from error
    device = Device(path)
    with _translated(path):
        try:
            device.open()
        except OSError:
            device.close()  # what is no camera is found to be none when it is open
            raise
    return BufferedCamera(V4l2Driver(VideoCapture(device, size=_BUFFERS), settings), clock)


def _negotiated(capture: Capture, settings: V4l2Settings) -> PixelLayout:
    """Set the first pixel format that the device takes; return how frames will lie in the buffers.

    Raises:
        CameraError: it takes none, or gives lines of another width.
        OSError: the device refuses.
    """
    path = capture.device.filename
    lines = settings.lines or capture.get_format().height
    for fourcc in _FORMATS if settings.fourcc is None else (settings.fourcc,):
        try:
            capture.set_format(settings.width_px, lines, fourcc)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some drivers say so instead of taking another format
                raise
            continue
        given = capture.get_format()
        if given.pixel_format.to_bytes(4, "little").decode("latin-1") != fourcc:
            continue
        if given.width != settings.width_px or (settings.lines and given.height != settings.lines):
            raise CameraError(
                f"{path} gives {given.width} x {given.height} px, not {settings.width_px} x {lines}: "
                "set the camera's width_px, or lines, to what it has"
            )
        return PixelLayout(_FORMATS[fourcc], given.width, given.height, given.bytes_per_line)
    raise CameraError(
        f"{path} has no pixel format {settings.fourcc or ', '.join(_FORMATS)}: "
        "`v4l2-ctl --list-formats-ext` shows those it has"
    )


def _stamp_ns(raw: CapturedBuffer, late_us: int) -> int | None:
    if raw.flags & _STAMP_MASK != _STAMP_MONOTONIC:
        return None
    stamp_us = raw.timestamp.secs * _US_PER_S + raw.timestamp.usecs
    return (stamp_us - late_us) * _NS_PER_US


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn the errors of the kernel and of linuxpy into ours.

    Raises:
        CameraError: the device is gone or refuses.
    """
    from linuxpy.video.device import V4L2Error  # noqa: PLC0415 - see open_v4l2_camera

    try:
        yield
    except (OSError, V4L2Error) as error:
        raise CameraError(f"{path}: {error}") from error
