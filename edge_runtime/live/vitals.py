"""How each process of the live shell is doing, and what the bridge wants of the others: a table in shared memory.

Each row has one writer. Readers take each number as it is at that moment; nothing here needs two numbers to agree.
Knows no process and no clock.

>>> vitals = Vitals.create(rows=2)
>>> vitals.row(1).start(pid=77, now_ns=5)
>>> vitals.row(1).beat(now_ns=9)
>>> row = vitals.row(1).read()
>>> row.pid, row.state, row.progress, row.beaten_ns
(77, 'starting', 1, 9)
"""

from typing import Final, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.live.ladder import Level
from edge_runtime.live.shared_memory import SharedMemory

__all__ = ["ProcessState", "Row", "RowValues", "Vitals"]

ProcessState = Literal["absent", "starting", "working", "stopping"]

_STATES: Final[tuple[ProcessState, ...]] = get_args(ProcessState)
_ROW: Final = np.dtype([("pid", "<i8"), ("progress", "<u8"), ("beaten_ns", "<i8"), ("state", "u1")], align=True)
_SHARED: Final = np.dtype(
    [("level", "<u8"), ("feeder_permille", "<u8"), ("is_armed", "<u8"), ("lag_ns", "<i8"), ("rows", "<u8")]
)
_ROWS_AT_B: Final = 64


class RowValues(msgspec.Struct, frozen=True):
    """One process at one moment.

    Attributes:
        pid: of the process, 0 where there was none yet.
        state: how far it has come.
        progress: rounds of its main loop, or frames.
        beaten_ns: monotonic time of the latest sign of life.
    """

    pid: int
    state: ProcessState
    progress: int
    beaten_ns: int


class Row:
    """One process's row; only that process writes it, and the supervisor before the process runs."""

    def __init__(self, table: NDArray[np.void], place: int) -> None:
        self._table = table
        self._place = place

    def start(self, *, pid: int, now_ns: int) -> None:
        """Begin anew for a process."""
        self._table[self._place] = (pid, 0, now_ns, _STATES.index("starting"))

    def beat(self, *, now_ns: int) -> None:
        """Give a sign of life."""
        self._table["progress"][self._place] += 1
        self._table["beaten_ns"][self._place] = now_ns

    def enter(self, state: ProcessState) -> None:
        """Say how far the process has come."""
        self._table["state"][self._place] = _STATES.index(state)

    def read(self) -> RowValues:
        """Return the row."""
        row = self._table[self._place]
        return RowValues(int(row["pid"]), _STATES[int(row["state"])], int(row["progress"]), int(row["beaten_ns"]))


class Vitals:
    """The table. The shared values are the bridge's to write.

    Args:
        memory: of `create`, or attached.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self._shared = memory.array(0, _SHARED, (1,))
        self._table = memory.array(_ROWS_AT_B, _ROW, (int(self._shared["rows"][0]),))

    @staticmethod
    def create(rows: int) -> "Vitals":
        """Make a table for so many processes.

        Raises:
            OverloadError: there is no memory left.
        """
        memory = SharedMemory.create("vitals", _ROWS_AT_B + rows * _ROW.itemsize)
        memory.array(0, _SHARED, (1,))["rows"] = rows
        return Vitals(memory)

    def row(self, place: int) -> Row:
        """Return the row of one process."""
        return Row(self._table, place)

    @property
    def level(self) -> Level:
        """What is shed now."""
        return Level(int(self._shared["level"][0]))

    @level.setter
    def level(self, level: Level) -> None:
        self._shared["level"][0] = int(level)

    @property
    def feeder_permille(self) -> int:
        """How much the feeder is asked for."""
        return int(self._shared["feeder_permille"][0])

    @feeder_permille.setter
    def feeder_permille(self, permille: int) -> None:
        self._shared["feeder_permille"][0] = permille

    @property
    def is_armed(self) -> bool:
        """Whether the controller fires."""
        return bool(self._shared["is_armed"][0])

    @is_armed.setter
    def is_armed(self, is_armed: bool) -> None:
        self._shared["is_armed"][0] = int(is_armed)

    @property
    def lag_ns(self) -> int:
        """Age of the latest frame when its decision reached the bridge, from its last line on."""
        return int(self._shared["lag_ns"][0])

    @lag_ns.setter
    def lag_ns(self, lag_ns: int) -> None:
        self._shared["lag_ns"][0] = lag_ns
