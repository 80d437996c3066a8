"""One contract for every Transport: memory pair, serial port over a pseudo-terminal, its other end, TCP, a recorder."""

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from firmware_bridge.board_shell import open_pty
from firmware_bridge.clock import ManualClock, SystemClock
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.errors import LinkTimeoutError, TransportClosedError, TransportError
from firmware_bridge.messages import PROTOCOL_VERSION, Hello
from firmware_bridge.traffic_file import TrafficWriter
from firmware_bridge.transport import Transport
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.transport_memory import memory_pair
from firmware_bridge.transport_recording import RecordingTransport
from firmware_bridge.transport_serial import open_serial
from firmware_bridge.transport_tcp import TcpListener, open_tcp
from firmware_bridge.virtual_board import VirtualBoard

WAIT_S = 5.0  # a limit for a broken implementation, never waited for by a good one


@dataclass
class Line:
    """Two ends and how to break the far one."""

    near: Transport
    far: Transport
    hang_up: Callable[[], None]


def memory_line() -> Line:
    near, far = memory_pair()
    return Line(near, far, far.close)


def virtual_time_line() -> Line:
    near, far = memory_pair(ManualClock())
    return Line(near, far, far.close)


def serial_line() -> Line:
    pty = open_pty()
    return Line(open_serial(pty.path), pty.transport, pty.close)


def pty_line() -> Line:
    """The board's end is the one tested."""
    pty = open_pty()
    near = open_serial(pty.path)

    def hang_up() -> None:
        near.close()
        pty.close()

    return Line(pty.transport, near, hang_up)


def tcp_line() -> Line:
    with TcpListener("127.0.0.1") as listener:
        near = open_tcp(*listener.address)
        far = listener.accept(WAIT_S)
    return Line(near, far, far.close)


def tcp_server_line() -> Line:
    """The listener's end is the one tested."""
    line = tcp_line()
    return Line(line.far, line.near, line.near.close)


def recorded_line() -> Line:
    line = memory_line()
    clock = SystemClock()
    return Line(RecordingTransport(line.near, clock, TrafficWriter(io.BytesIO(), clock)), line.far, line.hang_up)


LINES = (memory_line, virtual_time_line, serial_line, pty_line, tcp_line, tcp_server_line, recorded_line)


@pytest.fixture(params=LINES, ids=lambda make: make.__name__)
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    made: Line = request.param()
    yield made
    made.near.close()
    made.hang_up()


