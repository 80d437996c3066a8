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
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from firmware_bridge.chaos import LinkedPty
from firmware_bridge.errors import TransportError

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
        TransportError: the system has no terminal left, the link cannot be made, or the port is in use.
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
        try:
            return os.write(self._pty.fileno(), data)
        except OSError:  # no room
            return 0

    def close(self) -> None:
        self._pty.close()


class _TcpLine:
    """Listens; the newest host takes the place of the one before, as when a cable is put into another computer."""

    def __init__(self, port: int) -> None:
        try:
            self._listener = socket.create_server((_HOST, port), backlog=4)
        except OSError as error:
            raise TransportError(f"cannot listen at tcp://{_HOST}:{port}: {error.strerror or error}") from error
        self._listener.setblocking(False)
        self._peer: socket.socket | None = None

    def filenos(self) -> list[int]:
        return [self._listener.fileno(), *([] if self._peer is None else [self._peer.fileno()])]

    def read(self) -> bytes:
        with suppress(BlockingIOError):
            peer, _ = self._listener.accept()
            self._drop()
            peer.setblocking(False)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peer = peer
        if self._peer is None:
            return b""
        try:
            data = self._peer.recv(_READ_B)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._drop()
        return data

    def write(self, data: bytes) -> int:
        if self._peer is None:
            return 0
        try:
            return self._peer.send(data)
        except OSError:  # no room, or nobody there any more
            return 0

    def close(self) -> None:
        self._drop()
        self._listener.close()

    def _drop(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None
