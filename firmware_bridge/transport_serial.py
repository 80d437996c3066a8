"""A serial port: pyserial opens and configures it, `FdTransport` moves the bytes.

pyserial's own reads either wait to fill or fetch single bytes; both are a hundred times slower than the descriptor.
Any terminal will do: a USB adapter, a UART, a pseudo-terminal.
"""

import os
from typing import Final

import serial

from firmware_bridge.errors import TransportError
from firmware_bridge.transport_fd import FdTransport

__all__ = ["DEFAULT_BAUD", "open_serial"]

DEFAULT_BAUD: Final = 921_600  # 10 000 ejections a second take 76 % of it


def open_serial(path: str, *, baud: int = DEFAULT_BAUD, write_timeout_s: float = 1.0) -> FdTransport:
    """Open a port exclusively: raw bytes, 8N1, low latency where the driver has it.

    Args:
        path: device node; prefer /dev/serial/by-id, which survives a replug.
        baud: line rate; a pseudo-terminal ignores it.
        write_timeout_s: how long a write may wait for room.

    Raises:
        TransportError: no such port, no right to it, in use by another program, or the rate is not supported.
    """
    try:
        port = serial.Serial(path, baudrate=baud, timeout=0, exclusive=True)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        raise TransportError(f"port {path} at {baud} baud cannot be opened: {error}") from error
    try:
        fd = os.dup(port.fileno())  # shares the exclusive lock
    except OSError as error:
        raise TransportError(f"port {path} cannot be used: {error}") from error
    finally:
        _set_low_latency(port)
        port.close()
    return FdTransport(fd, path, write_timeout_s=write_timeout_s)


def _set_low_latency(port: serial.Serial) -> None:
    """Ask the driver to hand on bytes at once; pseudo-terminals and many UARTs do not know the request."""
    try:
        port.set_low_latency_mode(True)
    except (OSError, ValueError, NotImplementedError, AttributeError):
        return
