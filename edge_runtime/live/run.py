"""A whole live run: from a machine file to a report. What `sortloop-edge run` does."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edge_runtime.errors import ConfigError
from edge_runtime.live.bridge import BridgePlan
from edge_runtime.live.capture import CapturePlan
from edge_runtime.live.child import ChildPlan
from edge_runtime.live.messages import Wish
from edge_runtime.live.processes import Role
from edge_runtime.live.recorder import RecorderPlan
from edge_runtime.live.restart_rules import RestartSettings
from edge_runtime.live.run_report import RunReport
from edge_runtime.live.shared_state import SharedState
from edge_runtime.live.supervisor import Supervisor, SupervisorSettings
from edge_runtime.live.vision import VisionPlan
from edge_runtime.model import load_model_folder
from edge_runtime.realtime import RealtimeSettings
from edge_runtime.schemas import Machine
from edge_runtime.setup import load_machine, recipe_origin
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["LiveRun", "RunWish"]

_FULL: Final = 1000
_ORDINARY: Final = RealtimeSettings(is_memory_locked=False)
_log = structlog.get_logger(__name__)


class RunWish(msgspec.Struct, frozen=True):
    """What a person asks for.

    Attributes:
        machine: machine file.
        model: model folder; None takes the machine's.
        is_armed: let the valves fire and the feeder run.
        lot: name of the lot in the records.
        teach_class: every piece is of this class: the valves stay shut and what is decided otherwise is recorded (T0).
        purity: share of the lot that truly is of that class.
        recording: folder for every frame and the digest of the decisions; None records no frames.
        for_s: end after so long; None goes on until told.
    """

    machine: Path
    model: Path | None = None
    is_armed: bool = False
    lot: str = "live"
    teach_class: str = ""
    purity: float = 1.0
    recording: Path | None = None
    for_s: float | None = None


class LiveRun:
    """One run.

    Args:
        wish: what is asked for.
        clock: monotonic, the system's.

    Raises:
        ConfigError: the machine file or the recipe is wrong, a camera has no source, or a model is missing.
        ModelFolderError: the model folder is not whole.
        OverloadError: there is not enough memory for the rings.
    """

    def __init__(self, wish: RunWish, clock: Clock) -> None:
        self._wish = wish
        self._clock = clock
        self._machine = load_machine(wish.machine)
        self._model = (wish.model or wish.machine.parent / self._machine.live.model).resolve()
        self._state = (wish.machine.parent / self._machine.live.state).resolve()
        _check_sources(wish, self._machine)
        folder = load_model_folder(self._model)
        self._origin = recipe_origin(folder, folder.recipe, self._machine.name, wish.lot)
        roles_count = len(self._machine.cameras) + 2 * self._machine.live.workers + 3
        self._shared = SharedState.create(
            self._machine, bands=folder.recipe.crop.channels, rows=roles_count, channels=2
        )
        live = self._machine.live
        settings = SupervisorSettings(
            str(wish.machine.resolve()), live.hang_s, RestartSettings(most_exits=live.restarts_a_minute)
        )
        self._supervisor = Supervisor(settings, self._shared, self._roles(), clock)
        self._began_ns = clock.monotonic_ns()

    def run(self, should_stop: Callable[[], bool]) -> RunReport:
        """Sort until told to stop, or until the run's time is over.

        Args:
            should_stop: asked some fifty times a second.

        Raises:
            OverloadError: the system starts no more processes.
            ConfigError: a process cannot work with these settings; the message is its own.
        """
        is_begun = False
        while not should_stop() and not self._is_over():
            self._supervisor.look()
            if self._supervisor.failed is not None:
                break
            if not is_begun and all(map(self._supervisor.is_ready, ("bridge", "vision", "recorder"))):
                is_begun = True
                self._supervisor.open_sources()
                self._supervisor.want(self._first_wish())
        self._supervisor.stop()
        report = self.report()
        failed = self._supervisor.failed
        self._shared.close()
        if failed is not None:
            raise ConfigError(f"a process of the run cannot work:\n{failed.text}")
        return report

    def report(self) -> RunReport:
        """Return the run as it is now."""
        vitals = self._shared.vitals
        return RunReport(
            machine=self._machine.name,
            model_id=self._origin.model_id,
            seconds=(self._clock.monotonic_ns() - self._began_ns) / NS_PER_S,
            is_armed=vitals.is_armed,
            wants_armed=self._supervisor.wish.is_armed,
            level=int(vitals.level),
            feeder_permille=vitals.feeder_permille,
            cameras=self._supervisor.cameras(),
            processes=self._supervisor.processes(),
            trouble=self._supervisor.trouble,
        )

    def _first_wish(self) -> Wish:
        """Return what to begin with: in a teach lot the feeder runs and the valves stay shut."""
        is_armed = self._wish.is_armed and not self._wish.teach_class
        return Wish(is_armed, _FULL if self._wish.is_armed else 0)

    def _is_over(self) -> bool:
        limit_s = self._wish.for_s
        return limit_s is not None and self._clock.monotonic_ns() - self._began_ns > limit_s * NS_PER_S

    def _roles(self) -> list[Role]:
        """Return every place of the run, sources first."""
        live, shared, row = self._machine.live, self._shared, 0
        roles: list[Role] = []
        for index in range(len(shared.cameras)):
            roles.append(self._capture_role(index, row))
            row += 1
        for worker in range(live.workers):
            roles.append(self._vision_role(worker, row))
            row += 1
        return [*roles, self._bridge_role(row), self._recorder_role(row + 1)]

    def _capture_role(self, index: int, row: int) -> Role:
        share = self._shared.cameras[index]
        ring_fd, tally_fd = share.ring.memory.fd, share.tally.memory.fd
        frames = tuple(pair.sender.fileno() for pair in self._shared.frames)

        def plan(child: ChildPlan) -> CapturePlan:
            return CapturePlan(child, index, ring_fd, tally_fd, frames)

        realtime = self._realtime(self._machine.live.capture_cores, index, below=1)
        return Role(f"capture-{share.camera.name}", "capture", row, realtime, plan, (ring_fd, tally_fd, *frames))

    def _vision_role(self, worker: int, row: int) -> Role:
        rings = tuple(share.ring.memory.fd for share in self._shared.cameras)
        frames_fd, news_fd = self._shared.frames[0].receiver.fileno(), self._shared.news.sender.fileno()
        record_fd, records_fd = self._shared.record_rings[worker].memory.fd, self._shared.records.sender.fileno()
        model = str(self._model)

        def plan(child: ChildPlan) -> VisionPlan:
            return VisionPlan(child, model, rings, frames_fd, news_fd, worker, record_fd, records_fd)

        realtime = self._realtime(self._machine.live.vision_cores, worker, below=2)
        fds = (*rings, frames_fd, news_fd, record_fd, records_fd)
        return Role(f"vision-{worker}", "vision", row, realtime, plan, fds)

    def _bridge_role(self, row: int) -> Role:
        rings = tuple(share.ring.memory.fd for share in self._shared.cameras)
        books = tuple(share.books.memory.fd for share in self._shared.cameras)
        news_fd = self._shared.news.receiver.fileno()

        def plan(child: ChildPlan) -> BridgePlan:
            return BridgePlan(child, rings, books, news_fd)

        realtime = self._realtime(self._machine.live.bridge_cores, 0, below=0)
        return Role("bridge", "bridge", row, realtime, plan, (*rings, *books, news_fd))

    def _recorder_role(self, row: int) -> Role:
        rings = tuple(share.ring.memory.fd for share in self._shared.cameras)
        records = tuple(ring.memory.fd for ring in self._shared.record_rings)
        records_fd, wish = self._shared.records.receiver.fileno(), self._wish
        spool = str(self._state / "spool")
        recordings = iter([] if wish.recording is None else [str(wish.recording.resolve())])
        truth = (wish.teach_class, wish.purity)

        def plan(child: ChildPlan) -> RecorderPlan:
            recording = next(recordings, "")  # one that was cut by a kill is not gone on with
            return RecorderPlan(child, rings, records, records_fd, spool, self._origin, *truth, recording)

        return Role("recorder", "recorder", row, _ORDINARY, plan, (*rings, *records, records_fd))

    def _realtime(self, cores: tuple[int, ...], index: int, *, below: int) -> RealtimeSettings:
        priority = self._machine.live.priority
        core = cores[index] if index < len(cores) else None
        return RealtimeSettings(core, max(1, priority - below) if priority else 0)


def _check_sources(wish: RunWish, machine: Machine) -> None:
    silent = [camera.name for camera in machine.cameras if not camera.source]
    if silent:
        raise ConfigError(f'{wish.machine}: camera {silent[0]} has no source; connect it: source = "v4l2:/dev/video0"')
    if not machine.port:
        raise ConfigError(f'{wish.machine}: no port of the controller; name it: port = "/dev/ejector"')
