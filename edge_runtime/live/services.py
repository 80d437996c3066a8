"""The services process: metrics and status on loopback, read from shared memory whenever somebody asks.

| path | gives |
|---|---|
| /metrics | Prometheus' text format |
| /status | the run's report as JSON, what `sortloop-edge status` shows |
| /healthz | 200 while the run needs nobody, else 503 and why |

It keeps nothing and nobody waits for it. A port that is in use is told in the log and tried again: sorting goes on.
"""

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edge_runtime.errors import ConfigError, OverloadError
from edge_runtime.live.books import FrameBooks
from edge_runtime.live.bulletin import Bulletin
from edge_runtime.live.camera_tally import CameraTally
from edge_runtime.live.child import Child, ChildPlan
from edge_runtime.live.frame_ring import FrameRing
from edge_runtime.live.http_server import HttpServer
from edge_runtime.live.http_text import Answer
from edge_runtime.live.messages import Stop
from edge_runtime.live.metrics import ProcessSeen, Seen, metrics_text
from edge_runtime.live.run_report import CameraReport, LiveReport
from edge_runtime.live.shared_memory import SharedMemory
from edge_runtime.machine_file import load_machine
from firmware_bridge.clock import NS_PER_S

__all__ = ["PlaceRow", "RunView", "ServicesPlan", "answer_for", "run_services"]

_LOOK_S: Final = 0.1
_PORT_S: Final = 2.0  # a port in use is tried again after that
_STALE_S: Final = 3.0  # the supervisor reports every second
_NICE: Final = 5  # of a board whose processes have no real-time priority, those that sort come first
_VERSION: Final = "text/plain; version=0.0.4; charset=utf-8"
_log = structlog.get_logger(__name__)


class PlaceRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place of the run, and its row in the vitals."""

    name: str
    row: int


class ServicesPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the services process gets from the supervisor.

    Attributes:
        child: see `ChildPlan`.
        bulletin_fd: where the supervisor posts the run's report.
        ring_fds, books_fds, tally_fds: of each camera, in the machine's order.
        places: that the run may have; those that it has are in its report.
    """

    child: ChildPlan
    bulletin_fd: int
    ring_fds: tuple[int, ...]
    books_fds: tuple[int, ...]
    tally_fds: tuple[int, ...]
    places: tuple[PlaceRow, ...]


def run_services(plan: ServicesPlan, child: Child) -> None:
    """Answer until told to stop.

    Raises:
        ConfigError: the machine file is wrong.
        PeerGoneError: the supervisor is gone.
    """
    machine = load_machine(Path(plan.child.machine))
    view = RunView(plan, child, [camera.name for camera in machine.cameras])
    door = _Door(machine.live.metrics_port, lambda path: answer_for(path, view), child)
    child.ready()
    gc.enable()  # answers make cycles, and nobody waits for this process
    os.nice(_NICE)
    try:
        while not any(isinstance(order, Stop) for order in child.orders()):
            child.beat()
            door.serve()
        child.stopping()
    finally:
        door.close()


def answer_for(path: str, view: "RunView") -> Answer:
    """Return what a path gives; 503 where the run has not reported yet, or its books do not hold still."""
    try:
        seen = view.read()
    except OverloadError as error:
        return Answer(503, f"{error}\n")
    match path:
        case "/metrics":
            return Answer(200, metrics_text(seen), _VERSION)
        case "/status" if seen.report is not None:
            return Answer(200, msgspec.json.encode(seen.report).decode(), "application/json")
        case "/healthz" if seen.report is not None:
            return Answer(503, f"{seen.report.trouble}\n") if seen.report.trouble else Answer(200, "ok\n")
        case "/status" | "/healthz":
            return Answer(503, "the run has not reported yet\n")
        case _:
            return Answer(404, "there are /metrics, /status and /healthz\n")


class RunView:
    """A run as shared memory tells of it.

    Args:
        plan: where to read.
        child: of this process.
        cameras: names in the machine's order.
    """

    def __init__(self, plan: ServicesPlan, child: Child, cameras: list[str]) -> None:
        self._child = child
        self._cameras = cameras
        self._places = plan.places
        self._bulletin = Bulletin(SharedMemory.attach(plan.bulletin_fd))
        self._rings = [FrameRing(SharedMemory.attach(fd)) for fd in plan.ring_fds]
        self._books = [FrameBooks(SharedMemory.attach(fd)) for fd in plan.books_fds]
        self._tallies = [CameraTally(SharedMemory.attach(fd)) for fd in plan.tally_fds]

    def read(self) -> Seen:
        """Return the run at this moment; what only the supervisor knows is up to a second old.

        Raises:
            OverloadError: the books change faster than they can be read.
        """
        now_ns, vitals = self._child.clock.monotonic_ns(), self._child.vitals
        report, age_s = self._report(now_ns)
        there = set() if report is None else {one.name for one in report.processes}
        processes = [self._process(place, now_ns) for place in self._places if place.name in there]
        return Seen(report, age_s, vitals.lag_ns / NS_PER_S, processes)

    def _report(self, now_ns: int) -> tuple[LiveReport | None, float]:
        posted = self._bulletin.read()
        if posted is None:
            return None, 0.0
        said, age_s = msgspec.json.decode(posted.text, type=LiveReport), (now_ns - posted.posted_ns) / NS_PER_S
        trouble = said.trouble
        if age_s > _STALE_S:
            trouble = f"the supervisor has said nothing for {age_s:.0f} s; {trouble}".removesuffix("; ")
        vitals = self._child.vitals
        report = msgspec.structs.replace(
            said,
            seconds=said.seconds + age_s,
            is_armed=vitals.is_armed,
            level=int(vitals.level),
            feeder_permille=vitals.feeder_permille,
            cameras=self._camera_reports(),
            trouble=trouble,
        )
        return report, age_s

    def _camera_reports(self) -> tuple[CameraReport, ...]:
        shares = zip(self._cameras, self._rings, self._books, self._tallies, strict=True)
        return tuple(
            CameraReport(name, tally.read(), books.counts(ring.published)) for name, ring, books, tally in shares
        )

    def _process(self, place: PlaceRow, now_ns: int) -> ProcessSeen:
        row = self._child.vitals.row(place.row).read()
        return ProcessSeen(place.name, row.progress, max(0, now_ns - row.beaten_ns) / NS_PER_S)


class _Door:
    """The server, as soon as its port is free."""

    def __init__(self, port: int, page: Callable[[str], Answer], child: Child) -> None:
        self._port = port
        self._page = page
        self._child = child
        self._server: HttpServer | None = None
        self._try_ns = child.clock.monotonic_ns()

    def serve(self) -> None:
        """Answer who is there; wait a little for one, or for an order."""
        if self._server is None:
            self._open()
        if self._server is None:
            self._child.wait([], _LOOK_S)
        else:
            self._server.serve(_LOOK_S, [self._child.control_fd])

    def close(self) -> None:
        """Send everybody away."""
        if self._server is not None:
            self._server.close()

    def _open(self) -> None:
        now_ns = self._child.clock.monotonic_ns()
        if now_ns < self._try_ns:
            return
        self._try_ns = now_ns + round(_PORT_S * NS_PER_S)
        try:
            self._server = HttpServer(self._port, self._page, self._child.clock)
        except ConfigError as error:
            _log.error("services.no_port", error=str(error))
        else:
            _log.info("services.listening", port=self._server.port)
