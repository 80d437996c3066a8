"""Both lines of a virtual world's controller: bytes pass while somebody is there, and nobody is waited for."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_runtime.virtual_world_line import WorldLine, open_line
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import TransportError
from firmware_bridge.transport import Transport
from firmware_bridge.transport_open import open_transport

MUCH = bytes(8 << 20)


@pytest.fixture(params=["pty", "tcp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | int:
    if request.param == "pty":
        return tmp_path / "controller"
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def line(place: Path | int) -> Iterator[WorldLine]:
    opened = open_line(place)
    yield opened
    opened.close()
    opened.close()


@pytest.fixture
def connect(place: Path | int) -> Iterator[Callable[[], Transport]]:
    hosts: list[Transport] = []

    def connect() -> Transport:
        name = f"tcp://127.0.0.1:{place}" if isinstance(place, int) else str(place)
        hosts.append(open_transport(name, clock=SystemClock()))
        return hosts[-1]

    yield connect
    for host in hosts:
        host.close()


def heard(line: WorldLine) -> bytes:
    for _ in range(10):
        select.select(line.filenos(), [], [], 5.0)
        if data := line.read():
            return data
    return b""


def test_bytes_pass_both_ways(line: WorldLine, connect: Callable[[], Transport]) -> None:
    host = connect()
    host.write(b"hello")
    assert heard(line) == b"hello"
    assert line.write(b"world") == 5
    assert host.read(64, 5.0) == b"world"


def test_nobody_there_is_nobody_to_wait_for(line: WorldLine) -> None:
    assert line.read() == b""
    assert 0 <= line.write(MUCH) < len(MUCH)


def test_a_host_that_does_not_read_is_not_waited_for(line: WorldLine, connect: Callable[[], Transport]) -> None:
    connect().write(b"hello")
    assert heard(line) == b"hello"
    written = [line.write(MUCH) for _ in range(4)]
    assert sum(written) < 4 * len(MUCH)
    assert written[-1] == 0


def test_a_host_that_left_makes_room_for_the_next(line: WorldLine, connect: Callable[[], Transport]) -> None:
    first = connect()
    first.write(b"one")
    assert heard(line) == b"one"
    first.close()
    connect().write(b"two")
    assert heard(line) == b"two"
    assert all(os.fstat(number) for number in line.filenos())


def test_the_newest_tcp_host_has_the_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = int(found.getsockname()[1])
    line = open_line(port)
    first = open_transport(f"tcp://127.0.0.1:{port}", clock=SystemClock())
    first.write(b"one")
    assert heard(line) == b"one"
    second = open_transport(f"tcp://127.0.0.1:{port}", clock=SystemClock())
    second.write(b"two")
    assert heard(line) == b"two"
    with pytest.raises(TransportError, match="hung up"):
        first.read(64, 5.0)
    for end in (first, second, line):
        end.close()


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(TransportError, match=f"TCP port {port} is not in 0..65535"):
        open_line(port)


def test_a_port_in_use_is_told() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(TransportError, match=r"cannot listen at tcp://127\.0\.0\.1:"),
    ):
        open_line(int(taken.getsockname()[1]))
