"""A V4L2 device in memory, behind the part of linuxpy that the driver uses.

It can be polled for real: its file is a pipe with one byte a filled buffer, whose other end is closed to unplug it.
"""

import errno
import fcntl
import os
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["FakeBuffer", "FakeCapture", "FakeTime"]

MONOTONIC = 0x2000
BUFFERS = 4


@dataclass
class FakeTime:
    secs: int = 0
    usecs: int = 0


@dataclass
class FakeBuffer:
    index: int = 0
    bytesused: int = 0
    sequence: int = 0
    flags: int = MONOTONIC
    timestamp: FakeTime = field(default_factory=FakeTime)


@dataclass
class FakeFormat:
    width: int
    height: int
    pixel_format: int
    bytes_per_line: int


def fourcc(text: str) -> int:
    return int.from_bytes(text.encode(), "little")


class FakeCapture:
    """Device, queue and memory in one: linuxpy's VideoCapture over its Device.

    Args:
        width, height: what it gives, whatever is asked for.
        formats: pixel formats that it has; asked for another one it keeps what it has.
        refuses_formats: asked for another one it says EINVAL instead.
    """

    def __init__(
        self, width: int = 32, height: int = 8, formats: tuple[str, ...] = ("GREY",), *, refuses_formats: bool = False
    ) -> None:
        self.filename = Path("/dev/video9")
        self.device = self.buffer = self.queue = self
        self._size = (width, height)
        self._formats = formats
        self._refuses_formats = refuses_formats
        self._format = formats[-1]
        self.buffers = [mmap(-1, width * height * 4) for _ in range(BUFFERS)]
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self.free = set(range(BUFFERS))  # what the device may fill
        self._filled: list[FakeBuffer] = []
        self._sequence = 0
        self.is_streaming = False
        self.is_open = True
        self.lost = 0

    def set_format(self, width: int, height: int, pixel_format: str, /) -> None:
        if pixel_format in self._formats:
            self._format = pixel_format
        elif self._refuses_formats:
            raise OSError(errno.EINVAL, "Invalid argument")

    def get_format(self) -> FakeFormat:
        pixel_b = {"GREY": 1, "YUYV": 2, "BGR3": 3, "RGB3": 3}.get(self._format, 1)
        return FakeFormat(*self._size, fourcc(self._format), self._size[0] * pixel_b)

    def open(self) -> None:
        self.is_streaming = True

    def fileno(self) -> int:
        return self._read_fd

    def close(self) -> None:
        """Both of VideoCapture and of Device: the second call finds it closed."""
        self.is_streaming = False
        if self.is_open:
            self.is_open = False
            os.close(self._read_fd)
            self.unplug()

    def arrive(
        self,
        pixels: NDArray[np.uint8],
        *,
        stamp_us: int = 0,
        flags: int = MONOTONIC,
        missing_b: int = 0,
        count: int = 1,
    ) -> None:
        """Fill the next free buffer, as the device does; without one the frame is lost, but counted."""
        for _ in range(count):
            self._sequence += 1
            if not self.free:
                self.lost += 1
                continue
            index = min(self.free)
            self.free.discard(index)
            data = pixels.tobytes()
            self.buffers[index][: len(data)] = data
            stamp = FakeTime(*divmod(stamp_us, 1_000_000))
            self._filled.append(FakeBuffer(index, len(data) - missing_b, self._sequence - 1, flags, stamp))
            os.write(self._write_fd, b"+")

    def spurious_wake(self) -> None:
        """Let it poll as readable with nothing to read."""
        os.write(self._write_fd, b"+")

    def skip_sequence(self, to: int) -> None:
        self._sequence = to

    def unplug(self) -> None:
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def dequeue(self) -> FakeBuffer:
        self._check_plugged()
        os.read(self._read_fd, 1)
        if not self._filled:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return self._filled.pop(0)

    def enqueue(self, buff: FakeBuffer, /) -> None:
        self._check_plugged()
        assert buff.index not in self.free
        self.free.add(buff.index)

    def _check_plugged(self) -> None:
        if self._write_fd < 0:
            raise OSError(errno.ENODEV, "No such device")


def open_descriptors() -> int:
    """Return how many files this process has open."""
    return sum(1 for fd in range(256) if _is_open(fd))


def _is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True
