"""Decisions with their crops in shared memory: one worker writes, the recorder reads, nobody waits.

A ring of bytes. Records lie one after the other; the writer says how far it will write before it does, so a reader
knows after its copy whether what it copied was being overwritten. Knows no socket and no spool.

>>> ring = RecordRing.create("w", 65_536)
>>> key = FrameKey(camera=0, number=7, frame_id=9, first_line=5, exposed_ns=1)
>>> at_b = ring.write(key, Decisions.empty("top", CropSpec(side_px=16), 2))
>>> found, decisions = ring.read(at_b, "top")
>>> found.number, len(decisions), ring.read(at_b + 8, "top")
(7, 0, None)
"""

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.crop import CropSpec
from edge_runtime.decisions import Decisions
from edge_runtime.live.shared_memory import SharedMemory

__all__ = ["FrameKey", "RecordRing"]

_HEAD: Final = np.dtype([("size_b", "<u8"), ("claimed_b", "<u8")])
_RECORD: Final = np.dtype(
    [
        ("at_b", "<u8"),  # where the record begins, counted from the first byte ever written; proves that one is here
        ("key", "<i8", 5),
        ("is_own", "<i8"),
        ("counts", "<i8", 5),  # objects, classes, side of the crops, side of the masks, channels
    ]
)
_PAGE_B: Final = 4096
_FIRST_B: Final = 8  # no record begins at 0: zeros are none


class FrameKey(msgspec.Struct, frozen=True, array_like=True):
    """Which frame: camera and number, what the ring of frames said of it, and whether the run's model decided."""

    camera: int
    number: int
    frame_id: int
    first_line: int
    exposed_ns: int
    is_own: bool = True


class RecordRing:
    """The ring of one worker's place. `write` only from one process.

    Args:
        memory: of `create`, or attached.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self._head = memory.array(0, _HEAD, (1,))
        self._size_b = int(self._head["size_b"][0])
        self._bytes = memory.array(_PAGE_B, np.dtype(np.uint8), (self._size_b,))
        self._next_b = max(_FIRST_B, int(self._head["claimed_b"][0]))

    @staticmethod
    def create(name: str, size_b: int) -> "RecordRing":
        """Make an empty ring.

        Args:
            name: for people.
            size_b: bytes, a multiple of 8, at least 64 KiB.

        Raises:
            OverloadError: the computer does not have so much memory left.
        """
        memory = SharedMemory.create(f"records-{name}", _PAGE_B + size_b)
        memory.array(0, _HEAD, (1,))[0] = (size_b, 0)
        return RecordRing(memory)

    def write(self, key: FrameKey, decisions: Decisions) -> int:
        """Copy decisions into the ring and return where they lie.

        Args:
            key: which frame.
            decisions: about it; what would fill more than a quarter of the ring is kept without crops, and if that is
                still too much, as many objects as fit.
        """
        while _size_b(decisions) > self._size_b // 4:
            has_crops = decisions.pixels.size > 0
            decisions = decisions.without_crops() if has_crops else decisions.select(np.arange(len(decisions) // 2))
        size_b = _size_b(decisions)
        at_b, place = self._next_b, self._next_b % self._size_b
        if place + size_b > self._size_b:  # records are not cut at the end of the ring
            at_b, place = at_b + self._size_b - place, 0
        self._head["claimed_b"][0] = self._next_b = at_b + size_b
        record = self._bytes[place : place + _RECORD.itemsize].view(_RECORD)
        record["at_b"][0] = at_b
        record["key"][0] = msgspec.structs.astuple(key)[:5]
        record["is_own"][0] = key.is_own
        crop = (decisions.pixels.shape[1], decisions.masks.shape[1], decisions.pixels.shape[3])
        record["counts"][0] = (*decisions.scores.shape, *crop)
        start = place + _RECORD.itemsize
        for column in _columns(decisions):
            raw = np.ascontiguousarray(column).reshape(-1).view(np.uint8)
            np.copyto(self._bytes[start : start + raw.size], raw)
            start += -(-raw.size // 8) * 8
        return at_b

    def read(self, at_b: int, camera: str) -> tuple[FrameKey, Decisions] | None:
        """Return a copy of what was written there; None where it was overwritten.

        Args:
            at_b: as `write` returned it.
            camera: name of the camera, which the ring does not hold.
        """
        place = at_b % self._size_b
        if place + _RECORD.itemsize > self._size_b:
            return None
        record = self._bytes[place : place + _RECORD.itemsize].view(_RECORD).copy()
        if int(record["at_b"][0]) != at_b or not self._is_intact(at_b):
            return None
        start, columns = place + _RECORD.itemsize, []
        for dtype, shape in _shapes(*record["counts"][0].tolist()):
            end = start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            columns.append(self._bytes[start:end].copy().view(dtype).reshape(shape))
            start += -(-(end - start) // 8) * 8
        index, frame, frame_id, first_line, exposed_ns = record["key"][0].tolist()
        key = FrameKey(index, frame, frame_id, first_line, exposed_ns, is_own=bool(record["is_own"][0]))
        return (key, Decisions(camera, *columns)) if self._is_intact(at_b) else None

    def _is_intact(self, at_b: int) -> bool:
        """Tell whether the writer has not come round to this place."""
        return int(self._head["claimed_b"][0]) <= at_b + self._size_b


def _columns(decisions: Decisions) -> Iterator[NDArray[np.generic]]:
    for name in Decisions.__struct_fields__[1:]:
        yield getattr(decisions, name)


def _size_b(decisions: Decisions) -> int:
    return _RECORD.itemsize + sum(-(-column.nbytes // 8) * 8 for column in _columns(decisions))


def _shapes(
    objects: int, classes: int, side: int, mask_side: int, channels: int
) -> list[tuple["np.dtype[np.generic]", tuple[int, ...]]]:
    """Return dtype and shape of each column, in the order of `Decisions`."""
    empty = Decisions.empty("", CropSpec(side_px=16), classes)
    sizes: list[tuple[int, ...]] = [column.shape[1:] for column in _columns(empty)][:-2]
    sizes += [(side, side, channels), (mask_side, mask_side)]
    return [(column.dtype, (objects, *size)) for column, size in zip(_columns(empty), sizes, strict=True)]
