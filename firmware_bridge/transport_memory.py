"""Two connected transports inside one process, for tests and simulations.

Without a clock a read really waits, and threads may sit at both ends. With a clock the wait is the clock's: a
ManualClock jumps at once, so that a whole session runs in virtual time.

>>> left, right = memory_pair()
>>> left.write(b"abc")
>>> right.read(2, 0.0), right.read(2, 0.0), right.read(2, 0.0)
(b'ab', b'c', b'')
"""

import threading

from firmware_bridge.clock import Clock
from firmware_bridge.errors import TransportClosedError

__all__ = ["MemoryTransport", "memory_pair"]


class MemoryTransport:
    """One end of a pair; made by `memory_pair`."""

    def __init__(self, inbox: "_Pipe", outbox: "_Pipe", clock: Clock | None) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._clock = clock

    def read(self, max_b: int, timeout_s: float) -> bytes:
        """Return waiting bytes, at most max_b; b"" when none came within timeout_s.

        Raises:
            TransportClosedError: this end is closed, or the other end is and nothing is left.
        """
        data = self._inbox.take(max_b, 0.0 if self._clock else timeout_s)
        if data or self._clock is None:
            return data
        self._clock.sleep_s(timeout_s)
        return self._inbox.take(max_b, 0.0)

    def write(self, data: bytes) -> None:
        """Append `data` to what the other end reads; the buffer has no limit.

        Raises:
            TransportClosedError: either end is closed.
        """
        self._outbox.put(data)

    def close(self) -> None:
        """Close this end; the other end may still read what was written before."""
        self._inbox.close(discard=True)
        self._outbox.close(discard=False)


def memory_pair(clock: Clock | None = None) -> tuple[MemoryTransport, MemoryTransport]:
    """Return two connected ends.

    Args:
        clock: whose time a read waits for; None waits in real time.
    """
    there, back = _Pipe(), _Pipe()
    return MemoryTransport(back, there, clock), MemoryTransport(there, back, clock)


class _Pipe:
    """Bytes in one direction."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_closed = False
        self._changed = threading.Condition()

    def take(self, max_b: int, timeout_s: float) -> bytes:
        """Remove and return at most `max_b` bytes, b"" when none came in time.

        Raises:
            TransportClosedError: the pipe is closed and empty.
        """
        with self._changed:
            if timeout_s > 0:
                self._changed.wait_for(lambda: self._buffer or self._is_closed, timeout_s)
            if self._is_closed and not self._buffer:
                raise TransportClosedError("memory transport: read after close")
            data = bytes(self._buffer[:max_b])
            del self._buffer[:max_b]
            return data

    def put(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            TransportClosedError: the pipe is closed.
        """
        with self._changed:
            if self._is_closed:
                raise TransportClosedError(f"memory transport: {len(data)} B written after close")
            self._buffer += data
            self._changed.notify_all()

    def close(self, *, discard: bool) -> None:
        with self._changed:
            self._is_closed = True
            if discard:
                self._buffer.clear()
            self._changed.notify_all()
