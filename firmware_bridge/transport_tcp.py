"""SEL/1 over TCP: for serial servers, simulations and controllers with a network port. Bytes only, no protocol.

Small frames leave at once (TCP_NODELAY). A peer that vanishes without a word is noticed within a few seconds; the
link's own limits are far shorter and decide earlier.

>>> with TcpListener("127.0.0.1") as listener:
...     host, port = listener.address
...     near = open_tcp(host, port)
...     far = listener.accept(timeout_s=5.0)
...     far.write(b"abc")
...     near.read(64, timeout_s=5.0)
...     near.close(), far.close()
b'abc'
(None, None)
"""

import contextlib
import select
import socket
from types import TracebackType
from typing import Final, Self

from firmware_bridge.errors import LinkTimeoutError, TransportClosedError, TransportError
from firmware_bridge.transport_fd import FdTransport

__all__ = ["TcpListener", "open_tcp"]

# Linux's names and seconds; other systems have other names and keep their own defaults.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 4000))


def open_tcp(host: str, port: int, *, connect_timeout_s: float = 1.0, write_timeout_s: float = 1.0) -> FdTransport:
    """Connect to a listening peer.

    Args:
        host: name or address.
        port: 1..65535.
        connect_timeout_s: limit for each address that the name has.
        write_timeout_s: how long a write may wait for room.

    Raises:
        TransportError: no such host, nobody listens, or no answer in time.
    """
    _check_port(port, 1)
    try:
        peer = socket.create_connection((host, port), timeout=connect_timeout_s)
    except (OSError, UnicodeError) as error:
        raise TransportError(f"{_name(host, port)} cannot be reached within {connect_timeout_s} s: {error}") from error
    return _wrap(peer, _name(host, port), write_timeout_s)


class TcpListener:
    """Waits for peers, one after another: while one is served, the next waits in the system's queue.

    Args:
        host: address to listen at.
        port: 0 picks a free one, see `address`.
        write_timeout_s: how long a write to a peer may wait for room.

    Raises:
        TransportError: the address is not this computer's, or in use.
    """

    def __init__(self, host: str, port: int = 0, *, write_timeout_s: float = 1.0) -> None:
        _check_port(port, 0)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=1)
        except (OSError, UnicodeError) as error:
            raise TransportError(f"cannot listen at {_name(host, port)}: {error}") from error
        self._socket.setblocking(False)
        self._write_timeout_s = write_timeout_s
        self.address: tuple[str, int] = self._socket.getsockname()[:2]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def accept(self, timeout_s: float) -> FdTransport:
        """Return the next peer's transport; the caller serves and closes it before accepting another.

        Raises:
            LinkTimeoutError: nobody came within timeout_s.
            TransportClosedError: the listener is closed.
            TransportError: the system refuses.
        """
        if self._socket.fileno() < 0:
            raise TransportClosedError(f"listener at {_name(*self.address)}: used after close")
        try:
            select.select([self._socket], [], [], timeout_s)
            peer, address = self._socket.accept()
        except BlockingIOError as error:
            raise LinkTimeoutError(f"nobody connected to {_name(*self.address)} within {timeout_s} s") from error
        except OSError as error:
            raise TransportError(f"listener at {_name(*self.address)}: accept failed: {error}") from error
        return _wrap(peer, _name(*address[:2]), self._write_timeout_s)

    def fileno(self) -> int:
        """Return what can be read when somebody has connected, -1 when closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Listen no more; transports of accepted peers live on. Twice is harmless."""
        self._socket.close()


def _wrap(peer: socket.socket, name: str, write_timeout_s: float) -> FdTransport:
    with contextlib.suppress(OSError):  # an option that this system refuses only makes the line slower to judge
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            if hasattr(socket, option):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return FdTransport(peer.detach(), name, write_timeout_s=write_timeout_s)


def _check_port(port: int, low: int) -> None:
    if not low <= port <= 0xFFFF:
        raise TransportError(f"TCP port {port} is not in {low}..65535")


def _name(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
