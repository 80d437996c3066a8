"""Answers on loopback, for as many clients as may be, each for as long as it may be: nobody can take more than that.

One thread that waits for no client: connections beyond the limit wait, clients that are too slow are closed, and only
so many are let in a second. Knows no page.

>>> from firmware_bridge.clock import ManualClock
>>> server = HttpServer(0, lambda path: Answer(200, path), ManualClock())
>>> server.port > 0
True
>>> server.close()
"""

import errno
import select
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from edge_runtime.errors import ConfigError
from edge_runtime.live.http_text import LARGEST_REQUEST_B, Answer, answer_bytes, asked, refusal
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["HttpLimits", "HttpServer"]

_HOST: Final = "127.0.0.1"


class HttpLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What clients may take.

    Attributes:
        connections: at one time.
        client_s: from the connection to the last byte of the answer.
        answers_s: clients let in a second; others wait in the system's queue.
    """

    connections: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16
    client_s: Annotated[float, msgspec.Meta(gt=0.0)] = 3.0
    answers_s: Annotated[int, msgspec.Meta(ge=1)] = 20


@dataclass(slots=True)
class _Client:
    """A connection: what came, and what is still to go."""

    end: socket.socket
    until_ns: int
    heard: bytes = b""
    to_send: bytes = b""


class HttpServer:
    """A server on 127.0.0.1.

    Args:
        port: 0 lets the system choose.
        page: gives the answer for a path; it may be called for any text.
        clock: monotonic.
        limits: of all clients.

    Raises:
        ConfigError: the port is in use or may not be used.
    """

    def __init__(
        self, port: int, page: Callable[[str], Answer], clock: Clock, limits: HttpLimits | None = None
    ) -> None:
        self._page = page
        self._clock = clock
        self._limits = limits or HttpLimits()
        self._clients: dict[int, _Client] = {}
        self._second = (0, 0)  # a second of the clock, and the clients let in within it
        self._listener = _listen(port, backlog=self._limits.connections)
        self.turned_away = 0

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def connections(self) -> int:
        """Return how many clients are connected now."""
        return len(self._clients)

    def serve(self, timeout_s: float, others: Sequence[int] = ()) -> None:
        """Wait until something can be done, at most `timeout_s`, and do it.

        Args:
            timeout_s: longest wait.
            others: file descriptors whose input ends the wait as well.
        """
        poll = select.poll()
        for fd in others:
            poll.register(fd, select.POLLIN)
        if self._has_room():
            poll.register(self._listener.fileno(), select.POLLIN)
        for fd, client in self._clients.items():
            poll.register(fd, select.POLLOUT if client.to_send else select.POLLIN)
        for fd, _ in poll.poll(timeout_s * 1000):
            if fd == self._listener.fileno():
                self._accept()
            elif fd in self._clients:
                self._go_on(self._clients[fd])
        now_ns = self._clock.monotonic_ns()
        for client in [client for client in self._clients.values() if now_ns > client.until_ns]:
            self.turned_away += 1
            self._drop(client)

    def close(self) -> None:
        """End every connection and give the port back."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._listener.close()

    def _has_room(self) -> bool:
        second, count = self._second
        is_new = self._clock.monotonic_ns() // NS_PER_S != second
        return len(self._clients) < self._limits.connections and (is_new or count < self._limits.answers_s)

    def _accept(self) -> None:
        try:
            end, _ = self._listener.accept()
        except OSError:  # it has gone again, or this process has no file descriptor left
            return
        end.setblocking(False)
        now_ns = self._clock.monotonic_ns()
        second = now_ns // NS_PER_S
        self._second = (second, self._second[1] + 1 if second == self._second[0] else 1)
        self._clients[end.fileno()] = _Client(end, now_ns + round(self._limits.client_s * NS_PER_S))

    def _go_on(self, client: _Client) -> None:
        try:
            if not client.to_send:
                self._hear(client)
            if client.to_send:
                client.to_send = client.to_send[client.end.send(client.to_send) :]
                if not client.to_send:
                    self._drop(client)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(client)

    def _hear(self, client: _Client) -> None:
        data = client.end.recv(LARGEST_REQUEST_B)
        client.heard += data
        request = asked(client.heard)
        if request is not None:
            answer = refusal(request) or self._page(request.path)
            client.to_send = answer_bytes(answer, with_body=request.method != "HEAD")
        elif not data:  # it closed in the middle of its question
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        del self._clients[client.end.fileno()]
        client.end.close()


def _listen(port: int, *, backlog: int) -> socket.socket:
    """Return a socket that listens on loopback.

    Raises:
        ConfigError: the port is in use or may not be used.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} is in use by another program; choose another live.metrics_port") from error
        raise ConfigError(f"port {port} cannot be used: {error.strerror}; choose another live.metrics_port") from error
    listener.setblocking(False)
    return listener
