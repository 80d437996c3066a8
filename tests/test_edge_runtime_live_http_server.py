"""What clients may take of the server: room, time, answers a second."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from edge_runtime.errors import ConfigError
from edge_runtime.live.http_server import HttpLimits, HttpServer
from edge_runtime.live.http_text import Answer
from firmware_bridge.clock import ManualClock

LARGE = "x" * (8 << 20)  # more than the system holds for a client that does not read
LIMITS = HttpLimits(connections=3, client_s=2.0, answers_s=5)


def page(path: str) -> Answer:
    return Answer(200, LARGE if path == "/large" else path)


@contextmanager
def served(clock: ManualClock, limits: HttpLimits = LIMITS) -> Iterator[HttpServer]:
    server = HttpServer(0, page, clock, limits)
    try:
        yield server
    finally:
        server.close()


def client(stack: ExitStack, server: HttpServer, text: bytes = b"") -> socket.socket:
    end = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5.0))
    end.sendall(text)
    return end


def serve(server: HttpServer, rounds: int = 6) -> None:
    for _ in range(rounds):
        server.serve(0.02)


def answer_to(end: socket.socket) -> bytes:
    data = b""
    while more := end.recv(65_536):
        data += more
    return data


def test_request_in_pieces_is_answered_and_the_connection_ends() -> None:
    with served(ManualClock()) as server, ExitStack() as stack:
        end = client(stack, server, b"GET /sta")
        serve(server)
        assert server.connections == 1
        end.sendall(b"tus HTTP/1.1\r\n\r\n")
        serve(server)
        assert answer_to(end).endswith(b"\r\n\r\n/status")
        assert server.connections == 0


def test_head_has_no_body_and_nonsense_is_told_so() -> None:
    with served(ManualClock()) as server, ExitStack() as stack:
        head = client(stack, server, b"HEAD /status HTTP/1.1\r\n\r\n")
        nonsense = client(stack, server, b"\x16\x03\x01\r\n\r\n")
        serve(server)
        assert answer_to(head).endswith(b"Content-Length: 7\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n")
        assert answer_to(nonsense).startswith(b"HTTP/1.1 400 ")


def test_clients_that_hang_are_sent_away_in_time_and_let_others_in() -> None:
    clock = ManualClock()
    with served(clock) as server, ExitStack() as stack:
        silent = client(stack, server)
        half = client(stack, server, b"GET / HT")
        reads_nothing = client(stack, server, b"GET /large HTTP/1.1\r\n\r\n")
        waits = client(stack, server, b"GET /status HTTP/1.1\r\n\r\n")
        waits.setblocking(False)
        serve(server)
        assert server.connections == 3
        with pytest.raises(BlockingIOError):
            waits.recv(1)
        clock.sleep_s(1.9)
        serve(server)
        assert (server.connections, server.turned_away) == (3, 0)
        clock.sleep_s(0.2)
        serve(server)
        assert server.turned_away == 3
        waits.settimeout(5.0)
        assert answer_to(waits).endswith(b"/status")
        assert answer_to(silent) == answer_to(half) == b""
        assert len(answer_to(reads_nothing)) < len(LARGE)


def test_only_so_many_are_let_in_a_second() -> None:
    clock = ManualClock()
    with served(clock, HttpLimits(connections=20, client_s=9.0, answers_s=5)) as server, ExitStack() as stack:
        for _ in range(8):
            client(stack, server)
        serve(server, 12)
        assert server.connections == 5
        clock.sleep_s(1.0)
        serve(server, 12)
        assert server.connections == 8


def test_client_that_goes_in_the_middle_costs_nothing() -> None:
    with served(ManualClock()) as server, ExitStack() as stack:
        client(stack, server, b"GET / HT").close()
        gone = client(stack, server, b"GET /large HTTP/1.1\r\n\r\n")
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        serve(server)
        gone.close()
        serve(server)
        assert server.connections == 0


def test_others_end_the_wait() -> None:
    with served(ManualClock()) as server, ExitStack() as stack:
        left, right = (stack.enter_context(end) for end in socket.socketpair())
        left.send(b"order")
        server.serve(60.0, [right.fileno()])
        assert right.recv(9) == b"order"


def test_port_in_use_is_told_and_only_loopback_is_listened_on() -> None:
    with served(ManualClock()) as server:
        with pytest.raises(ConfigError, match=f"port {server.port} is in use"):
            HttpServer(server.port, page, ManualClock())
        with socket.socket() as other:
            other.bind(("127.0.0.2", server.port))
