"""The books of one camera's frames and objects, exact after a kill at any moment.

They lie in shared memory: an entry a frame while anything of it is open, and totals. One process writes. Every change
is one store of one number, or is made complete before the one store that makes it count: so whoever takes over after a
kill finds books that add up. Knows no link and no frame.

>>> books = FrameBooks.create("top")
>>> books.miss(0, "late")
>>> books.decide(1, objects=5, passed=3, ends={"late": 1})
>>> books.end(1, "fired")
>>> counts = books.counts(frames_in=2)
>>> counts.processed, counts.missing, counts.objects, counts.passed, counts.ends, counts.open_objects
(1, {'late': 1}, 5, 3, {'fired': 1, 'late': 1}, 0)
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import OverloadError
from edge_runtime.live.shared_memory import SharedMemory

__all__ = ["CameraCounts", "FrameBooks", "Missing", "ObjectEnd"]

Missing = Literal["worker_lost", "bridge_lost", "overrun", "late", "queue_full", "failed"]
ObjectEnd = Literal[
    "fired",  # the controller acknowledged its pulse and did not object
    "merged",  # its pulse is part of one sent for another object
    "late",
    "no_lane",
    "unsorted",
    "untold",
    "lost",
    "refused",
    "bridge_lost",  # unknown: told to the controller by a bridge that is gone
]

_MISSING: Final[tuple[Missing, ...]] = get_args(Missing)
_ENDS: Final[tuple[ObjectEnd, ...]] = get_args(ObjectEnd)
_OPEN: Final = 0
_PROCESSED: Final = 1
_FIRST_MISSING: Final = 2
_ENTRIES: Final = 4096  # frames of half a minute: an object's end is known within a second
_ENTRY: Final = np.dtype(
    [("number", "<u8"), ("objects", "<u4"), ("passed", "<u4"), ("ends", "<u4", len(_ENDS)), ("verdict", "u1")],
    align=True,
)
_TOTALS: Final = np.dtype(
    [
        ("folded", "<u8"),  # frames below this number are in these totals
        ("processed", "<u8"),
        ("missing", "<u8", len(_MISSING)),
        ("objects", "<u8"),
        ("passed", "<u8"),
        ("ends", "<u8", len(_ENDS)),
    ]
)
_HEAD_B: Final = 64
_ENTRIES_AT_B: Final = -(-(_HEAD_B + 2 * _TOTALS.itemsize) // 64) * 64
_TRIES: Final = 100


class CameraCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The books at one moment.

    frames_in == processed + sum(missing) + open_frames, and objects == passed + sum(ends) + open_objects.

    Attributes:
        frames_in: frames that entered the ring.
        processed: of these, those with a decision about every object.
        missing: the others, by reason.
        open_frames: without a verdict yet.
        objects: decided on.
        passed: to be accepted.
        ends: what became of the others, see `ObjectEnd`; bridge_lost means that nobody knows.
        open_objects: told to the controller, without an outcome yet.
    """

    frames_in: int
    processed: int
    missing: dict[str, int]
    open_frames: int
    objects: int
    passed: int
    ends: dict[str, int]
    open_objects: int


