"""The services process: a whole one on a free port, with clients that hang, and with its port taken."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import msgspec
import numpy as np
import pytest
from live_reports import report_of

from edge_runtime.errors import NoRunError
from edge_runtime.live.books import FrameBooks
from edge_runtime.live.bulletin import Bulletin
from edge_runtime.live.camera_tally import CameraTally
from edge_runtime.live.child import ChildPlan
from edge_runtime.live.frame_ring import FrameRing, RingShape
from edge_runtime.live.messages import ProcessReady, Stop, decode_child_news, encode
from edge_runtime.live.packets import wait_for
from edge_runtime.live.processes import Role, Running, start_process
from edge_runtime.live.run_report import LiveReport
from edge_runtime.live.services import PlaceRow, ServicesPlan
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.live.status_client import ask_status
from edge_runtime.live.vitals import Vitals
from edge_runtime.realtime import RealtimeSettings
from firmware_bridge.clock import SystemClock

MACHINE: Final = """name = "desk"
[[camera]]
name = "top"
[[lane]]
valve = 0
from_mm = 0.0
to_mm = 5.0
[live]
metrics_port = {port}
"""
PATIENCE_S: Final = 20.0


@dataclass
class Shared:
    """What a run of one camera shares with the services process."""

    vitals: Vitals = field(default_factory=lambda: Vitals.create(rows=2))
    bulletin: Bulletin = field(default_factory=Bulletin.create)
    ring: FrameRing = field(default_factory=lambda: FrameRing.create("top", RingShape(3, 2, 16, 1)))
    books: FrameBooks = field(default_factory=lambda: FrameBooks.create("top"))
    tally: CameraTally = field(default_factory=lambda: CameraTally(SharedMemory.create("tally", CameraTally.SIZE_B)))

    def role(self) -> Role:
        fds = [one.memory.fd for one in (self.bulletin, self.ring, self.books, self.tally)]

        def plan(child: ChildPlan) -> ServicesPlan:
            places = (PlaceRow("bridge", 0), PlaceRow("services", 1))
            return ServicesPlan(child, fds[0], (fds[1],), (fds[2],), (fds[3],), places)

        return Role("services", "services", 1, RealtimeSettings(is_memory_locked=False), plan, tuple(fds))


@contextmanager
def services(shared: Shared, tmp_path: Path, port: int) -> Iterator[Running]:
    machine = tmp_path / "machine.toml"
    machine.write_text(MACHINE.format(port=port), encoding="utf-8")
    running = start_process(shared.role(), 1, machine=str(machine), vitals_fd=shared.vitals.memory.fd)
    try:
        assert wait_for([running.control], PATIENCE_S), "it said nothing"
        message = running.control.receive()
        assert message is not None
        assert isinstance(decode_child_news(message), ProcessReady)
        yield running
    finally:
        running.kill()
        running.wait(PATIENCE_S)
        running.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def eventually(ask: Callable[[], LiveReport]) -> LiveReport:
    clock, error = SystemClock(), NoRunError("never asked")
    end_ns = clock.monotonic_ns() + round(PATIENCE_S * 1e9)
    while clock.monotonic_ns() < end_ns:
        try:
            return ask()
        except NoRunError as found:
            error = found
    raise error


def test_slow_clients_cost_the_others_nothing_and_books_are_those_of_the_moment(tmp_path: Path) -> None:
    shared, port = Shared(), free_port()
    with ExitStack() as stack, services(shared, tmp_path, port):
        shared.bulletin.post(msgspec.json.encode(report_of()), now_ns=SystemClock().monotonic_ns())
        eventually(lambda: ask_status(port))
        for _ in range(8):  # they connect and ask for half a page, or for a page that they never read
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
            slow.sendall(b"GET /metrics HT")
        shared.books.miss(0, "late")
        shared.books.decide(1, objects=5, passed=3, ends={"fired": 2})
        for _ in range(2):
            shared.ring.write(np.zeros((2, 16, 1), np.uint8), first_line=0, frame_id=0, exposed_ns=0)
        status, metrics = fetch(port, "/metrics")
        assert status == 200
        assert 'sortloop_frames_total{camera="top",reason="late",verdict="missing"} 1.0' in metrics
        assert 'sortloop_objects_total{camera="top",end="fired"} 2.0' in metrics
        assert 'sortloop_process_progress_total{process="services"}' in metrics
        assert ask_status(port).cameras[0].counts.objects == 5


def test_stop_ends_it_and_gives_the_port_back(tmp_path: Path) -> None:
    shared, port = Shared(), free_port()
    with services(shared, tmp_path, port) as running:
        running.control.send(encode(Stop()))
        assert running.wait(PATIENCE_S)
        assert running.ended() == "exit 0"
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))


def test_port_in_use_is_told_and_taken_once_it_is_free(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shared, port = Shared(), free_port()
    shared.bulletin.post(msgspec.json.encode(report_of()), now_ns=SystemClock().monotonic_ns())
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        with services(shared, tmp_path, port) as running:
            before = shared.vitals.row(1).read().progress
            while shared.vitals.row(1).read().progress < before + 3:
                assert running.ended() is None
            holder.close()
            assert eventually(lambda: ask_status(port)).machine == "desk"
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    told = [line for line in lines if line["event"] == "services.no_port"]
    assert f"port {port} is in use" in told[0]["error"]
    assert (told[0]["process"], told[0]["process_id"]) == ("services", running.pid)


def test_health_is_what_a_person_should_look_at(tmp_path: Path) -> None:
    shared, port, clock = Shared(), free_port(), SystemClock()
    with services(shared, tmp_path, port):
        with pytest.raises(NoRunError, match="not reported yet"):
            eventually_503(port)
        shared.bulletin.post(msgspec.json.encode(report_of()), now_ns=clock.monotonic_ns())
        assert fetch(port, "/healthz") == (200, "ok\n")
        shared.bulletin.post(msgspec.json.encode(report_of(trouble="no air")), now_ns=clock.monotonic_ns())
        assert fetch(port, "/healthz") == (503, "no air\n")
        shared.bulletin.post(msgspec.json.encode(report_of()), now_ns=clock.monotonic_ns() - 60_000_000_000)
        assert fetch(port, "/healthz") == (503, "the supervisor has said nothing for 60 s\n")
        assert fetch(port, "/nothing")[0] == 404


def eventually_503(port: int) -> None:
    """Ask until the port is open; the run has not reported."""
    clock = SystemClock()
    end_ns = clock.monotonic_ns() + round(PATIENCE_S * 1e9)
    while clock.monotonic_ns() < end_ns:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE_S):
            break
    ask_status(port)
