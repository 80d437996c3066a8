r"""A proxy between a host program and a controller that makes the line between them as bad as one likes, in real time.

It moves bytes through two `FaultyLine`s and sleeps exactly until the next of their events. It knows no frames and no
messages. The host opens the proxy's own port, which vanishes and comes back at a hang-up as a USB adapter does.

>>> import random
>>> from firmware_bridge.clock import ManualClock
>>> from firmware_bridge.line_faults import FaultSettings
>>> from firmware_bridge.transport_memory import memory_pair
>>> clock, rng = ManualClock(), random.Random(1)
>>> (host, near), (far, board) = memory_pair(), memory_pair()
>>> lines = [FaultyLine(FaultSettings(delay_us=300), rng) for _ in range(2)]
>>> proxy = ChaosProxy(lambda: near, lambda: far, to_board=lines[0], to_host=lines[1], clock=clock)
>>> host.write(b"hello")
>>> proxy.run_once(timeout_s=0.0), board.read(64, 0.0)
(None, b'')
>>> proxy.run_once(timeout_s=1.0), board.read(64, 0.0), clock.monotonic_ns()
(None, b'hello', 300000)
"""

import contextlib
import os
import select
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import structlog

from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.errors import TransportClosedError, TransportError
from firmware_bridge.line_faults import FaultCounters, FaultyLine
from firmware_bridge.transport import Transport
from firmware_bridge.transport_fd import FdTransport

__all__ = ["ChaosProxy", "LinkedPty"]

_READ_B: Final = 65_536
_LONGEST_WAIT_S: Final = 0.05  # how late `run` may notice that it should stop
_POLL_S: Final = 0.001  # for ends that select cannot watch, a virtual board for one
_RETRY_NS: Final = 100_000_000  # between attempts to open an end that is gone
# While many bytes are on their way they are handed on in lots, as a UART's FIFO does: one wake-up a byte would keep a
# core busy at 921600 baud. The last of them comes exactly.
_LOT_NS: Final = 200_000
_HOST_WRITE_TIMEOUT_S: Final = 0.05  # a host that does not read loses bytes, as with a serial adapter

_log = structlog.get_logger(__name__)


@runtime_checkable
class _Selectable(Protocol):
    """An end that the system can watch."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


class LinkedPty(FdTransport):
    """A pseudo-terminal for a host program, under a stable name while it is open.

    Args:
        link: symlink to make, replacing one that is there in one step; None makes none.

    Raises:
        TransportError: the system has no pseudo-terminal left, or the link cannot be made.
    """

    def __init__(self, link: Path | None = None) -> None:
        try:
            proxy_fd, self._keeper_fd = os.openpty()
            tty.setraw(self._keeper_fd)
        except OSError as error:
            raise TransportError(f"no pseudo-terminal: {error}") from error
        super().__init__(proxy_fd, "proxy's pty", write_timeout_s=_HOST_WRITE_TIMEOUT_S)
        self._link: Path | None = None
        self._device = os.ttyname(self._keeper_fd)
        if link is not None:
            try:
                _point(link, self._device)
            except OSError as error:
                self.close()
                raise TransportError(f"link {link} to {self._device} cannot be made: {error}") from error
            self._link = link

    @property
    def path(self) -> str:
        """Return what the host program opens."""
        return self._device if self._link is None else str(self._link)

    def close(self) -> None:
        """Remove the link and both ends: a host that holds the port reads a hang-up. Twice is harmless."""
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(OSError):  # somebody removed it before
                if str(link.readlink()) == self._device:  # and not that of a proxy that came after this one
                    link.unlink()
        super().close()
        keeper_fd, self._keeper_fd = self._keeper_fd, -1
        if keeper_fd >= 0:
            os.close(keeper_fd)


class ChaosProxy:
    """Carries bytes between two ends until told to stop. One thread.

    Args:
        open_host: makes the end that the host program uses; again after each hang-up.
        open_board: opens the controller's port; again after it was lost.
        to_board: what happens to bytes from the host.
        to_host: what happens to bytes from the controller.
        clock: time of the lines.

    Raises:
        TransportError: one of the ends cannot be opened.

    Note: a hang-up of either line is one of both. The controller's port stays open meanwhile, for what hangs up is the
        cable to the host. Where the controller's own port is lost, the host's is withdrawn until it is back.
    """

    def __init__(
        self,
        open_host: Callable[[], Transport],
        open_board: Callable[[], Transport],
        *,
        to_board: FaultyLine,
        to_host: FaultyLine,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._board = _End("board", open_board)
        self._host = _End("host", open_host)
        self._to_board = _Flow(to_board)
        self._to_host = _Flow(to_host)
        self._board.open()
        try:
            if self._is_line_up(clock.monotonic_ns()):
                self._host.open()
        except TransportError:
            self._board.close()
            raise

    @property
    def is_up(self) -> bool:
        """Tell whether the host has a port now."""
        return self._host.transport is not None

    @property
    def counters(self) -> tuple[FaultCounters, FaultCounters]:
        """Return what the lines did so far: to the board, to the host."""
        return self._to_board.line.counters, self._to_host.line.counters

    @property
    def unclaimed_to_board_b(self) -> int:
        """Return how many bytes crossed the line to a controller that was gone or did not take them."""
        return self._to_board.unclaimed_b

    @property
    def unclaimed_to_host_b(self) -> int:
        """Return how many bytes crossed the line to a host that was gone or did not read."""
        return self._to_host.unclaimed_b

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Carry bytes until should_stop(), which is asked at least every 50 ms."""
        while not should_stop():
            self.run_once(_LONGEST_WAIT_S)

    def run_once(self, timeout_s: float) -> None:
        """Wait for bytes or for the next event of a line, at most timeout_s, and do what is due.

        A lost end is no error here: it is opened again as soon as that works.
        """
        self._wait(timeout_s)
        now_ns = self._clock.monotonic_ns()
        self._steer(now_ns)
        self._to_board.take(self._host, now_ns)
        self._to_host.take(self._board, now_ns)
        now_ns = self._clock.monotonic_ns()
        self._to_board.give(self._board, now_ns)
        self._to_host.give(self._host, now_ns)

    def close(self) -> None:
        """Withdraw the host's port and close the controller's; what is on the lines stays there."""
        self._host.close()
        self._board.close()

    def _is_line_up(self, now_ns: int) -> bool:
        return self._to_board.line.is_up(now_ns) and self._to_host.line.is_up(now_ns)

    def _steer(self, now_ns: int) -> None:
        """Open and close the ends as the lines and the controller's port come and go."""
        self._board.reopen(now_ns)
        if self._board.transport is None or not self._is_line_up(now_ns):
            if self.is_up:
                _log.info("chaos.host_withdrawn")
            self._host.close()
        else:
            self._host.reopen(now_ns)

    def _wait(self, timeout_s: float) -> None:
        now_ns = self._clock.monotonic_ns()
        due = [flow.due_ns(now_ns) for flow in (self._to_board, self._to_host)]
        due += [end.retry_ns for end in (self._host, self._board) if end.retry_ns]
        waits_s = [max(due_ns - now_ns, 0) / NS_PER_S for due_ns in due if due_ns is not None]
        wait_s = min([timeout_s, *waits_s])
        sources = [(self._host, self._to_board), (self._board, self._to_host)]
        watched = [end.transport for end, flow in sources if end.transport is not None and not flow.is_blocked]
        fds = [transport.fileno() for transport in watched if isinstance(transport, _Selectable)]
        if len(fds) < len(watched):
            wait_s = min(wait_s, _POLL_S)
        if fds:
            with contextlib.suppress(OSError, ValueError):  # an end that has just died: the next read says so
                select.select(fds, [], [], wait_s)
        else:
            self._clock.sleep_s(wait_s)