class FrameBooks:
    """The books of one camera. One process writes; `counts` may be asked by any.

    Args:
        memory: of `create`, or attached.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self._which = memory.array(0, np.dtype(np.uint8), (1,))
        self._totals = memory.array(_HEAD_B, _TOTALS, (2,))
        self._entries = memory.array(_ENTRIES_AT_B, _ENTRY, (_ENTRIES,))

    @staticmethod
    def create(name: str) -> "FrameBooks":
        """Make empty books.

        Raises:
            OverloadError: there is no memory left.
        """
        return FrameBooks(SharedMemory.create(f"books-{name}", _ENTRIES_AT_B + _ENTRIES * _ENTRY.itemsize))

    @property
    def folded(self) -> int:
        """Return the first frame number about which something may still be open."""
        return int(self._totals["folded"][self._which[0]])

    def has_verdict(self, number: int) -> bool:
        """Tell whether a frame is processed or missing."""
        return number < self.folded or self._verdict(number) != _OPEN

    def decide(self, number: int, *, objects: int, passed: int, ends: Mapping[ObjectEnd, int]) -> None:
        """Write that a frame is processed.

        Args:
            number: of the frame, without a verdict.
            objects: in it.
            passed: of these, to be accepted.
            ends: of these, how many have met which end already; the others are open.

        Raises:
            OverloadError: frames so old are still open that there is no room.
        """
        self._write(number, _PROCESSED, objects, passed, ends)

    def miss(self, number: int, reason: Missing) -> None:
        """Write that a frame is missing.

        Raises:
            OverloadError: frames so old are still open that there is no room.
        """
        self._write(number, _FIRST_MISSING + _MISSING.index(reason), 0, 0, {})

    def end(self, number: int, end: ObjectEnd, count: int = 1) -> None:
        """Write the end of open objects of a processed frame; one store."""
        self._entries["ends"][number % _ENTRIES, _ENDS.index(end)] += count

    def open_objects(self, number: int) -> int:
        """Return how many objects of a frame have no end yet."""
        if number < self.folded or self._verdict(number) != _PROCESSED:
            return 0
        entry = self._entries[number % _ENTRIES]
        return int(entry["objects"]) - int(entry["passed"]) - int(entry["ends"].sum(dtype=np.uint64))

    def abandon(self, frames_in: int) -> int:
        """End every open object as bridge_lost: who told the controller of them is gone. Return how many.

        Args:
            frames_in: frames that entered the ring so far.
        """
        lost = 0
        for number in range(self.folded, frames_in):
            if count := self.open_objects(number):
                self.end(number, "bridge_lost", count)
                lost += count
        return lost

    def miss_below(self, number: int) -> None:
        """Write that the frames below a number that have no verdict are missing: nobody decides about them any more.

        Note: no object of them may be open, see `abandon`; else there may be no room.
        """
        for unsettled in range(self.folded, number):
            if not self.has_verdict(unsettled):
                self.miss(unsettled, "bridge_lost")
        self.fold(number)

    def fold(self, frames_in: int) -> None:
        """Move entries of which nothing is open into the totals, in order.

        Args:
            frames_in: frames that entered the ring so far.
        """
        which = int(self._which[0])
        folded = int(self._totals["folded"][which])
        until = folded
        while until < frames_in and self._verdict(until) != _OPEN and not self.open_objects(until):
            until += 1
        if until == folded:
            return
        sums = _sum(self._entries[np.arange(folded, until) % _ENTRIES])
        other = 1 - which
        self._totals[other] = self._totals[which]
        _add(self._totals[other : other + 1], sums)
        self._totals["folded"][other] = until
        self._which[0] = other

    def counts(self, frames_in: int) -> CameraCounts:
        """Return the books at this moment.

        Args:
            frames_in: frames that entered the ring, asked before this call.

        Note: a reader beside the writer may see an entry half written; then it looks again.
        """
        totals, entries, folded = self._look(frames_in)
        frames_in = max(frames_in, folded)  # frames that came since the question and are over already
        open_frames = frames_in - folded - len(entries)
        counts = totals.copy()
        _add(counts, _sum(entries))
        row = counts[0]
        ends, missing = row["ends"].tolist(), row["missing"].tolist()
        objects, passed = int(row["objects"]), int(row["passed"])
        return CameraCounts(
            frames_in=frames_in,
            processed=int(row["processed"]),
            missing={name: count for name, count in zip(_MISSING, missing, strict=True) if count},
            open_frames=open_frames,
            objects=objects,
            passed=passed,
            ends={name: count for name, count in zip(_ENDS, ends, strict=True) if count},
            open_objects=objects - passed - sum(ends),
        )

    def _look(self, frames_in: int) -> tuple[NDArray[np.void], NDArray[np.void], int]:
        """Return the totals in use, the entries with a verdict beyond them, and where these begin."""
        for _ in range(_TRIES):
            which = int(self._which[0])
            totals = self._totals[which : which + 1].copy()
            folded = int(totals["folded"][0])
            numbers = np.arange(folded, max(folded, frames_in))
            entries = self._entries[numbers % _ENTRIES]  # a copy
            if int(self._which[0]) == which:
                return totals, entries[(entries["verdict"] != _OPEN) & (entries["number"] == numbers)], folded
        raise OverloadError("the books change faster than they can be read: this process gets no processor time")

    def _verdict(self, number: int) -> int:
        entry = self._entries[number % _ENTRIES]
        return int(entry["verdict"]) if int(entry["number"]) == number else _OPEN

    def _write(self, number: int, verdict: int, objects: int, passed: int, ends: Mapping[ObjectEnd, int]) -> None:
        if number >= self.folded + _ENTRIES:
            self.fold(number)
        if number >= self.folded + _ENTRIES:
            raise OverloadError(f"frame {number}: frame {self.folded} is still open, {_ENTRIES} frames later")
        place = number % _ENTRIES
        self._entries["verdict"][place] = _OPEN
        counters = [ends.get(name, 0) for name in _ENDS]
        self._entries[place] = (number, objects, passed, counters, _OPEN)
        self._entries["verdict"][place] = verdict


def _sum(entries: NDArray[np.void]) -> NDArray[np.void]:
    """Return the sums over entries with a verdict as totals of one row."""
    sums = np.zeros(1, _TOTALS)
    verdicts = entries["verdict"]
    sums["processed"] = int((verdicts == _PROCESSED).sum())
    sums["missing"] = np.bincount(verdicts, minlength=_FIRST_MISSING + len(_MISSING))[_FIRST_MISSING:]
    for name in ("objects", "passed", "ends"):
        sums[name] = entries[name].sum(axis=0, dtype=np.uint64)
    return sums


def _add(totals: NDArray[np.void], more: NDArray[np.void]) -> None:
    for name in ("processed", "missing", "objects", "passed", "ends"):
        totals[name] += more[name]
