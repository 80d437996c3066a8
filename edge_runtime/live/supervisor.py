"""The supervisor: starts the processes of a run, watches them, replaces those that end, tells each what is wanted.

It holds everything that is shared, so it is the only one whose death ends the run. It sorts nothing and waits for
nothing but the next look. Knows no pixel, model or port.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from edge_runtime.errors import OverloadError, PeerGoneError
from edge_runtime.live.messages import (
    ArmingLost,
    Order,
    ProcessFailed,
    ProcessLost,
    ProcessReady,
    RecorderNews,
    Stop,
    Wish,
    decode_child_news,
    encode,
)
from edge_runtime.live.packets import wait_for
from edge_runtime.live.processes import Role, Running, start_process
from edge_runtime.live.restart_rules import GiveUp, RestartRules, RestartSettings
from edge_runtime.live.run_report import CameraReport, ProcessReport
from edge_runtime.live.shared_state import SharedState
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["Supervisor", "SupervisorSettings"]

_LOOK_S: Final = 0.02
_START_S: Final = 30.0  # a process that is not ready by then hangs, and one that waits for a disk or a client
_KILL_S: Final = 4.0  # a killed process is gone at once, unless the kernel has business with it
_MOST_LOST: Final = 64  # workers of whose end a new bridge is told
_SOURCE: Final = "capture"
_VITAL: Final = ("capture", "vision", "bridge")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """What to watch for.

    Attributes:
        machine: machine file, for the children.
        hang_s: without progress for so long a process is killed.
        stop_s: so long a process has to end when it is told to.
        restarts: when a place is given up.
    """

    machine: str
    hang_s: float
    stop_s: float
    restarts: RestartSettings


@dataclass(slots=True)
class _Place:
    """A role, and who fills it."""

    role: Role
    running: Running | None = None
    start_ns: int | None = 0  # when to start the next; None where it was given up or is not wanted
    is_given_up: bool = False
    ended: int = 0
    was_ready: bool = False
    is_trial: bool = False  # its failure is not the run's
    failure: str = ""


@dataclass(slots=True)
class _Mind:
    """What the supervisor wants, and what went wrong."""

    wish: Wish = field(default_factory=lambda: Wish(is_armed=False, feeder_permille=0))
    trouble: str = ""
    failed: ProcessFailed | None = None
    next_number: int = 1
    standby: tuple[str, ...] = ()
    lost_workers: deque[int] = field(default_factory=lambda: deque(maxlen=_MOST_LOST))


class Supervisor:
    """The processes of one run.

    Args:
        settings: what to watch for.
        shared: of the run; the caller closes it.
        clock: monotonic.
    """

    def __init__(self, settings: SupervisorSettings, shared: SharedState, clock: Clock) -> None:
        self._settings = settings
        self._shared = shared
        self._clock = clock
        self._rules = RestartRules(settings.restarts)
        self._places: list[_Place] = []
        self._mind = _Mind()

    def place(self, roles: Sequence[Role]) -> None:
        """Say which places there are, in the order in which they are stopped; sources wait for `open_sources`."""
        self._places = [_Place(role, start_ns=None if role.role == _SOURCE else 0) for role in roles]

    @property
    def failed(self) -> ProcessFailed | None:
        """Return what a process said that could not begin to work: starting it again is of no use."""
        return self._mind.failed

    @property
    def trouble(self) -> str:
        """Return what a person should look at; empty where nothing is."""
        return self._mind.trouble

    @property
    def wish(self) -> Wish:
        """Return what is wanted of the machine."""
        return self._mind.wish

    def open_sources(self) -> None:
        """Let frames come: those who sort them are there."""
        for place in self._places:
            if place.role.role == _SOURCE:
                place.start_ns = 0

    def want(self, wish: Wish) -> None:
        """Say whether the machine shall sort and how fast; it also takes back what was given up."""
        self._mind.wish = wish
        if wish.is_armed:
            self._mind.trouble = ""
            for place in self._places:
                if place.is_given_up:
                    self._rules.forget(place.role.name)
                    place.is_given_up, place.start_ns = False, 0
        self._order("bridge", wish)

    def is_ready(self, role: str) -> bool:
        """Tell whether every place of a role is filled by a process that works."""
        places = [place for place in self._places if place.role.role == role]
        return all(place.running is not None and place.running.is_ready for place in places)

    def are_ready(self, names: Sequence[str]) -> bool:
        """Tell whether each of these places is filled by a process that works."""
        places = [place for place in self._places if place.role.name in names]
        return len(places) == len(names) and all(
            place.running is not None and place.running.is_ready for place in places
        )

    def tell(self, role: str, order: Order) -> None:
        """Send an order to every process of a role; one that starts later has it in its plan."""
        self._order(role, order)

    def record(self, news: RecorderNews) -> bool:
        """Tell the recorder something in the order of what it records; tell whether there was room for it."""
        return self._shared.records.sender.send(encode(news))

    def stand_by(self, names: Sequence[str]) -> None:
        """Say which places do not sort now: their end does not stop the machine."""
        self._mind.standby = tuple(names)

    def fill(self, names: Sequence[str], roles: Sequence[Role]) -> None:
        """End the processes of these places, and put new roles in their stead; none takes the places away."""
        for place in self._places:
            if place.role.name in names and place.running is not None:
                place.running.kill()
                place.running.wait(_KILL_S)
                self._lose_worker(place.running)
                place.running.close()
        kept = [place for place in self._places if place.role.name not in names]
        at = next((i for i, place in enumerate(kept) if place.role.role == "bridge"), len(kept))
        self._places = [*kept[:at], *(_Place(role, is_trial=True) for role in roles), *kept[at:]]
        for name in names:
            self._rules.forget(name)

    def take_failure(self, names: Sequence[str]) -> str:
        """Return why one of these places, filled by `fill`, could not begin to work; empty where none failed."""
        return next((place.failure for place in self._places if place.role.name in names and place.failure), "")

    def look(self) -> None:
        """Look once at everything: ends, hangs, news; start what is due.

        Raises:
            OverloadError: the system starts no more processes.
        """
        self._wait()
        for place in self._places:
            self._look_at(place)
            self._start_if_due(place)

    def stop(self) -> None:
        """Stop the feeder, then end every process: sources first, each after it has done what was begun."""
        self._order("bridge", Wish(self._mind.wish.is_armed, feeder_permille=0))
        for role in dict.fromkeys(place.role.role for place in self._places):
            self._stop_role(role)
        for share in self._shared.cameras:  # nothing is open unless there was no bridge at the end
            share.books.abandon(share.ring.published)
            share.books.miss_below(share.ring.published)

    def cameras(self) -> tuple[CameraReport, ...]:
        """Return the books."""
        return tuple(
            CameraReport(share.camera.name, share.tally.read(), share.books.counts(share.ring.published))
            for share in self._shared.cameras
        )

    def processes(self) -> tuple[ProcessReport, ...]:
        """Return who fills which place."""
        return tuple(
            ProcessReport(
                place.role.name,
                place.running.pid if place.running else 0,
                self._shared.vitals.row(place.role.row).read().state if place.running else "absent",
                place.ended,
            )
            for place in self._places
        )

    def _wait(self) -> None:
        processes = [place.running for place in self._places if place.running is not None]
        wait_for([running.control for running in processes if not running.is_gone], _LOOK_S)

    def _look_at(self, place: _Place) -> None:
        running = place.running
        if running is None:
            return
        how = running.ended()
        self._hear(place, running)  # after the question whether it has ended: then these are its last words
        if how is None and self._hangs(running):
            how = "no progress"
            running.kill()
            running.wait(_KILL_S)
        if how is not None:
            self._bury(place, running, how)

    def _hear(self, place: _Place, running: Running) -> None:
        try:
            while (message := running.control.receive()) is not None:
                match decode_child_news(message):
                    case ProcessReady(refused=refused):
                        running.is_ready = place.was_ready = True
                        _log.info("run.ready", name=running.role.name, pid=running.pid, refused=refused)
                        if running.role.role == "bridge":
                            self._brief(running)
                    case ProcessFailed() as failed:
                        self._take_failed(place, failed)
                    case ArmingLost(detail=detail):
                        self._mind.wish = Wish(is_armed=False, feeder_permille=0)
                        self._mind.trouble = detail
        except PeerGoneError:
            running.is_gone = True  # it ends, which the system tells too; its socket would wake us again and again

    def _brief(self, bridge: Running) -> None:
        """Tell a new bridge what is wanted, and which workers nobody told the one before it of."""
        for number in self._mind.lost_workers:
            bridge.control.send(encode(ProcessLost(number)))
        bridge.control.send(encode(self._mind.wish))

    def _take_failed(self, place: _Place, failed: ProcessFailed) -> None:
        _log.error("run.failed", name=place.role.name, text=failed.text)
        place.failure = failed.text
        if not (place.was_ready or place.is_trial):
            self._mind.failed = failed
        elif place.was_ready and place.role.name not in self._mind.standby:  # the rules of restarting judge it
            self._mind.trouble = failed.text

    def _lose_worker(self, worker: Running) -> None:
        self._mind.lost_workers.append(worker.number)
        self._order("bridge", ProcessLost(worker.number))

    def _hangs(self, running: Running) -> bool:
        row = self._shared.vitals.row(running.role.row).read()
        is_quick = running.role.role in _VITAL and row.state == "working"  # the others wait for disks and clients
        limit_s = self._settings.hang_s if is_quick else _START_S
        return self._clock.monotonic_ns() - max(row.beaten_ns, running.started_ns) > limit_s * NS_PER_S

    def _bury(self, place: _Place, running: Running, how: str) -> None:
        now_ns = self._clock.monotonic_ns()
        place.running, place.ended = None, place.ended + 1
        running.close()
        _log.error("run.ended", name=place.role.name, pid=running.pid, how=how)
        if place.is_trial and not place.was_ready:
            place.failure, place.start_ns = place.failure or how, None
            return
        if place.role.role == "vision":
            self._lose_worker(running)
        if place.role.role == "bridge":  # it cannot tell any more that the controller is safe without it
            self._shared.vitals.is_armed, self._shared.vitals.feeder_permille = False, 0
        match self._rules.on_exit(now_ns, place.role.name, how):
            case GiveUp(detail=detail):
                place.is_given_up, place.start_ns = True, None
                _log.error("run.given_up", name=place.role.name, detail=detail)
                if place.role.role in _VITAL and place.role.name not in self._mind.standby:
                    self._mind.trouble = detail
                    self._mind.wish = Wish(is_armed=False, feeder_permille=0)
                    self._order("bridge", self._mind.wish)
            case restart:
                place.start_ns = now_ns + restart.after_ms * 1_000_000

    def _start_if_due(self, place: _Place) -> None:
        now_ns = self._clock.monotonic_ns()
        if place.running is not None or place.start_ns is None or now_ns < place.start_ns:
            return
        number, self._mind.next_number = self._mind.next_number, self._mind.next_number + 1
        self._shared.vitals.row(place.role.row).start(pid=0, now_ns=now_ns)
        try:
            running = start_process(
                place.role, number, machine=self._settings.machine, vitals_fd=self._shared.vitals.memory.fd
            )
        except OSError as error:
            raise OverloadError(f"{place.role.name} cannot be started: {error.strerror}") from error
        running.started_ns = now_ns
        place.running = running

    def _order(self, role: str, order: Order) -> None:
        for place in self._places:
            if place.role.role == role and place.running is not None:
                try:
                    place.running.control.send(encode(order))
                except PeerGoneError:
                    continue  # it has ended: its successor is told everything that still counts

    def _stop_role(self, role: str) -> None:
        self._order(role, Stop())
        for place in self._places:
            if place.role.role == role and place.running is not None:
                if not place.running.wait(self._settings.stop_s):
                    _log.error("run.does_not_stop", name=place.role.name)
                    place.running.kill()
                    place.running.wait(_KILL_S)
                self._hear(place, place.running)
                place.running.close()
                place.running, place.start_ns = None, None