class _End:
    """One end of the proxy, with the way to open it anew."""

    def __init__(self, name: str, opener: Callable[[], Transport]) -> None:
        self.transport: Transport | None = None
        self.retry_ns = 0
        self._name = name
        self._opener = opener

    def open(self) -> None:
        self.transport = self._opener()
        self.retry_ns = 0

    def reopen(self, now_ns: int) -> None:
        """Open it where it is not open, at most every 100 ms."""
        if self.transport is None and now_ns >= self.retry_ns:
            try:
                self.open()
            except TransportError as error:
                self.retry_ns = now_ns + _RETRY_NS
                _log.debug("chaos.retry", end=self._name, reason=str(error))
            else:
                _log.info("chaos.reopened", end=self._name)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None
        self.retry_ns = 0

    def lose(self, error: TransportError) -> None:
        _log.warning("chaos.lost", end=self._name, reason=str(error))
        self.close()


class _Flow:
    """One direction through the proxy."""

    def __init__(self, line: FaultyLine) -> None:
        self.line = line
        self.unclaimed_b = 0
        self._rest = b""  # read, but not taken by the line

    @property
    def is_blocked(self) -> bool:
        """Tell whether the line must take what was read before more is read."""
        return bool(self._rest)

    def due_ns(self, now_ns: int) -> int | None:
        """Return when to look at the line again."""
        next_ns = self.line.next_event_ns
        if next_ns is None:
            return None
        return max(next_ns, min(self.line.last_event_ns or next_ns, now_ns + _LOT_NS))

    def take(self, source: _End, now_ns: int) -> None:
        """Put on the line what the source has, as far as the line takes it."""
        if not self._rest and source.transport is not None:
            try:
                self._rest = source.transport.read(_READ_B, 0.0)
            except TransportError as error:
                source.lose(error)
        if self._rest:
            self._rest = self._rest[self.line.send(self._rest, now_ns) :]

    def give(self, sink: _End, now_ns: int) -> None:
        """Hand the sink what has arrived."""
        data = self.line.arrivals(now_ns)
        if not data:
            return
        if sink.transport is None:
            self.unclaimed_b += len(data)
            return
        try:
            sink.transport.write(data)
        except TransportClosedError as error:
            self.unclaimed_b += len(data)
            sink.lose(error)
        except TransportError:  # it does not read: what its buffer did not take is lost, as with any serial port
            self.unclaimed_b += len(data)


def _point(link: Path, device: str) -> None:
    """Make `link` a symlink to `device`, in one step for whoever looks.

    Raises:
        OSError: the folder refuses it, or something else than a symlink has that name.
    """
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} is there and no symlink: choose another name, or remove it")
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(device)
    fresh.replace(link)
