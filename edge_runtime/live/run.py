"""A whole live run: from a machine file to a report. What `sortloop-edge run` does."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from edge_runtime.errors import CameraError, ConfigError, EdgeError, ModelFolderError, OverloadError, StorageError
from edge_runtime.live.commands import (
    Arm,
    Back,
    Command,
    CommandReply,
    CommandSocket,
    Disarm,
    Look,
    Swap,
)
from edge_runtime.live.firing import flight_ns
from edge_runtime.live.messages import Wish
from edge_runtime.live.model_sets import ModelSet, ModelSets
from edge_runtime.live.processes import Role
from edge_runtime.live.restart_rules import RestartSettings
from edge_runtime.live.roles import SETS, RecordWish, Roles, rows_of
from edge_runtime.live.run_diary import RunDiary
from edge_runtime.live.run_report import LiveReport
from edge_runtime.live.run_reporter import RunReporter
from edge_runtime.live.shared_state import SharedState
from edge_runtime.live.supervisor import Supervisor, SupervisorSettings
from edge_runtime.machine_file import load_machine
from edge_runtime.model import load_model_folder
from edge_runtime.residual import Origin
from edge_runtime.schemas import Machine
from edge_runtime.setup import recipe_origin
from firmware_bridge.clock import NS_PER_S, Clock

__all__ = ["COMMAND_SOCKET", "LiveRun", "RunWish", "command_socket"]

COMMAND_SOCKET: Final = "commands.sock"
_FULL: Final = 1000
_WRITE_NS: Final = NS_PER_S // 2
_MORE_STOP_S: Final = 4.0  # the bridge fires at what is on its way, waits for its outcomes and closes its port
_LOOKS_MS: Final = 2.0  # the bridge looks every millisecond
_KINDS: Final[dict[str, type[EdgeError]]] = {
    kind.__name__: kind for kind in (CameraError, ConfigError, ModelFolderError, OverloadError, StorageError)
}


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
        ConfigError: the machine file or the recipe is wrong, or a camera has no source.
        ModelFolderError: the model folder is not whole.
        OverloadError: there is not enough memory for the rings.
        StorageError: the state folder cannot be used.
    """

    def __init__(self, wish: RunWish, clock: Clock) -> None:
        self._wish = wish
        self._clock = clock
        self._machine = load_machine(wish.machine)
        _check_sources(wish, self._machine)
        model = (wish.model or wish.machine.parent / self._machine.live.model).resolve()
        self._bands = load_model_folder(model).recipe.crop.channels
        self._shared = SharedState.create(self._machine, bands=self._bands, rows=rows_of(self._machine), channels=SETS)
        fallback = (
            (wish.machine.parent / self._machine.live.fallback).resolve() if self._machine.live.fallback else None
        )
        self._roles = Roles(self._machine, self._shared, fallback)
        live = self._machine.live
        flight_s = max(flight_ns(self._machine, camera) for camera in self._machine.cameras) / NS_PER_S
        settings = SupervisorSettings(
            str(wish.machine.resolve()),
            live.hang_s,
            flight_s + _MORE_STOP_S,
            RestartSettings(most_exits=live.restarts_a_minute),
        )
        self._supervisor = Supervisor(settings, self._shared, clock)
        first = ModelSet(model, self._origin_of(model))
        self._models = ModelSets(self._supervisor, self._roles, first, self._origin_of, clock)
        self._reporter = RunReporter(self.report, os.environ, clock)
        self._supervisor.place(self._places(first))
        facts = {"machine": self._machine.name, "model_id": first.origin.model_id, "lot": wish.lot}
        self._diary = RunDiary(_state_folder(wish.machine, self._machine) / "runs", facts, clock)
        self._commands = CommandSocket(command_socket(wish.machine, self._machine))
        self._began_ns = clock.monotonic_ns()
        self._is_begun = False
        self._first_wish = self._allowed(Wish(wish.is_armed, _FULL if wish.is_armed else 0))
        self._written_ns = 0

    def run(self, should_stop: Callable[[], bool]) -> LiveReport:
        """Sort until told to stop, or until the run's time is over.

        Args:
            should_stop: asked some fifty times a second.

        Raises:
            OverloadError: the system starts no more processes.
            ConfigError, ModelFolderError, StorageError, CameraError: a process cannot work; the message is its own.
        """
        with ExitStack() as whatever_happens:  # the last one comes first: no process is left behind
            whatever_happens.callback(self._shared.close)
            whatever_happens.callback(self._reporter.close)
            whatever_happens.callback(self._diary.close, "broken")
            whatever_happens.callback(self._models.close)
            whatever_happens.callback(self._commands.close)
            whatever_happens.callback(self._supervisor.stop)
            while not should_stop() and not self._is_over() and self._supervisor.failed is None:
                self._supervisor.look()
                self._reporter.look(is_sorting=self._is_begun)
                self._begin_when_ready()
                self._models.look()
                self._commands.answer(self._reply)
                self._write_down()
            self._commands.close()
            self._reporter.stopping()
            self._supervisor.stop()
            report = self.report()
            failed = self._supervisor.failed
            self._diary.note(report)
            self._diary.close("failed" if failed else "stopped")
        if failed is not None:
            raise _KINDS.get(failed.kind, ConfigError)(f"a process of the run cannot work:\n{failed.text}")
        return report

    def report(self) -> LiveReport:
        """Return the run as it is now."""
        vitals = self._shared.vitals
        return LiveReport(
            machine=self._machine.name,
            model_id=self._models.model_id,
            seconds=(self._clock.monotonic_ns() - self._began_ns) / NS_PER_S,
            is_armed=vitals.is_armed,
            wants_armed=self._supervisor.wish.is_armed,
            level=int(vitals.level),
            feeder_permille=vitals.feeder_permille,
            cameras=self._supervisor.cameras(),
            processes=self._supervisor.processes(),
            swaps=self._models.swaps,
            told=self._models.told,
            trouble=self._supervisor.trouble,
        )

    def _begin_when_ready(self) -> None:
        """Let frames come, and arm where that is wished, once everybody is there."""
        if not self._is_begun and all(map(self._supervisor.is_ready, ("bridge", "vision", "recorder"))):
            self._is_begun = True
            self._supervisor.open_sources()
            self._supervisor.want(self._first_wish)

    def _write_down(self) -> None:
        """Hand the books to the diary, a few times a second."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._written_ns >= _WRITE_NS:
            self._written_ns = now_ns
            self._diary.note(self.report())

    def _want(self, wish: Wish) -> None:
        """Ask for something now, or as soon as everybody is there."""
        self._first_wish = self._allowed(wish)
        if self._is_begun:
            self._supervisor.want(self._first_wish)

    def _allowed(self, wish: Wish) -> Wish:
        """Return what of a wish is done: in a teach lot the feeder runs and the valves stay shut."""
        return Wish(wish.is_armed and not self._wish.teach_class, wish.feeder_permille)

    def _reply(self, command: Command) -> CommandReply:
        match command:
            case Arm(feeder_permille=permille):
                self._want(Wish(is_armed=True, feeder_permille=permille))
                if self._wish.teach_class:
                    return CommandReply("begun", "a teach lot: the feeder runs, the valves stay shut")
                return CommandReply("begun", "arming; `status` tells when the machine is armed")
            case Disarm():
                self._want(Wish(is_armed=False, feeder_permille=0))
                return CommandReply("done", "the machine is told to stop")
            case Swap(model=model):
                return self._models.swap(Path(model))
            case Back():
                return self._models.back()
            case Look():
                return CommandReply("done", msgspec.json.encode(self.report()).decode())

    def _is_over(self) -> bool:
        limit_s = self._wish.for_s
        return limit_s is not None and self._clock.monotonic_ns() - self._began_ns > limit_s * NS_PER_S

    def _places(self, first: ModelSet) -> list[Role]:
        """Return every place of the run, sources first."""
        wish, state = self._wish, _state_folder(self._wish.machine, self._machine)
        record = RecordWish(state / "spool", wish.teach_class, wish.purity, wish.recording)
        return [
            *self._roles.captures(lambda: self._models.active),
            *self._roles.workers(0, first.model, first.origin.model_id),
            self._roles.bridge(),
            self._roles.recorder(record, self._models.origins),
            *self._roles.services(self._reporter.bulletin.memory.fd),
        ]

    def _origin_of(self, model: Path) -> Origin:
        """Return what records of a model are marked with.

        Raises:
            ModelFolderError: the folder is not whole.
            ConfigError: it takes other frames than the cameras of this run give.
        """
        folder = load_model_folder(model)
        if folder.recipe.crop.channels != self._bands:
            raise ConfigError(f"{model} takes {folder.recipe.crop.channels} bands, the cameras give {self._bands}")
        return recipe_origin(folder, folder.recipe, self._machine.name, self._wish.lot)


def command_socket(path: Path, machine: Machine) -> Path:
    """Return where a run of this machine listens for commands.

    Args:
        path: machine file.
        machine: its settings.
    """
    return _state_folder(path, machine) / COMMAND_SOCKET


def _state_folder(path: Path, machine: Machine) -> Path:
    return (path.parent / machine.live.state).resolve()


def _check_sources(wish: RunWish, machine: Machine) -> None:
    silent = [camera.name for camera in machine.cameras if not camera.source]
    if silent:
        raise ConfigError(f'{wish.machine}: camera {silent[0]} has no source; connect it: source = "v4l2:/dev/video0"')
    if not machine.port:
        raise ConfigError(f'{wish.machine}: no port of the controller; name it: port = "/dev/ejector"')
    least_ms = machine.min_lead_ms + _LOOKS_MS
    if machine.live.send_ahead_ms < least_ms:
        raise ConfigError(
            f"{wish.machine}: live.send_ahead_ms {machine.live.send_ahead_ms} would make every pulse late: "
            f"min_lead_ms {machine.min_lead_ms} wants {least_ms} at least"
        )
