"""What is asked of a V4L2 device, and linuxpy, which does it.

The kernel's words, not ours: formats, buffers, flags; `v4l2_camera.py` makes frames of them. What the device refuses is
an OSError, as the kernel gives it.

>>> V4l2Format("YUYV", width=640, height=480, line_b=1280).line_b
1280
"""

from contextlib import suppress
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from edge_runtime.errors import ConfigError

if TYPE_CHECKING:
    from linuxpy.video.device import VideoCapture
    from linuxpy.video.raw import v4l2_buffer

__all__ = ["LinuxpyStream", "V4l2Buffer", "V4l2Format", "V4l2Stream", "open_v4l2_stream"]

_BUFFERS: Final = 4
_US_PER_S: Final = 1_000_000


class V4l2Format(NamedTuple):
    """How frames lie in the buffers: four letters of linux/videodev2.h, pixels, bytes from line to line."""

    fourcc: str
    width: int
    height: int
    line_b: int


class V4l2Buffer(NamedTuple):
    """A filled buffer: its number, bytes that arrived, the kernel's counter of 32 bits, V4L2_BUF_FLAG_*, its stamp."""

    key: int
    filled_b: int
    sequence: int
    flags: int
    stamp_us: int


class V4l2Stream(Protocol):
    """A device that is open; OSError from any method but `stop` means that it refuses or is gone."""

    def get_format(self) -> V4l2Format:
        """Return what the device is set to."""
        ...

    def set_format(self, width: int, height: int, fourcc: str) -> None:
        """Ask for a format; a device takes what is nearest, or refuses by EINVAL."""
        ...

    def start(self) -> None:
        """Map and queue the buffers, and let the device fill them."""
        ...

    def fileno(self) -> int:
        """Return the file that can be read when a buffer is filled."""
        ...

    def memory(self, key: int) -> mmap:
        """Return a buffer's memory; it stays mapped as long as anything points into it."""
        ...

    def dequeue(self) -> V4l2Buffer:
        """Take a filled buffer; BlockingIOError where there is none."""
        ...

    def enqueue(self, key: int) -> None:
        """Give a buffer back that was taken."""
        ...

    def stop(self) -> None:
        """Let the device go, also one that is gone."""
        ...


class LinuxpyStream:
    """A device by linuxpy.

    Args:
        capture: of an open device; `stop` closes the device.
    """

    def __init__(self, capture: "VideoCapture") -> None:
        self._capture = capture
        self._taken: dict[int, v4l2_buffer] = {}

    def get_format(self) -> V4l2Format:
        """Return what the device is set to."""
        given = self._capture.get_format()
        fourcc = int(given.pixel_format).to_bytes(4, "little").decode("latin-1")
        return V4l2Format(fourcc, given.width, given.height, given.bytes_per_line)

    def set_format(self, width: int, height: int, fourcc: str) -> None:
        """Ask for a format; a device takes what is nearest, or refuses by EINVAL."""
        self._capture.set_format(width, height, fourcc)

    def start(self) -> None:
        """Map and queue the buffers, and let the device fill them.

        Raises:
            OSError: the device refuses, or is none that captures.
        """
        from linuxpy.video.device import V4L2Error  # noqa: PLC0415 - see open_v4l2_stream

        try:
            self._capture.open()
        except V4L2Error as error:
            raise OSError(0, str(error)) from error

    def fileno(self) -> int:
        """Return the file that can be read when a buffer is filled."""
        return int(self._capture.device.fileno())

    def memory(self, key: int) -> mmap:
        """Return a buffer's memory; it stays mapped as long as anything points into it."""
        memory: mmap = self._capture.buffer.buffers[key]
        return memory

    def dequeue(self) -> V4l2Buffer:
        """Take a filled buffer.

        Raises:
            BlockingIOError: there is none.
            OSError: the device is gone.
        """
        raw = self._capture.buffer.queue.dequeue()
        self._taken[raw.index] = raw
        stamp_us = raw.timestamp.secs * _US_PER_S + raw.timestamp.usecs
        return V4l2Buffer(raw.index, raw.bytesused, raw.sequence, int(raw.flags), stamp_us)

    def enqueue(self, key: int) -> None:
        """Give a buffer back that was taken.

        Raises:
            OSError: the device is gone.
        """
        self._capture.buffer.queue.enqueue(self._taken.pop(key))

    def stop(self) -> None:
        """Let the device go, also one that is gone.

        Note:
            A mapping keeps the device busy though its file is closed, so the kernel is told to forget the buffers. What
            pixels still point into stays mapped until they are let go of.
        """
        from linuxpy.video.device import Memory  # noqa: PLC0415 - see open_v4l2_stream

        mappings: list[mmap] = [] if self._capture.buffer is None else self._capture.buffer.buffers or []
        for step in (self._capture.stream_off, partial(self._capture.free_buffers, Memory.MMAP)):
            with suppress(OSError):
                step()
        for mapping in mappings:
            with suppress(BufferError):
                mapping.close()
        mappings.clear()  # linuxpy's objects form cycles, and whoever sorts does not search for those
        with suppress(OSError):
            self._capture.device.close()


def open_v4l2_stream(path: Path) -> LinuxpyStream:
    """Return a device, open but not started.

    Raises:
        OSError: there is no such device, or it may not be opened.
        ConfigError: linuxpy is not installed.
    """
    try:
        from linuxpy.video.device import Device, VideoCapture  # noqa: PLC0415 - only machines with such a camera need it
    except ImportError as error:
        raise ConfigError("linuxpy is not installed: pip install linuxpy") from error
    device = Device(path)
    try:
        device.open()
    except OSError:
        device.close()  # some of what is no device is found to be none when its file is open
        raise
    return LinuxpyStream(VideoCapture(device, size=_BUFFERS))
