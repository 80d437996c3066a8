"""A whole machine for live tests: model, machine file, grains, a virtual world and a run beside it, as processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from tiny_model import COLOURS, make_onnx, write_model_folder

from edge_runtime.config import to_toml
from edge_runtime.errors import NoRunError
from edge_runtime.live.commands import Command, CommandReply, Look, ask
from edge_runtime.live.run import COMMAND_SOCKET
from edge_runtime.live.run_report import LiveReport
from edge_runtime.live_settings import LiveSettings
from edge_runtime.schemas import Camera, Lane, Machine
from edge_runtime.virtual_world_outcome import OUTCOME_FILE, WorldReport
from firmware_bridge.clock import NS_PER_S, SystemClock

__all__ = ["Stage", "adds_up", "free_port", "make_stage", "wait_until", "write_grains"]

_CLOCK: Final = SystemClock()
_END_S: Final = 30.0


def write_grains(folder: Path) -> None:
    """Write class folders of coloured ellipses that the tiny model tells apart."""
    rng = np.random.default_rng(3)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(16):
            height, width = int(rng.integers(16, 28)), int(rng.integers(12, 24))
            stencil = np.zeros((height + 8, width + 8), np.uint8)
            cv2.ellipse(stencil, ((width + 8) // 2, (height + 8) // 2), (width // 2, height // 2), 0, 0, 360, 1, -1)
            picture = np.zeros((*stencil.shape, 3), np.uint8)
            noise = rng.integers(-15, 16, (int(stencil.sum()), 3))
            picture[stencil > 0] = np.clip(np.array(colour) + noise, 0, 255)
            cv2.imwrite(str(folder / name / f"{number}.png"), picture)


def adds_up(report: LiveReport) -> bool:
    """Tell whether every frame and every object of every camera is accounted for; after a run nothing is open."""
    has_ended = all(process.pid == 0 for process in report.processes)
    sums = []
    for camera in report.cameras:
        given, counts = camera.given, camera.counts
        refused = given.repeated + given.shape + given.incomplete + given.stale
        sums += [
            given.shown == given.kept + refused,
            counts.frames_in == counts.processed + sum(counts.missing.values()) + counts.open_frames,
            counts.objects == counts.passed + sum(counts.ends.values()) + counts.open_objects,
            min(counts.open_frames, counts.open_objects) >= 0,
            not has_ended or counts.open_frames == counts.open_objects == 0,
        ]
    return all(sums)


@dataclass(frozen=True, slots=True)
class Stage:
    """One machine in one folder."""

    folder: Path
    machine: Machine

    @property
    def machine_path(self) -> Path:
        return self.folder / "machine.toml"

    @contextmanager
    def world(self, *options: str | int | float) -> Iterator["subprocess.Popen[bytes]"]:
        """Let a world run; it is told to end, and writes its outcome, when the context is left."""
        arguments = ["--model", self.folder / "model", "--machine", self.machine_path]
        arguments += ["--folder", self.folder / "world", "--grains", self.folder / "grains", *options, "--json"]
        command = [sys.executable, "-m", "edge_runtime", "world", *map(str, arguments)]
        with (self.folder / "world.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=self._environment())
        try:
            wait_until(lambda: (self.folder / "world" / "world.json").exists() or process.poll() is not None, _END_S)
            yield process
        finally:
            process.terminate()
            process.wait(_END_S)

    @contextmanager
    def run(self, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Let a run go on until the context is left; `report` tells of it afterwards too."""
        command = [sys.executable, "-m", "edge_runtime", "run", "--config", str(self.machine_path), *options, "--json"]
        with (self.folder / "run.log").open("wb") as log, (self.folder / "run.json").open("wb") as result:
            process = subprocess.Popen(command, stdout=result, stderr=log, env=self._environment())
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(_END_S)

    def _environment(self) -> dict[str, str]:
        """Return the environment of an installed program: its modules are compiled once, not at every start."""
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**plain, "PYTHONPYCACHEPREFIX": str(self.folder / "compiled")}

    def ask(self, command: Command) -> CommandReply:
        """Ask the run."""
        return ask(self.folder / "state" / COMMAND_SOCKET, command)

    def look(self) -> LiveReport | None:
        """Return the run as it is, None where it does not answer."""
        try:
            return msgspec.json.decode(self.ask(Look()).text, type=LiveReport)
        except NoRunError:
            return None

    def must_look(self) -> LiveReport:
        """Return the run as it is; it answers."""
        report = self.look()
        assert report is not None
        return report

    def report(self) -> LiveReport:
        """Return the report of a run that has ended."""
        return msgspec.json.decode((self.folder / "run.json").read_bytes(), type=LiveReport)

    def outcome(self) -> WorldReport:
        """Return what the world saw."""
        return msgspec.json.decode((self.folder / "world" / OUTCOME_FILE).read_bytes(), type=WorldReport)

    def wait_for_sorting(self, limit_s: float) -> bool:
        """Wait until the machine is armed and objects come."""

        def sorts() -> bool:
            report = self.look()
            return report is not None and report.is_armed and report.cameras[0].counts.objects > 0

        return wait_until(sorts, limit_s)

    def kill(self, role: str) -> int | None:
        """Kill the process of a role with SIGKILL; return its pid, None where there is none now."""
        report = self.look()
        found = [one.pid for one in report.processes if one.name == role and one.pid] if report else []
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return found[0] if found else None


def wait_until(is_done: Callable[[], bool], limit_s: float, step_s: float = 0.02) -> bool:
    end_ns = _CLOCK.monotonic_ns() + round(limit_s * NS_PER_S)
    while not is_done():
        if _CLOCK.monotonic_ns() > end_ns:
            return False
        _CLOCK.sleep_s(step_s)
    return True


def free_port() -> int:
    """Return a TCP port that nobody listens at: bytes over it wait for no worker of a busy system."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def make_stage(folder: Path, live: LiveSettings, *, cameras: int = 1, to_valves_mm: float = 300.0) -> Stage:
    """Write everything that a run and its world need.

    Args:
        folder: made if missing.
        live: of the machine; model and state are set here.
        cameras: all see the same belt, each 60 mm nearer to the valves.
        to_valves_mm: way from the first camera.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_model_folder(folder / "model")
    write_model_folder(folder / "other_model", model=make_onnx(seed=2))
    write_grains(folder / "grains")
    views = tuple(
        Camera(
            f"view{number}",
            width_px=1024,
            pixel_mm=0.13,
            to_valves_mm=to_valves_mm - 60.0 * number,
            source=f"virtual:{folder}/world/camera.sock",
        )
        for number in range(cameras)
    )
    lanes = tuple(Lane(valve, 5.0 * valve, 5.0 * valve + 5.0) for valve in range(27))
    settings = msgspec.structs.replace(live, model="model", state="state", send_ahead_ms=60.0)
    machine = Machine("stage", views, lanes, port=f"tcp://127.0.0.1:{free_port()}", min_lead_ms=8.0, live=settings)
    stage = Stage(folder, machine)
    stage.machine_path.write_text(to_toml(machine), encoding="utf-8")
    return stage
