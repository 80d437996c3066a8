"""The latest text of one process, in shared memory, for any other to read: whole, or the one before.

The writer never waits. It fills the place not in use and then says which is: one store. A reader that was too slow sees
by the checksum that its copy is torn, and takes the next. Knows not what the text says.

>>> bulletin = Bulletin.create()
>>> bulletin.read() is None
True
>>> bulletin.post(b"all is well", now_ns=7)
True
>>> bulletin.read()
Posted(text=b'all is well', posted_ns=7)
"""

import zlib
from typing import Final, NamedTuple

import numpy as np

from edge_runtime.live.shared_memory import SharedMemory

__all__ = ["Bulletin", "Posted"]

_PLACE: Final = np.dtype([("size_b", "<u8"), ("crc32", "<u8"), ("posted_ns", "<i8")])
_HEAD_B: Final = 64
_PLACE_B: Final = 128 << 10  # a report of sixteen cameras has 20 KiB
_TRIES: Final = 4


class Posted(NamedTuple):
    """A text, and the monotonic time at which it was written."""

    text: bytes
    posted_ns: int


class Bulletin:
    """One text. One process writes.

    Args:
        memory: of `create`, or attached.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self._which = memory.array(0, np.dtype(np.uint8), (1,))  # 0: nothing yet, else 1 + place
        starts = [_HEAD_B + place * _PLACE_B for place in range(2)]
        self._heads = [memory.array(start, _PLACE, (1,)) for start in starts]
        room_b = _PLACE_B - _HEAD_B
        self._texts = [memory.array(start + _HEAD_B, np.dtype(np.uint8), (room_b,)) for start in starts]

    @staticmethod
    def create() -> "Bulletin":
        """Make one with nothing on it.

        Raises:
            OverloadError: there is no memory left.
        """
        return Bulletin(SharedMemory.create("bulletin", _HEAD_B + 2 * _PLACE_B))

    def post(self, text: bytes, *, now_ns: int) -> bool:
        """Write a text in place of the one before; tell whether there was room: 128 KiB."""
        place = 1 if int(self._which[0]) == 1 else 0
        if len(text) > self._texts[place].size:
            return False
        self._texts[place][: len(text)] = np.frombuffer(text, np.uint8)
        self._heads[place][0] = (len(text), _checksum(text, now_ns), now_ns)
        self._which[0] = 1 + place
        return True

    def read(self) -> Posted | None:
        """Return the latest text; None where there is none, or none that holds still."""
        for _ in range(_TRIES):
            which = int(self._which[0])
            if which not in {1, 2}:
                return None
            size_b, crc32, posted_ns = (int(value) for value in self._heads[which - 1][0])
            text = self._texts[which - 1][:size_b].tobytes()
            if size_b == len(text) and _checksum(text, posted_ns) == crc32:
                return Posted(text, posted_ns)
        return None


def _checksum(text: bytes, posted_ns: int) -> int:
    return zlib.crc32(text, zlib.crc32(posted_ns.to_bytes(8, "little", signed=True)))
