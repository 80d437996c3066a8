"""From the name that a person types to an open transport.

| name | opens |
|---|---|
| /dev/..., or any absolute path or symlink to a terminal | a serial port |
| tcp://host:port | a TCP connection |
| virtual | a virtual board inside this process, on the caller's clock |

>>> from firmware_bridge.clock import ManualClock
>>> open_transport("virtual", clock=ManualClock()).read(64, timeout_s=0.0)
b''
>>> open_transport("ttyACM0", clock=ManualClock())
Traceback (most recent call last):
firmware_bridge.errors.TransportError: port 'ttyACM0' is no absolute path, tcp://host:port or virtual: try /dev/ttyACM0
"""

from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from firmware_bridge.clock import Clock
from firmware_bridge.errors import TransportError
from firmware_bridge.transport import Transport

__all__ = ["DEFAULT_BAUD", "VIRTUAL", "open_transport"]

VIRTUAL: Final = "virtual"
_TCP: Final = "tcp://"
DEFAULT_BAUD: Final = 921_600  # that of transport_serial, which needs pyserial


def open_transport(name: str, *, clock: Clock, baud: int = DEFAULT_BAUD, timeout_s: float = 1.0) -> Transport:
    """Open what `name` stands for.

    Args:
        name: see the table above.
        clock: whose time a virtual board lives in; the others do not use it.
        baud: line rate of a serial port; the others do not use it.
        timeout_s: how long connecting, and each write, may wait; a virtual board never does.

    Raises:
        TransportError: the name is none of the three, or what it names cannot be opened.
    """
    if name == VIRTUAL:
        from firmware_bridge.board_choice import open_board  # noqa: PLC0415 - not needed for a real port
        from firmware_bridge.transport_board import BoardTransport  # noqa: PLC0415

        return BoardTransport(open_board(), clock)
    if name.startswith(_TCP):
        from firmware_bridge.transport_tcp import open_tcp  # noqa: PLC0415 - one medium a process

        return open_tcp(*_tcp_address(name), connect_timeout_s=timeout_s, write_timeout_s=timeout_s)
    if PurePosixPath(name).is_absolute():
        from firmware_bridge.transport_serial import open_serial  # noqa: PLC0415 - needs pyserial

        return open_serial(name, baud=baud, write_timeout_s=timeout_s)
    hint = f": try /dev/{name}" if name.startswith("tty") else ""
    raise TransportError(f"port {name!r} is no absolute path, tcp://host:port or {VIRTUAL}{hint}")


def _tcp_address(name: str) -> tuple[str, int]:
    """Return host and port of tcp://host:port; an IPv6 address stands in brackets.

    Raises:
        TransportError: one of the two is missing or wrong, or there is more.
    """
    try:
        parts = urlsplit(name)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise TransportError(f"port {name!r}: {error}; write tcp://host:port with a port of 1..65535") from error
    has_more = bool(parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if not host or not port or has_more:
        raise TransportError(f"port {name!r} is not complete or has too much: write tcp://host:port")
    return host, port
