"""Gathers what `sortloop-edge doctor` judges. It sorts nothing, moves nothing and changes nothing.

While a run answers on this computer, its port and cameras are left alone.
"""

import os
import resource
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from edge_runtime.errors import ConfigError, ModelFolderError, NoRunError, StorageError
from edge_runtime.live.doctor_facts import (
    CameraFacts,
    ComputerFacts,
    LiveFacts,
    ModelFacts,
    SourceState,
    StateFacts,
)
from edge_runtime.live.http_server import HttpServer
from edge_runtime.live.http_text import Answer
from edge_runtime.live.shared_memory import available_b
from edge_runtime.live.status_client import ask_status
from edge_runtime.machine_file import load_machine
from edge_runtime.model import load_model_folder
from edge_runtime.schemas import Camera, Machine
from edge_runtime.setup import camera_references
from edge_runtime.tuned_record import chosen_form
from firmware_bridge.clock import Clock
from firmware_bridge.doctor_examine import examine
from firmware_bridge.doctor_probe import ProbeSettings
from firmware_bridge.transport_open import open_transport

__all__ = ["Places", "look_at"]

_ASK_S: Final = 1.0
_LINE: Final = ProbeSettings(pings=100, watch_s=1.0)


class Places(msgspec.Struct, frozen=True):
    """Where the system tells of itself; a test brings its own."""

    dev: Path = Path("/dev")
    sys: Path = Path("/sys")


def look_at(
    machine_path: Path,
    clock: Clock,
    on_progress: Callable[[str], None] = lambda _: None,
    places: Places | None = None,
) -> LiveFacts:
    """Return everything that `doctor` judges.

    Args:
        machine_path: machine file.
        clock: for the controller's line.
        on_progress: hears what is being done; "" at the end.
        places: where the system tells of itself.

    Note: takes some three seconds where there is a controller, whose faults a new session clears.
    """
    places = places or Places()
    try:
        machine = load_machine(machine_path)
    except ConfigError as error:
        return LiveFacts(str(machine_path), str(error))
    running = _running(machine.live.metrics_port)
    port = None
    if machine.port and not running:
        port = examine(
            machine.port,
            machine.baud,
            lambda: closing(open_transport(machine.port, clock=clock, baud=machine.baud)),
            clock,
            settings=_LINE,
            on_progress=on_progress,
        )
    return LiveFacts(
        machine_path=str(machine_path),
        machine=machine,
        model=_model(machine_path.parent / machine.live.model),
        fallback=_model(machine_path.parent / machine.live.fallback) if machine.live.fallback else None,
        cameras=tuple(_camera(machine_path, camera) for camera in machine.cameras),
        state=_state(machine_path.parent / machine.live.state),
        computer=_computer(machine, places),
        running=running,
        metrics_trouble="" if running else _metrics_trouble(machine.live.metrics_port, clock),
        port=port,
    )


def _running(port: int) -> str:
    try:
        return ask_status(port, timeout_s=_ASK_S).machine
    except NoRunError:
        return ""


def _model(path: Path) -> ModelFacts:
    try:
        folder = load_model_folder(path)
    except (ModelFolderError, ConfigError) as error:
        return ModelFacts(str(path), error=str(error))
    chosen = chosen_form(folder)
    return ModelFacts(
        str(path),
        model_id=folder.card.model_id,
        is_tuned=chosen.why.startswith("tuned:"),
        form=f"{chosen.form}: {chosen.why}",
        bands=folder.recipe.crop.channels,
    )


def _camera(machine_path: Path, camera: Camera) -> CameraFacts:
    try:
        field = camera_references(machine_path, camera)
    except (ConfigError, StorageError) as error:
        return CameraFacts(camera, _source_state(camera.source), str(error))
    return CameraFacts(camera, _source_state(camera.source), "none" if field is None else "")


def _source_state(source: str) -> SourceState:
    kind, _, rest = source.partition(":")
    place = rest.partition("?")[0]
    if not source:
        return "none"
    if kind == "genicam":
        return "unasked"
    if kind not in {"v4l2", "replay", "virtual"} or not place:
        return "unknown"
    try:
        Path(place).stat()
    except PermissionError:  # of a folder on the way
        return "denied"
    except OSError:
        return "missing"
    wanted = os.R_OK if kind == "replay" else os.R_OK | os.W_OK
    return "there" if os.access(place, wanted) else "denied"


def _state(path: Path) -> StateFacts:
    there = path
    while not os.path.exists(there):  # noqa: PTH110 - Path.exists raises where a folder on the way may not be searched
        there = there.parent
    return StateFacts(str(path), shutil.disk_usage(there).free, os.access(there, os.W_OK | os.X_OK))


def _computer(machine: Machine, places: Places) -> ComputerFacts:
    soft_b, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    governors = places.sys.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    clock_source = places.sys / "devices/system/clocksource/clocksource0/current_clocksource"
    return ComputerFacts(
        cores=tuple(sorted(os.sched_getaffinity(0))),
        memory_b=available_b(),
        lockable_b=None if soft_b == resource.RLIM_INFINITY or os.geteuid() == 0 else soft_b,
        priority_refused=_priority_refused(machine.live.priority),
        clock_source=_text_in(clock_source),
        governors=tuple(sorted({_text_in(path) for path in governors} - {""})),
        videos=tuple(sorted(str(path) for path in places.dev.glob("video[0-9]*"))),
    )


def _priority_refused(priority: int) -> str:
    """Take the priority for an instant; return why it is refused."""
    if not priority:
        return ""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _metrics_trouble(port: int, clock: Clock) -> str:
    if not port:
        return ""
    try:
        HttpServer(port, lambda _: Answer(404, ""), clock).close()
    except ConfigError as error:
        return str(error)
    return ""


def _text_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