def read_exactly(transport: Transport, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = transport.read(count - len(data), WAIT_S)
        assert piece, f"nothing after {len(data)} of {count} B"
        data += piece
    return data


def test_every_byte_value_passes_unchanged_both_ways(line: Line) -> None:
    every = bytes(range(256)) * 4
    line.near.write(every)
    assert every == read_exactly(line.far, len(every))
    line.far.write(every)
    assert every == read_exactly(line.near, len(every))


def test_read_gives_at_most_what_is_asked_and_keeps_the_rest(line: Line) -> None:
    line.far.write(b"abcdef")
    assert read_exactly(line.near, 2) == b"ab"
    assert line.near.read(1, WAIT_S) == b"c"
    assert read_exactly(line.near, 3) == b"def"


def test_read_without_bytes_gives_nothing(line: Line) -> None:
    assert line.near.read(10, 0.0) == b""
    assert line.near.read(10, 0.01) == b""


def test_writing_nothing_is_allowed(line: Line) -> None:
    line.near.write(b"")
    assert line.far.read(10, 0.0) == b""


def test_many_bytes_pass_between_two_threads(line: Line) -> None:
    block = bytes(range(256)) * 16

    def write_all() -> None:
        for _ in range(20):
            line.near.write(block)

    writer = threading.Thread(target=write_all)
    writer.start()
    received = read_exactly(line.far, 20 * len(block))
    writer.join(WAIT_S)
    assert block * 20 == received


def test_use_after_close_is_an_error_and_a_second_close_is_none(line: Line) -> None:
    line.near.close()
    line.near.close()
    with pytest.raises(TransportClosedError):
        line.near.read(1, 0.0)
    with pytest.raises(TransportClosedError):
        line.near.write(b"x")


def test_a_far_end_that_hangs_up_is_told_to_the_reader_and_the_writer(line: Line) -> None:
    line.hang_up()
    with pytest.raises(TransportClosedError):
        for _ in range(3):  # what was on its way may still come
            line.near.read(100, 0.05)
    with pytest.raises(TransportClosedError):
        line.near.write(b"x")


def test_what_was_written_before_the_close_is_still_read_in_memory() -> None:
    near, far = memory_pair()
    far.write(b"last words")
    far.close()
    assert near.read(100, 0.0) == b"last words"
    with pytest.raises(TransportClosedError):
        near.read(100, 0.0)


def test_a_blocked_reader_in_memory_wakes_up_at_close() -> None:
    near, far = memory_pair()
    failures: list[TransportError] = []

    def wait() -> None:
        try:
            near.read(1, WAIT_S)
        except TransportClosedError as error:
            failures.append(error)

    reader = threading.Thread(target=wait)
    reader.start()
    far.close()
    reader.join(WAIT_S)
    assert len(failures) == 1


def test_waiting_in_virtual_time_advances_the_clock() -> None:
    clock = ManualClock()
    near, _ = memory_pair(clock)
    assert near.read(1, 0.25) == b""
    assert clock.monotonic_ns() == 250_000_000


@pytest.mark.parametrize("clock", [ManualClock(), SystemClock()], ids=lambda clock: type(clock).__name__)
def test_a_board_transport_answers_a_hello_and_times_out_in_its_clock(clock: ManualClock | SystemClock) -> None:
    transport = BoardTransport(VirtualBoard(), clock)
    start_ns = clock.monotonic_ns()
    assert transport.read(100, 0.01) == b""
    assert clock.monotonic_ns() - start_ns >= 10_000_000
    host = Endpoint(is_host=True)
    transport.write(host.encode_session(Hello(PROTOCOL_VERSION, PROTOCOL_VERSION, 0x1234, 250), 7))
    assert [item.seq for item in host.receive(read_exactly(transport, 70), 0)] == [7]
    transport.close()
    with pytest.raises(TransportClosedError):
        transport.read(1, 0.0)
    with pytest.raises(TransportClosedError):
        transport.write(b"x")


def test_a_port_is_opened_exclusively() -> None:
    pty = open_pty()
    first = open_serial(pty.path)
    try:
        with pytest.raises(TransportError, match="cannot be opened"):
            open_serial(pty.path)
    finally:
        first.close()
        pty.close()


def test_a_missing_port_and_a_wrong_rate_name_the_port() -> None:
    with pytest.raises(TransportError, match=r"port /dev/not-there at 921600 baud cannot be opened"):
        open_serial("/dev/not-there")
    with pytest.raises(TransportError, match="at -5 baud"):
        open_serial("/dev/not-there", baud=-5)


def test_a_port_that_nobody_reads_fails_in_time_instead_of_blocking() -> None:
    pty = open_pty()
    port = open_serial(pty.path, write_timeout_s=0.05)
    try:
        with pytest.raises(TransportError, match=r"not taken within 0\.05 s"):
            port.write(bytes(1 << 20))
    finally:
        port.close()
        pty.close()


@pytest.mark.parametrize("make", [tcp_line, tcp_server_line], ids=lambda make: make.__name__)
def test_a_peer_that_reads_nothing_fails_the_writer_in_time_and_is_still_there(make: Callable[[], Line]) -> None:
    line = make()
    try:
        with pytest.raises(TransportError, match=r"B not taken within 1\.0 s") as failure:
            line.near.write(bytes(1 << 25))
        assert not isinstance(failure.value, TransportClosedError)
        assert line.far.read(10, WAIT_S) == bytes(10)
    finally:
        line.near.close()
        line.far.close()


def test_what_a_tcp_peer_wrote_before_it_hung_up_is_still_read() -> None:
    line = tcp_line()
    line.far.write(b"last words")
    line.far.close()
    assert read_exactly(line.near, 10) == b"last words"
    with pytest.raises(TransportClosedError, match="hung up"):
        line.near.read(1, WAIT_S)
    line.near.close()


def test_peers_are_served_one_after_another() -> None:
    with TcpListener("127.0.0.1") as listener:
        first, second = open_tcp(*listener.address), open_tcp(*listener.address)
        served = listener.accept(WAIT_S)
        second.write(b"second")
        first.write(b"first")
        assert read_exactly(served, 5) == b"first"
        served.close()
        served = listener.accept(WAIT_S)
        assert read_exactly(served, 6) == b"second"
        for transport in (first, second, served):
            transport.close()


def test_a_listener_without_peers_and_a_closed_one_say_so() -> None:
    listener = TcpListener("127.0.0.1")
    with pytest.raises(LinkTimeoutError, match=r"nobody connected to tcp://127\.0\.0\.1:\d+ within 0\.01 s"):
        listener.accept(0.01)
    listener.close()
    listener.close()
    with pytest.raises(TransportClosedError, match="used after close"):
        listener.accept(0.0)


def test_an_address_where_nobody_listens_and_one_in_use_are_named() -> None:
    with TcpListener("127.0.0.1") as listener:
        host, port = listener.address
        with pytest.raises(TransportError, match=rf"cannot listen at tcp://127\.0\.0\.1:{port}"):
            TcpListener(host, port)
    with pytest.raises(TransportError, match=rf"tcp://127\.0\.0\.1:{port} cannot be reached within 0\.5 s"):
        open_tcp(host, port, connect_timeout_s=0.5)


@pytest.mark.parametrize("port", [-1, 65_536, 10**9])
def test_a_port_number_out_of_range_is_an_error_of_the_transport(port: int) -> None:
    with pytest.raises(TransportError):
        open_tcp("127.0.0.1", port)
    with pytest.raises(TransportError):
        TcpListener("127.0.0.1", port)
