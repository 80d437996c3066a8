"""The line between a virtual world's controller and its host: a pseudo-terminal, or a TCP port of this computer.

A terminal is what a real controller looks like. But its bytes are moved by the system's workers, which wait for their
turn where the computer is busy; bytes over TCP are not, so that a busy computer shows its own lateness alone. Neither
waits for a host. Knows no protocol.

>>> line = open_line(0)
>>> line.read()
b''
>>> line.close()
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from firmware_bridge.chaos import LinkedPty
from firmware_bridge.errors import LinkTimeoutError, TransportError
from firmware_bridge.transport_fd import FdTransport
from firmware_bridge.transport_tcp import TcpListener

__all__ = ["WorldLine", "open_line"]

_READ_B: Final = 65_536
_HOST: Final = "127.0.0.1"


class WorldLine(Protocol):
    """The controller's end."""

    def filenos(self) -> list[int]:
        """Return what to look at for reading."""
        ...

    def read(self) -> bytes:
        """Return what has come; empty where nothing has, or nobody is there."""
        ...

    def write(self, data: bytes) -> int:
        """Send as much as there is room for; return how much."""
        ...

    def close(self) -> None:
        """Take the line away; twice is harmless."""
        ...


def open_line(place: Path | int) -> WorldLine:
    """Return a new line.

    Args:
        place: symlink that shall name a terminal, or TCP port to listen at (0 takes a free one).

    Raises:
        TransportError: the system has no terminal left, the link cannot be made, or the port is none or in use.
    """
    return _TcpLine(place) if isinstance(place, int) else _PtyLine(place)


class _PtyLine:
    def __init__(self, link: Path) -> None:
        self._pty = LinkedPty(link)

    def filenos(self) -> list[int]:
        return [self._pty.fileno()]

    def read(self) -> bytes:
        try:
            return self._pty.read(_READ_B, 0.0)
        except TransportError:  # nothing that the board could do about
            return b""

    def write(self, data: bytes) -> int:
        return _put(self._pty, data)

    def close(self) -> None:
        self._pty.close()


class _TcpLine:
    """Listens; the newest host takes the place of the one before, as when a cable is put into another computer."""

    def __init__(self, port: int) -> None:
        self._listener = TcpListener(_HOST, port)
        self._peer: FdTransport | None = None

    def filenos(self) -> list[int]:
        return [self._listener.fileno(), *([] if self._peer is None else [self._peer.fileno()])]

    def read(self) -> bytes:
        with suppress(LinkTimeoutError, TransportError):  # nobody new, or gone already
            peer = self._listener.accept(0.0)
            self._drop()
            self._peer = peer
        if self._peer is None:
            return b""
        try:
            return self._peer.read(_READ_B, 0.0)
        except TransportError:
            self._drop()
            return b""

    def write(self, data: bytes) -> int:
        return 0 if self._peer is None else _put(self._peer, data)

    def close(self) -> None:
        self._drop()
        self._listener.close()

    def _drop(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None


def _put(end: FdTransport, data: bytes) -> int:
    """Send what there is room for: a transport's own `write` waits for room, a board does not."""
    try:
        return os.write(end.fileno(), data)
    except OSError:  # no room, or nobody there any more
        return 0
