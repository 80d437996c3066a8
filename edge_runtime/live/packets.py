"""Messages between processes of one computer: whole or not at all, kept by the system until somebody takes them.

A pair of sockets that keep message borders (SOCK_SEQPACKET). The supervisor holds both ends, so that what was sent to a
process that died is read by the one that takes its place. Several processes may hold one end: each message goes to one
of them. Sending never waits. Knows no particular message.

>>> left, right = packet_pair()
>>> left.send(b"one"), left.send(b"two")
(True, True)
>>> right.receive(), right.receive(), right.receive()
(b'one', b'two', None)
>>> left.close()
>>> right.receive()
Traceback (most recent call last):
edge_runtime.errors.PeerGoneError: nobody holds the other end
>>> right.close()
"""

import errno
import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from edge_runtime.errors import PeerGoneError

__all__ = ["Packets", "packet_pair", "wait_for"]

_BUFFER_B: Final = 4 << 20
_LARGEST_B: Final = 1 << 20
_NO_ROOM: Final = (errno.EMSGSIZE, errno.ENOBUFS, errno.ENOMEM)
_SO_SNDBUFFORCE: Final = 32  # asm-generic/socket.h: root may go beyond net.core.wmem_max


class Packets:
    """One end of a pair.

    Args:
        end: SOCK_SEQPACKET; this object closes it.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._buffer = bytearray()

    @staticmethod
    def attach(fd: int) -> "Packets":
        """Take over an end that was inherited."""
        return Packets(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """Return the file descriptor, for `wait_for` and to hand it on."""
        return self._end.fileno()

    def send(self, message: bytes) -> bool:
        """Send a message without waiting; tell whether there was room for it.

        Args:
            message: 1 byte to 1 MiB; an unprivileged process has less room, see net.core.wmem_max.

        Raises:
            PeerGoneError: nobody holds the other end.
        """
        try:
            self._end.send(message)
        except (BlockingIOError, InterruptedError):
            return False
        except (BrokenPipeError, ConnectionResetError) as error:
            raise PeerGoneError("nobody holds the other end") from error
        except OSError as error:
            if error.errno in _NO_ROOM:
                return False
            raise PeerGoneError(f"the other end cannot be reached: {error.strerror}") from error
        return True

    def receive(self) -> bytes | None:
        """Return the next message, None where there is none now.

        Raises:
            PeerGoneError: nobody holds the other end, and nothing is left to read.
        """
        try:
            message = self._receive()
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise PeerGoneError(f"the other end cannot be reached: {error.strerror}") from error
        if not message:
            raise PeerGoneError("nobody holds the other end")
        return message

    def close(self) -> None:
        """Give up this end; twice is harmless."""
        self._end.close()

    def _receive(self) -> bytes:
        if not self._buffer:
            self._buffer = bytearray(_LARGEST_B)  # once: a fresh one for each look costs more than the message
        try:
            size_b = self._end.recv_into(self._buffer)
        except ConnectionResetError:  # told once, before the last words of a peer that ended with messages unread
            size_b = self._end.recv_into(self._buffer)
        return bytes(memoryview(self._buffer)[:size_b])


def packet_pair() -> tuple[Packets, Packets]:
    """Return both ends of a new pair."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_B)
        with suppress(PermissionError):
            end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_B)
    return Packets(ends[0]), Packets(ends[1])


def wait_for(ends: Sequence[Packets], timeout_s: float) -> list[Packets]:
    """Return the ends that have something to read (or whose other end is gone), after at most `timeout_s`."""
    poll = select.poll()
    by_fd = {end.fileno(): end for end in ends}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poll.poll(max(0.0, timeout_s) * 1000)]
