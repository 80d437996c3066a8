"""Runs a virtual board in real time on a pseudo-terminal or any transport: what a host program finds at the port.

>>> from firmware_bridge.clock import SystemClock
>>> line = open_pty()
>>> line.path.startswith("/dev/")
True
>>> from firmware_bridge.virtual_board import VirtualBoard
>>> shell = BoardShell(VirtualBoard(), line.transport, SystemClock())
>>> shell.run_once(timeout_s=0.0)
>>> line.close()
"""

import contextlib
import os
import tty
from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.board import Board
from firmware_bridge.clock import Clock
from firmware_bridge.errors import TransportClosedError, TransportError
from firmware_bridge.pulse_recorder import FiredPulse
from firmware_bridge.transport import Transport
from firmware_bridge.transport_fd import FdTransport

__all__ = ["BoardShell", "PtyLine", "open_pty"]

_READ_B = 65_536
_STEP_S = 0.001


@dataclass(frozen=True, slots=True)
class PtyLine:
    """A pseudo-terminal: the board's end as a transport, the host's end as a path to open."""

    transport: FdTransport
    path: str
    keeper_fd: int  # holds the host's end, or the board would read a hang-up whenever no host is there

    def close(self) -> None:
        """Close both ends: a host that holds the path reads a hang-up."""
        self.transport.close()
        with contextlib.suppress(OSError):  # a second close
            os.close(self.keeper_fd)


def open_pty() -> PtyLine:
    """Return a raw pseudo-terminal.

    Raises:
        TransportError: the system has none left.
    """
    try:
        board_fd, host_fd = os.openpty()
        tty.setraw(host_fd)
    except OSError as error:
        raise TransportError(f"no pseudo-terminal: {error}") from error
    # A board does not wait for a host that does not read: short timeout, then the bytes are dropped.
    return PtyLine(FdTransport(board_fd, "board's pty", write_timeout_s=0.05), os.ttyname(host_fd), host_fd)


class BoardShell:
    """Moves bytes and time between a board and its transport.

    Args:
        board: the controller to run.
        transport: the board's end of the line.
        clock: real time, or the caller's.
        on_fired: told of each pulse when it closes; without it pulses are forgotten, so that memory stays bounded.
    """

    def __init__(
        self,
        board: Board,
        transport: Transport,
        clock: Clock,
        on_fired: Callable[[FiredPulse], None] | None = None,
    ) -> None:
        self.dropped_b = 0
        self._board = board
        self._transport = transport
        self._clock = clock
        self._on_fired = on_fired

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Run until should_stop() or until the line is closed.

        Raises:
            TransportError: the line failed while reading.
        """
        with contextlib.suppress(TransportClosedError):
            while not should_stop():
                self.run_once(_STEP_S)

    def run_once(self, timeout_s: float) -> None:
        """Wait at most timeout_s for bytes, let the board act, send what it says.

        Raises:
            TransportClosedError: the line is gone.
            TransportError: the line failed while reading.
        """
        data = self._transport.read(_READ_B, timeout_s)
        now_ns = self._clock.monotonic_ns()
        if data:
            self._board.feed(data, now_ns)
        self._board.advance(now_ns)
        self._send(self._board.take_output())
        for pulse in self._board.take_fired():
            if self._on_fired is not None:
                self._on_fired(pulse)

    def _send(self, data: bytes) -> None:
        if not data:
            return
        try:
            self._transport.write(data)
        except TransportClosedError:
            raise
        except TransportError:  # no room: a UART does not wait either
            self.dropped_b += len(data)
