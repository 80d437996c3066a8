"""Bytes through an open descriptor of a terminal or socket: plain read, write and select, nothing that waits to fill.

What opens and configures the descriptor is another file's job (`transport_serial`, `transport_tcp`, `board_shell`).
"""

import contextlib
import errno
import os
import select
from typing import Final

from firmware_bridge.errors import TransportClosedError, TransportError

__all__ = ["FdTransport"]

# EIO is how Linux reports a terminal whose other end is gone, EBADF a close in another thread; the others are a
# port that was unplugged and a network peer that hung up, died or can no longer be reached.
_GONE: Final = frozenset(
    {
        *(errno.EIO, errno.EBADF, errno.ENXIO, errno.ENODEV),
        *(errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH),
    }
)


class FdTransport:
    """A transport over a descriptor that it owns.

    Args:
        fd: open for reading and writing; made non-blocking here.
        name: what messages call it.
        write_timeout_s: how long a write may wait for room.
    """

    def __init__(self, fd: int, name: str, *, write_timeout_s: float = 1.0) -> None:
        self._fd = fd
        self._name = name
        self._write_timeout_s = write_timeout_s
        self._has_hung_up = False
        os.set_blocking(fd, False)

    def read(self, max_b: int, timeout_s: float) -> bytes:
        """Return what is there, at most max_b; b"" when nothing came within timeout_s.

        Raises:
            TransportClosedError: closed here, or the far end hung up.
            TransportError: the system refuses the read.
        """
        fd = self._open_fd()
        try:
            if not select.select([fd], [], [], timeout_s)[0]:
                return b""
            data = os.read(fd, max_b)
        except BlockingIOError:  # someone else took the bytes
            return b""
        except (OSError, ValueError) as error:
            raise self._translate(error, "read") from error
        if not data:
            self._has_hung_up = True  # the system would still take bytes for a network peer, and lose them
            raise TransportClosedError(f"{self._name}: the far end hung up")
        return data

    def write(self, data: bytes) -> None:
        """Write all of `data`.

        Raises:
            TransportClosedError: closed here, or the far end hung up.
            TransportError: no room within the write timeout, or the system refuses the write.
        """
        if self._has_hung_up:
            raise TransportClosedError(f"{self._name}: the far end hung up")
        rest = memoryview(data)
        while rest:
            fd = self._open_fd()
            try:
                if not select.select([], [fd], [], self._write_timeout_s)[1]:
                    text = f"{self._name}: {len(rest)} of {len(data)} B not taken within {self._write_timeout_s} s"
                    raise TransportError(text)
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                continue
            except (OSError, ValueError) as error:
                raise self._translate(error, "write") from error

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed: for callers that wait on several transports at once."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor; twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):  # a hung-up terminal may refuse even this
                os.close(fd)

    def _open_fd(self) -> int:
        if self._fd < 0:
            raise TransportClosedError(f"{self._name}: used after close")
        return self._fd

    def _translate(self, error: OSError | ValueError, what: str) -> TransportError:
        number = error.errno if isinstance(error, OSError) else errno.EBADF
        return (TransportClosedError if number in _GONE else TransportError)(f"{self._name}: {what} failed: {error}")
