"""A transport whose far end is a virtual board, stepped by the reader: a machine in one thread, in any clock's time.

With a ManualClock a whole session is deterministic and takes no time; with a SystemClock it runs at its own pace.

>>> from firmware_bridge.clock import ManualClock
>>> from firmware_bridge.virtual_board import VirtualBoard
>>> transport = BoardTransport(VirtualBoard(), ManualClock())
>>> transport.read(64, timeout_s=0.5)
b''
"""

from typing import Final

from firmware_bridge.board import Board
from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.errors import TransportClosedError

__all__ = ["BoardTransport"]

_STEP_S: Final = 0.001


class BoardTransport:
    """The host's end of a line to `board`.

    Args:
        board: the controller; others may look at it, only this transport feeds it.
        clock: whose time the board lives in.
    """

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board = board
        self._clock = clock
        self._inbox = bytearray()
        self._is_closed = False

    def read(self, max_b: int, timeout_s: float) -> bytes:
        """Step the board and return its bytes, at most max_b; b"" when none came within timeout_s.

        Raises:
            TransportClosedError: the transport is closed.
        """
        self._require_open()
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * NS_PER_S)
        self._step()
        while not self._inbox and (left_ns := deadline_ns - self._clock.monotonic_ns()) > 0:
            self._clock.sleep_s(min(_STEP_S, left_ns / NS_PER_S))
            self._step()
        data = bytes(self._inbox[:max_b])
        del self._inbox[:max_b]
        return data

    def write(self, data: bytes) -> None:
        """Feed the board.

        Raises:
            TransportClosedError: the transport is closed.
        """
        self._require_open()
        self._board.feed(data, self._clock.monotonic_ns())
        self._inbox += self._board.take_output()

    def close(self) -> None:
        """Pull the plug; the board lives on and its watchdog will act when it is stepped."""
        self._is_closed = True
        self._inbox.clear()

    def _step(self) -> None:
        self._board.advance(self._clock.monotonic_ns())
        self._inbox += self._board.take_output()

    def _require_open(self) -> None:
        if self._is_closed:
            raise TransportClosedError("board transport: used after close")
