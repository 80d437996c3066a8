"""Memory that several processes map and that goes when the last of them goes.

Anonymous (`memfd`), handed on as a file descriptor: no name that a killed process could leave behind, no limit of
/dev/shm. Every page is there from the start, so that memory that runs out is an error then and not a bus error later.
Knows nothing of what is kept in it.

>>> memory = SharedMemory.create("example", 64)
>>> memory.array(0, np.dtype(np.uint8), (4,))[:] = 7
>>> SharedMemory.attach(memory.fd).array(0, np.dtype(np.uint8), (4,)).tolist()
[7, 7, 7, 7]
>>> memory.close()
"""

import mmap
import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import OverloadError

__all__ = ["SharedMemory", "available_b"]

_GROUP: Final = Path("/sys/fs/cgroup")
_Scalar = TypeVar("_Scalar", bound=np.generic)


class SharedMemory:
    """One block of memory; arrays made from it stay valid until it is closed.

    Args:
        fd: of the block; this object closes it.
        size_b: bytes.
    """

    def __init__(self, fd: int, size_b: int) -> None:
        self.fd = fd
        self.size_b = size_b
        self._map = mmap.mmap(fd, size_b, mmap.MAP_SHARED)
        self._let_go = weakref.finalize(self, os.close, fd)  # also where nobody calls close

    @staticmethod
    def create(name: str, size_b: int) -> "SharedMemory":
        """Make a block of zeros with all of its pages.

        Args:
            name: for `/proc/PID/maps` alone.
            size_b: bytes, > 0.

        Raises:
            OverloadError: the computer does not have so much memory left.
        """
        room_b = available_b()
        if size_b > room_b:  # the system would rather kill a process than refuse
            raise OverloadError(
                f"{size_b / 2**20:.0f} MiB of shared memory for {name}, {room_b / 2**20:.0f} MiB are there; "
                "lower live.ring_frames"
            )
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(fd, 0, size_b)
            return SharedMemory(fd, size_b)
        except OSError as error:
            os.close(fd)
            raise OverloadError(f"{size_b} bytes of shared memory for {name}: {error.strerror}") from error

    @staticmethod
    def attach(fd: int) -> "SharedMemory":
        """Map a block that another process made; `fd` stays the caller's.

        Raises:
            OverloadError: it cannot be mapped.
        """
        try:
            own = os.dup(fd)
            return SharedMemory(own, os.fstat(own).st_size)
        except OSError as error:
            raise OverloadError(f"shared memory {fd} cannot be mapped: {error.strerror}") from error

    def array(self, offset_b: int, dtype: "np.dtype[_Scalar]", shape: tuple[int, ...]) -> NDArray[_Scalar]:
        """Return an array that lies in the block; writing to it is seen by every process.

        Args:
            offset_b: where it begins.
            dtype: of its elements.
            shape: of the array.
        """
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._map, dtype, count, offset_b).reshape(shape)

    def close(self) -> None:
        """Give up this process's hold; the mapping itself goes when no array uses it any more."""
        self._let_go()
        self.fd = -1


def available_b() -> int:
    """Return how much memory this process may still take: of the computer, and of its control group."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    rooms = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # no such group, or one without a limit ("max")
        limit_b = int((_GROUP / "memory.max").read_text(encoding="ascii"))
        rooms.append(limit_b - int((_GROUP / "memory.current").read_text(encoding="ascii")))
    return min(rooms)
