"""The virtual sorting machine in real time: belt, cameras, controller, valves and inspection for a host that is real.

`sortloop-edge run` finds a serial port and cameras, and can be killed at any moment. This module is the loop: it lets
things happen when their time has come. The belt runs, empty, from the start; the pieces come when every camera has had
a client and the controller is armed, or after a given time. It must not know what the host decides.

>>> settings = WorldSettings(start_s=0.0)
>>> settings.buffer_blocks, settings.inspection.share
(8, 0.0)
"""

import os
import select
import socket
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import StorageError
from edge_runtime.schemas import Machine
from edge_runtime.virtual_inspection import InspectionTraits, VirtualInspection
from edge_runtime.virtual_outcome import Decided, score
from edge_runtime.virtual_world_cameras import CameraBlock, CameraServer
from edge_runtime.virtual_world_control import Command, ControlSocket, parse_command
from edge_runtime.virtual_world_controller import WorldController
from edge_runtime.virtual_world_flight import Flight, WorldInspection
from edge_runtime.virtual_world_outcome import (
    WORLD_FILE,
    WakeFigures,
    WorldFacts,
    WorldOutcome,
    WorldReport,
    WorldStatus,
)
from edge_runtime.virtual_world_plan import Agenda, Moment, MomentKind, check_cameras, check_inspection, plan_for
from edge_runtime.virtual_world_scene import NO_PIECES, BeltPieces, WorldScene
from firmware_bridge.board import BoardSettings
from firmware_bridge.board_choice import open_board
from firmware_bridge.clock import NS_PER_S, Clock
from firmware_bridge.pulse_recorder import SELFTEST_EVID

__all__ = ["VirtualWorld", "WorldSettings"]

_STEP_S: Final = 0.004  # the board's times are exact however seldom it is asked; its host wakes this process
_AHEAD_NS: Final = 50_000_000  # between making the world and its line 0
_AHEAD_BLOCKS: Final = 2  # from the start of the feeder to the first piece under a camera
_NS_PER_MS: Final = 1_000_000
_U32: Final = 0xFFFFFFFF
_TCP: Final = "tcp://127.0.0.1:"


class WorldSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the world behaves.

    Attributes:
        seed: of everything random.
        scatter_mm: standard deviation of where a piece is along the belt when it reaches valves and inspection.
        start_s: the pieces come after this time, whoever is there; null waits for cameras and controller.
        settle_s: how long the world goes on when the last piece has landed.
        buffer_blocks: blocks that a camera keeps for a client that is behind.
        drift_ppm: how much faster than this computer's the controller's clock runs.
        inspection: how good it is; share 0 is none. It needs `to_inspection_mm` behind the valves.
    """

    seed: int = 1
    scatter_mm: Annotated[float, msgspec.Meta(ge=0.0)] = 0.2
    start_s: Annotated[float, msgspec.Meta(ge=0.0)] | None = None
    settle_s: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0
    buffer_blocks: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    drift_ppm: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] = 0
    inspection: InspectionTraits = InspectionTraits(share=0.0)


class VirtualWorld:
    """A running world.

    Args:
        folder: exists; gets `controller`, `camera.sock`, `world.ctl` and `world.json`.
        machine: see `check_cameras`.
        scene: what passes; blocks as its cameras give them.
        settings: how the world behaves.
        clock: real time, or the caller's.

    Raises:
        ConfigError: see `check_cameras`, and `check_inspection` where there shall be one.
        TransportError: the controller's terminal cannot be made, or its port is in use.
        StorageError: a socket cannot be made, or `world.json` cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        machine: Machine,
        *,
        scene: WorldScene,
        settings: WorldSettings,
        clock: Clock,
    ) -> None:
        check_cameras(machine.cameras)
        if settings.inspection.share:
            check_inspection(machine)
        self._folder, self._machine, self._clock = folder, machine, clock
        self._scene, self._settings = scene, settings
        board = open_board(
            BoardSettings(
                n_valves=1 + max(lane.valve for lane in machine.lanes),
                tick_offset=int(self._rng(4).integers(_U32)),
                drift_ppm=settings.drift_ppm,
                boot_id=clock.monotonic_ns() & _U32,
            )
        )
        self.plan = plan_for(machine, scene.block_lines, clock.monotonic_ns() + _AHEAD_NS)
        self._agenda = Agenda(self.plan)
        names = tuple(camera.name for camera in machine.cameras)
        self._place = _place_of(machine, folder)
        self._scene_block: int | None = None
        self._flight: Flight | None = None
        self._inspection: WorldInspection | None = None
        self._verdicts = self._verdicts_lost = 0
        self._must_stop = False
        self._over_ns: int | None = None
        self._cpu_share = 0.0
        self._lateness_us = array("q")
        with ExitStack() as undo:
            self.cameras = CameraServer(folder / "camera.sock", names, buffer_blocks=settings.buffer_blocks)
            undo.callback(self.cameras.close)
            self.controller = WorldController(board, self._place, self.plan.line_0_ns)
            undo.callback(self.controller.close)
            self._control = ControlSocket(folder / "world.ctl")
            undo.callback(self._control.close)
            self.controller.advance(clock.monotonic_ns())
            self._tell()
            self._undo = undo.pop_all()

    @property
    def scene_line(self) -> int | None:
        """First line of the scene with the pieces, None before the feeder runs."""
        return None if self._scene_block is None else self._scene_block * self._scene.block_lines

    @property
    def is_over(self) -> bool:
        """Tell whether everything has landed and settled, or somebody asked for the end."""
        return self._must_stop or (self._over_ns is not None and self._clock.monotonic_ns() >= self._over_ns)

    def run(self, should_stop: Callable[[], bool], cpu: Clock) -> None:
        """Run until everything has landed and settled, or should_stop().

        Args:
            should_stop: asked at every step.
            cpu: processor time of this process.

        Raises:
            StorageError, TransportError: see `step`.
        """
        cpu_ns, wall_ns = cpu.monotonic_ns(), self._clock.monotonic_ns()
        while not (should_stop() or self.is_over):
            left_s = (self._agenda.next_ns - self._clock.monotonic_ns()) / NS_PER_S
            self.step(min(_STEP_S, max(0.0, left_s)))
        passed_ns = max(1, self._clock.monotonic_ns() - wall_ns)
        self._cpu_share = round((cpu.monotonic_ns() - cpu_ns) / passed_ns, 4)

    def step(self, timeout_s: float) -> None:
        """Wait at most timeout_s for somebody to say something, then let everything happen that is due.

        Raises:
            StorageError: `world.json` cannot be written when the pieces begin to come.
            TransportError: the line that was unplugged cannot be made again.
        """
        lines, sockets = self.controller.filenos(), [*self.cameras.readers(), *self._control.readers()]
        watched: list[int | socket.socket] = [*lines, *sockets]
        readable, _, _ = select.select(watched, self.cameras.writers(), [], timeout_s)
        now_ns = self._clock.monotonic_ns()
        ended = self._pass_moments(now_ns)
        if any(line in readable for line in lines):
            self.controller.hear(now_ns)
        self.controller.advance(now_ns)
        for moment in ended:
            self._give(moment, now_ns)
        heard = [one for one in sockets if one in readable]
        self.cameras.serve(heard, now_ns)
        self._control.serve(heard, self._obey)
        self._inspect(now_ns)
        if self._scene_block is None:
            self._start_if_ready(now_ns)

    def cut_power(self) -> None:
        """Take the controller's power away for an instant.

        Raises:
            TransportError: the line that was unplugged cannot be made again.
        """
        self.controller.cut_power(self._clock.monotonic_ns())

    def outcome(self) -> WorldOutcome:
        """Return what has come of it so far; pieces that have not landed are left out."""
        now_ns = self._clock.monotonic_ns()
        flight = self._flight or Flight(NO_PIECES, self._machine, np.zeros(0))
        landed = flight.landed_by(self.controller.log.us_at(now_ns))
        log = self.controller.log
        is_thrown = flight.is_thrown(0, landed, log.pulses)
        pieces = flight.pieces.first(landed)
        pulses = np.array(log.pulses, np.int64).reshape(-1, 6)
        report = self._report(pieces, is_thrown, pulses, now_ns)
        return WorldOutcome(report, pieces, flight.scatter_mm[:landed], is_thrown, pulses)

    def close(self) -> None:
        """Remove sockets and terminal; twice is harmless."""
        self._undo.close()

    def _pass_moments(self, now_ns: int) -> list[Moment]:
        """Latch the triggers that are due, each at its own time; return the blocks that have passed."""
        ended = []
        for moment in self._agenda.due(now_ns):
            self._lateness_us.append((now_ns - moment.at_ns) // 1000)
            match moment.kind:
                case MomentKind.BEGIN:
                    self.controller.trigger(self.plan.frame_no(moment.camera, moment.block), moment.at_ns)
                case MomentKind.END:
                    ended.append(moment)
        return ended

    def _give(self, moment: Moment, now_ns: int) -> None:
        """Let a camera give the block that has passed it."""
        number = None if self._scene_block is None else moment.block - self._scene_block
        pixels = self._scene.block(number)
        exposed_ns = self.plan.begins_ns(moment.camera, moment.block)
        block = CameraBlock(moment.block, moment.block * self._scene.block_lines, exposed_ns, pixels)
        self.cameras.ports[moment.camera].offer(block, now_ns)

    def _start_if_ready(self, now_ns: int) -> None:
        """Let the pieces come when somebody is there to sort them, or when it is time."""
        start_s = self._settings.start_s
        is_time = start_s is not None and now_ns >= self.plan.line_0_ns + round(start_s * NS_PER_S)
        if not is_time and not (self.cameras.has_all and self.controller.is_armed):
            return
        self._scene_block = self.plan.next_block(now_ns) + _AHEAD_BLOCKS
        pieces = self._scene.pieces.moved(self._scene_block * self._scene.block_lines)
        scatter_mm = self._rng(2).normal(0, self._settings.scatter_mm, pieces.count)
        self._flight = Flight(pieces, self._machine, scatter_mm)
        if self._settings.inspection.share:
            names, pixel_mm = self._scene.recipe.class_names, self._machine.cameras[0].pixel_mm
            traits = self._settings.inspection
            look = VirtualInspection(traits, self._machine.lanes, names, pixel_mm=pixel_mm, rng=self._rng(3))
            self._inspection = WorldInspection(self._flight, look, names)
        end_us = max(self._flight.over_us, self._scene_end_us())
        self._over_ns = self.plan.line_0_ns + end_us * 1000 + round(self._settings.settle_s * NS_PER_S)
        self._tell()

    def _inspect(self, now_ns: int) -> None:
        """Let the inspection tell of what has come past."""
        if self._inspection is None:
            return
        log, board = self.controller.log, self.controller.board
        for verdict in self._inspection.judge(log.us_at(now_ns), log.pulses):
            tick = board.tick_at(self.plan.line_0_ns + verdict.tick * 1000) & _U32
            if self.controller.report_verdict(msgspec.structs.replace(verdict, tick=tick)):
                self._verdicts += 1
            else:
                self._verdicts_lost += 1

    def _obey(self, line: str) -> str:
        """Do what a line of the control socket asks for, and return the answer.

        Raises:
            ConfigError: it is no command.
        """
        now_ns = self._clock.monotonic_ns()
        match parse_command(line, [port.name for port in self.cameras.ports]):
            case Command("power_cut"):
                self.controller.cut_power(now_ns)
            case Command("silence", _, ms):
                self.controller.silence(now_ns + ms * _NS_PER_MS)
            case Command("unplug", _, ms):
                self.controller.unplug(now_ns + ms * _NS_PER_MS)
            case Command("stall", camera, ms):
                self.cameras.ports[camera].stalled_until_ns = now_ns + ms * _NS_PER_MS
            case Command("gone", camera, ms):
                self.cameras.take_away(camera, now_ns + ms * _NS_PER_MS)
            case Command("repeat", camera):
                self.cameras.ports[camera].repeat_next = True
            case Command("incomplete", camera):
                self.cameras.ports[camera].spoil_next = True
            case Command("stop"):
                self._must_stop = True
            case Command():
                return msgspec.json.encode(self._status(now_ns)).decode()
        return "ok"

    def _status(self, now_ns: int) -> WorldStatus:
        us = self.controller.log.us_at(now_ns)
        return WorldStatus(
            us=us,
            state=self.controller.board.state.name,
            scene_line=self.scene_line,
            landed=0 if self._flight is None else self._flight.landed_by(us),
            pulses=len(self.controller.log.pulses),
            connected=tuple(port.name for port in self.cameras.ports if port.client is not None),
        )

    def _scene_end_us(self) -> int:
        """Return when the last line of the scene has passed every camera and the valves."""
        lines = (self._scene_block or 0) * self._scene.block_lines + self._scene.total_lines
        to_valves_mm = max(camera.to_valves_mm for camera in self._machine.cameras)
        way_mm = lines * self._machine.cameras[0].pixel_mm + to_valves_mm
        return round(way_mm / self._machine.belt_mm_s * 1e6)

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self._settings.seed & _U32, stream))

    def _facts(self) -> WorldFacts:
        return WorldFacts(
            pid=os.getpid(),
            machine=self._machine,
            class_names=self._scene.recipe.class_names,
            is_bad=tuple(rule.action == "eject" for rule in self._scene.recipe.classes),
            line_0_ns=self.plan.line_0_ns,
            line_ns=self.plan.line_ns,
            block_lines=self.plan.block_lines,
            offsets_ns=self.plan.offsets_ns,
            scene_line=self.scene_line,
            scene_lines=self._scene.total_lines,
            pieces=self._scene.pieces.count,
            controller=self._machine.port if isinstance(self._place, int) else str(self._place),
            camera_socket=str(self._folder / "camera.sock"),
        )

    def _tell(self) -> None:
        """Write `world.json`, whole or not at all, but without waiting for the disk.

        Raises:
            StorageError: it cannot be written.
        """
        path = self._folder / WORLD_FILE
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_bytes(msgspec.json.format(msgspec.json.encode(self._facts())))
            part.replace(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise StorageError(f"cannot write {path}: {error.strerror or error}") from error

    def _report(
        self, pieces: BeltPieces, is_thrown: NDArray[np.bool_], pulses: NDArray[np.int64], now_ns: int
    ) -> WorldReport:
        facts, log = self._facts(), self.controller.log
        unseen = np.full(pieces.count, Decided.UNSEEN, np.int8)
        return WorldReport(
            facts=facts,
            sort=score(pieces.class_ids, is_thrown, unseen, facts.class_names, np.array(facts.is_bad, np.bool_)),
            landed=pieces.count,
            seconds=(now_ns - self.plan.line_0_ns) / NS_PER_S,
            pulses=len(pulses),
            fired_twice=_openings_beyond_first(pulses),
            fired_late=log.refusals["LATE_FIRED"],
            refusals=dict(sorted(log.refusals.items())),
            worst_lateness_us=log.worst_lateness_us,
            states=tuple(log.states),
            feeder=tuple(log.feeder),
            boots=log.boots,
            cameras=tuple(port.books() for port in self.cameras.ports),
            dropped_b=self.controller.dropped_b,
            verdicts=self._verdicts,
            verdicts_lost=self._verdicts_lost,
            wakes=_wake_figures(self._lateness_us, self._cpu_share),
        )


def _openings_beyond_first(pulses: NDArray[np.int64]) -> int:
    """Return how often a valve opened for an event for which it had opened before, in one life of the board."""
    rows = [
        (boot, evid, valve)
        for boot, evid, first, count, _, _ in pulses.tolist()
        if evid != SELFTEST_EVID
        for valve in range(first, first + count)
    ]
    return len(rows) - len(set(rows))


def _wake_figures(lateness_us: Sequence[int], cpu_share: float) -> WakeFigures | None:
    if not lateness_us:
        return None
    values = np.array(lateness_us, np.int64)
    p50, p99 = (round(float(value)) for value in np.quantile(values, (0.5, 0.99)))
    return WakeFigures(p50, p99, int(values.max()), cpu_share)


def _place_of(machine: Machine, folder: Path) -> Path | int:
    """Return where the controller is found: at the machine's TCP port of this computer, else at a terminal."""
    port = machine.port.removeprefix(_TCP)
    return int(port) if machine.port.startswith(_TCP) and port.isdecimal() else folder / "controller"
