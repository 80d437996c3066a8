"""A V4L2 device in memory.

It can be polled for real: its file is a pipe with one byte a filled buffer, whose other end is closed to unplug it.
"""

import errno
import fcntl
import os
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from edge_runtime.cameras.v4l2_stream import V4l2Buffer, V4l2Format

__all__ = ["BUFFERS", "MONOTONIC", "FakeStream", "open_descriptors"]

MONOTONIC = 0x2000
BUFFERS = 4


class FakeStream:
    """A device that is filled by hand.

    Args:
        width, height: what it gives, whatever is asked for.
        formats: pixel formats that it has; asked for another one it keeps what it has.
        refuses_formats: asked for another one it says EINVAL instead.
        is_busy: another program has it, so that no format can be set.
    """

    def __init__(
        self,
        width: int = 32,
        height: int = 8,
        formats: tuple[str, ...] = ("GREY",),
        *,
        refuses_formats: bool = False,
        is_busy: bool = False,
    ) -> None:
        self._size = (width, height)
        self._formats = formats
        self._refuses_formats = refuses_formats
        self._is_busy = is_busy
        self._is_silent = False
        self._format = formats[-1]
        self._memories = [mmap(-1, width * height * 4) for _ in range(BUFFERS)]
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self.free = set(range(BUFFERS))  # what the device may fill
        self._filled: list[V4l2Buffer] = []
        self._sequence = 0
        self.is_streaming = False
        self.is_open = True
        self.lost = 0

    def get_format(self) -> V4l2Format:
        pixel_b = {"GREY": 1, "YUYV": 2, "BGR3": 3, "RGB3": 3}.get(self._format, 1)
        return V4l2Format(self._format, *self._size, self._size[0] * pixel_b)

    def set_format(self, width: int, height: int, fourcc: str) -> None:
        if self._is_busy:
            raise OSError(errno.EBUSY, "Device or resource busy")
        if fourcc in self._formats:
            self._format = fourcc
        elif self._refuses_formats:
            raise OSError(errno.EINVAL, "Invalid argument")

    def start(self) -> None:
        self.is_streaming = True

    def fileno(self) -> int:
        return self._read_fd

    def memory(self, index: int) -> mmap:
        return self._memories[index]

    def stop(self) -> None:
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
            self._memories[index][: len(data)] = data
            self._filled.append(V4l2Buffer(index, len(data) - missing_b, self._sequence - 1, flags, stamp_us))
            os.write(self._write_fd, b"+")

    def spurious_wake(self) -> None:
        """Let it poll as readable with nothing to read."""
        os.write(self._write_fd, b"+")

    def skip_sequence(self, to: int) -> None:
        self._sequence = to

    def unplug(self, *, is_silent: bool = False) -> None:
        """Let it be gone; a silent one only shows that when it is polled."""
        self._is_silent = is_silent
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def dequeue(self) -> V4l2Buffer:
        if self._is_silent:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        self._check_plugged()
        os.read(self._read_fd, 1)
        if not self._filled:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return self._filled.pop(0)

    def enqueue(self, index: int) -> None:
        self._check_plugged()
        assert index not in self.free
        self.free.add(index)

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
