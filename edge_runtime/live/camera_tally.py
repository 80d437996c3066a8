"""What a camera gave and what was refused, by reason, in shared memory: counts go on where a killed process left them.

>>> memory = SharedMemory.create("tally", CameraTally.SIZE_B)
>>> tally = CameraTally(memory)
>>> tally.write(WatchCounts(shown=3, kept=2, stale=1))
>>> after_a_kill = CameraTally(memory)
>>> after_a_kill.write(WatchCounts(shown=1, kept=1))
>>> after_a_kill.read().shown, after_a_kill.read().kept
(4, 3)
"""

from typing import ClassVar

import numpy as np

from edge_runtime.cameras.frame_watch import WatchCounts
from edge_runtime.live.shared_memory import SharedMemory

__all__ = ["CameraTally"]

_NAMES = WatchCounts.__struct_fields__


class CameraTally:
    """The counts of one camera. One process writes.

    Args:
        memory: SIZE_B bytes, zeros at the start.
    """

    SIZE_B: ClassVar[int] = 8 * len(_NAMES)

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self._counts = memory.array(0, np.dtype(np.uint64), (len(_NAMES),))
        self._before = self._counts.copy()  # what processes before this one counted

    def resume(self, kept: int) -> None:
        """Count the frame that a killed process kept and could not write down any more.

        Args:
            kept: frames that entered the ring so far.
        """
        before = WatchCounts(*self._before.tolist())
        forgotten = kept - before.kept
        self.write(WatchCounts(shown=forgotten, kept=forgotten))
        self._before = self._counts.copy()

    def write(self, counts: WatchCounts) -> None:
        """Write what this process has counted since it began."""
        self._counts[:] = self._before + np.array([getattr(counts, name) for name in _NAMES], np.uint64)

    def read(self) -> WatchCounts:
        """Return the counts since the run began, all of one moment."""
        counts = self._counts.copy()
        while not np.array_equal(counts, again := self._counts.copy()):  # written just now
            counts = again
        return WatchCounts(*counts.tolist())
