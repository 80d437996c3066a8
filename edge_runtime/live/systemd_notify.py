"""What a service tells systemd: that it is ready, how it is, that it is alive, that it stops.

The protocol is one datagram a message, sd_notify(3). The environment is passed in; where it names no socket nothing is
sent. It never raises and never waits: a manager that does not listen is no reason to stop sorting.

>>> notify = SystemdNotify({})
>>> notify.ready("sorting"), notify.failed
(False, 0)
>>> watchdog_period_s({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "77"}, pid=77)
1.5
"""

import os
import socket
from collections.abc import Mapping
from typing import Final, Self

__all__ = ["SystemdNotify", "watchdog_period_s"]

_US_PER_S: Final = 1_000_000
_LONGEST_TEXT: Final = 200  # characters; systemctl shows one line


class SystemdNotify:
    """The way to the service manager; close it at the end, or use it in a `with`. One thread.

    Args:
        environ: as the process was started with; NOTIFY_SOCKET names the socket, "@name" an abstract one.

    Attributes:
        sent: messages handed to the manager.
        failed: messages that it did not take: its socket is full, gone, or no socket.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.sent = 0
        self.failed = 0
        self._address = _address_of(environ.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ready(self, status: str = "") -> bool:
        """Say that the start is done; return whether it was taken."""
        return self._send("READY=1", *_status_lines(status))

    def status(self, status: str) -> bool:
        """Say in one line how it is, for `systemctl status`; return whether it was taken."""
        return self._send(*_status_lines(status))

    def watchdog(self) -> bool:
        """Say that it is alive, at least every `watchdog_period_s`; return whether it was taken."""
        return self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> bool:
        """Say that the stop has begun; return whether it was taken."""
        return self._send("STOPPING=1", *_status_lines(status))

    def close(self) -> None:
        """Close the socket; the next message opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._address is None or not lines:
            return False
        try:
            self._open().sendto("\n".join(lines).encode(errors="replace"), self._address)
        except (OSError, ValueError):  # ValueError: a name with a zero byte inside
            self.failed += 1
            return False
        self.sent += 1
        return True

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        return self._socket


def watchdog_period_s(environ: Mapping[str, str], *, pid: int | None = None) -> float | None:
    """Return how often to call `SystemdNotify.watchdog`, seconds: half of the time after which systemd kills.

    Args:
        environ: as the process was started with; WATCHDOG_USEC is the limit, WATCHDOG_PID whom it is for.
        pid: the caller; None takes this process.

    Returns:
        None where no watchdog is set, it is meant for another process, or the value is no positive number.
    """
    limit_us, wanted_pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if wanted_pid and wanted_pid != str(os.getpid() if pid is None else pid):
        return None
    if not (limit_us.isascii() and limit_us.isdigit() and len(limit_us) <= 20) or int(limit_us) == 0:  # a u64
        return None
    return int(limit_us) / _US_PER_S / 2


def _address_of(name: str) -> bytes | None:
    """Return the socket's address; systemd knows absolute paths and abstract names, all else is no socket of ours."""
    if name.startswith("@") and len(name) > 1:
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else None


def _status_lines(status: str) -> list[str]:
    """Return a status as at most one line of the message: a line break in it would begin another assignment."""
    text = " ".join(status.split())[:_LONGEST_TEXT]
    return [f"STATUS={text}"] if text else []
