"""A name opens exactly one kind of transport, and a wrong name says what it should have been."""

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from firmware_bridge.board_shell import open_pty
from firmware_bridge.clock import ManualClock, SystemClock
from firmware_bridge.errors import TransportError
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.transport import Transport
from firmware_bridge.transport_open import DEFAULT_BAUD, open_transport
from firmware_bridge.transport_serial import DEFAULT_BAUD as SERIAL_BAUD
from firmware_bridge.transport_tcp import TcpListener

WAIT_S = 5.0


def passes(near: Transport, far: Transport) -> bool:
    near.write(b"to the board")
    there = far.read(100, WAIT_S)
    far.write(b"to the host")
    back = near.read(100, WAIT_S)
    near.close()
    return (there, back) == (b"to the board", b"to the host")


def test_a_path_and_a_symlink_to_it_open_the_port(tmp_path: Path) -> None:
    line = open_pty()
    link = tmp_path / "ejector"
    link.symlink_to(line.path)
    try:
        for name in (line.path, str(link)):
            assert passes(open_transport(name, clock=SystemClock()), line.transport)
    finally:
        line.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_tcp_name_opens_a_connection(host: str) -> None:
    with TcpListener("127.0.0.1") as listener:
        near = open_transport(f"tcp://{host}:{listener.address[1]}", clock=SystemClock())
        far = listener.accept(WAIT_S)
        assert passes(near, far)
        far.close()


def test_virtual_opens_a_board_on_the_clock_of_the_caller() -> None:
    clock = ManualClock()
    link = Link(open_transport("virtual", clock=clock), clock, LinkSettings(epoch_seed=1))
    assert link.connect(1.0).n_valves == 256


def test_a_host_that_does_not_answer_is_given_up_after_the_timeout() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # more than its queue takes: the next one gets no answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        with pytest.raises(TransportError, match=r"cannot be reached within 0\.05 s"):
            open_transport(f"tcp://127.0.0.1:{listener.getsockname()[1]}", clock=SystemClock(), timeout_s=0.05)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "is no absolute path, tcp://host:port or virtual"),
        ("ttyUSB0", "try /dev/ttyUSB0"),
        ("COM3", "is no absolute path"),
        ("Virtual", "is no absolute path"),
        ("udp://host:1", "is no absolute path"),
        ("tcp://host", "write tcp://host:port"),
        ("tcp://:9000", "write tcp://host:port"),
        ("tcp://host:0", "write tcp://host:port"),
        ("tcp://host:70000", "port of 1..65535"),
        ("tcp://host:abc", "port of 1..65535"),
        ("tcp://host:9000/more", "has too much"),
        ("tcp://me@host:9000", "has too much"),
        ("tcp://[::1:9000", "write tcp://host:port"),
        ("/dev/not-there", "port /dev/not-there at 921600 baud cannot be opened"),
    ],
)
def test_another_name_is_an_error_that_says_what_to_write(name: str, text: str) -> None:
    with pytest.raises(TransportError) as refusal:
        open_transport(name, clock=ManualClock())
    assert text in str(refusal.value)


def test_a_file_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(TransportError, match="cannot be opened"):
        open_transport(str(path), clock=ManualClock())


def test_the_default_rate_is_that_of_the_serial_port() -> None:
    """It stands twice because naming a virtual board must not need pyserial."""
    assert DEFAULT_BAUD == SERIAL_BAUD
