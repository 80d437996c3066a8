"""The rules of `sortloop-edge doctor`: facts in, one check for each precondition of a live run out. Pure.

>>> [(check.code, check.verdict.name) for check in checks_of(LiveFacts("machine.toml", machine_error="no such key"))]
[('machine_wrong', 'WRONG')]
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from edge_runtime.live.doctor_facts import CameraFacts, ComputerFacts, LiveFacts, ModelFacts, StateFacts
from edge_runtime.live.doctor_texts import TEXTS
from edge_runtime.live.frame_ring import RingShape
from edge_runtime.schemas import Camera, Machine
from firmware_bridge.doctor import DoctorLimits, Finding, Severity, diagnose
from firmware_bridge.phrase import Phrase

__all__ = ["Check", "Verdict", "checks_of"]

_MB: Final = 1 << 20
_LOW_DISK_MB: Final = 1024
_FULL_DISK_MB: Final = 64  # the spool's segments have 16
_PROCESS_B: Final = 256 * _MB  # onnxruntime, OpenCV and buffers of one process, locked
_GOOD_CLOCKS: Final = ("", "tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page")
_STEADY: Final = {"performance"}


class Verdict(IntEnum):
    """How a precondition stands; WRONG means that the machine will not sort."""

    OK = 0
    DOUBTFUL = 1
    WRONG = 2


class Check(msgspec.Struct, frozen=True):
    """One precondition; `remedy` is empty where nothing is to be done."""

    code: str
    verdict: Verdict
    what: Phrase
    remedy: Phrase


def checks_of(facts: LiveFacts) -> tuple[Check, ...]:
    """Return every check, in the order in which a frame meets what is checked."""
    return tuple(_checks(facts))


def _checks(facts: LiveFacts) -> Iterator[Check]:
    machine, computer = facts.machine, facts.computer
    if machine is None:
        yield _check("machine_wrong", Verdict.WRONG, error=facts.machine_error)
        return
    yield _check("machine_ok", Verdict.OK, name=machine.name, cameras=len(machine.cameras), lanes=len(machine.lanes))
    if facts.running:
        yield _check("run_answers", Verdict.OK, name=facts.running)
    for model in (facts.model, facts.fallback):
        if model is not None:
            yield _model_check(model)
    for one in facts.cameras:
        yield from _camera_checks(one, "" if computer is None else ", ".join(computer.videos))
        yield _flight_check(machine, one.camera)
    yield from _port_checks(facts, machine)
    if computer is not None:
        yield from _computer_checks(computer, machine, facts)
    if facts.state is not None:
        yield _state_check(facts.state)
    yield _metrics_check(facts.metrics_trouble, machine.live.metrics_port)


def _check(code: str, verdict: Verdict, **values: str | int | float | Phrase) -> Check:
    text = TEXTS[code]
    return Check(code, verdict, text.what.filled(**values), text.remedy.filled(**values))


def _model_check(model: ModelFacts) -> Check:
    if model.error:
        return _check("model_wrong", Verdict.WRONG, error=model.error, path=model.path)
    values = {"id": model.model_id[:12], "form": model.form, "path": model.path}
    if not model.is_tuned:
        return _check("model_untuned", Verdict.DOUBTFUL, **values)
    return _check("model_ok", Verdict.OK, **values)


def _camera_checks(facts: CameraFacts, videos: str) -> Iterator[Check]:
    name = facts.camera.name
    verdict = Verdict.OK if facts.state in {"there", "unasked"} else Verdict.WRONG
    code = "camera_ok" if facts.state == "there" else f"camera_{facts.state}"
    yield _check(code, verdict, camera=name, source=facts.camera.source, videos=videos or Phrase("none", "无"))
    if facts.references == "":
        yield _check("calibration_ok", Verdict.OK, camera=name)
    elif facts.references == "none":
        yield _check("calibration_none", Verdict.DOUBTFUL, camera=name)
    else:
        yield _check("calibration_wrong", Verdict.WRONG, camera=name, error=facts.references)


def _flight_check(machine: Machine, camera: Camera) -> Check:
    """Judge the arming condition of docs/live.md as far as it is known before anything runs."""
    flight_ms = camera.to_valves_mm / machine.belt_mm_s * 1000
    block_ms = camera.frame_lines * camera.pixel_mm / machine.belt_mm_s * 1000
    room_ms = flight_ms - block_ms - machine.min_lead_ms
    values = {
        "camera": camera.name,
        "flight": f"{flight_ms:.1f}",
        "block": f"{block_ms:.1f}",
        "lead": f"{machine.min_lead_ms:.1f}",
        "room": f"{room_ms:.1f}",
    }
    if room_ms <= 0:
        return _check("flight_short", Verdict.WRONG, **values)
    if room_ms < 3 * block_ms:  # one block comes in, one is sorted, one waits
        return _check("flight_tight", Verdict.DOUBTFUL, **values)
    return _check("flight_ok", Verdict.OK, **values)


def _port_checks(facts: LiveFacts, machine: Machine) -> Iterator[Check]:
    if not machine.port:
        yield _check("port_none", Verdict.WRONG)
    elif facts.port is not None:
        for finding in diagnose(facts.port, DoctorLimits()):
            yield _port_check(finding)


def _port_check(finding: Finding) -> Check:
    verdict = {Severity.ERROR: Verdict.WRONG, Severity.WARNING: Verdict.DOUBTFUL}.get(finding.severity, Verdict.OK)
    said = finding.explanation
    remedy = Phrase("", "") if verdict is Verdict.OK else said.remedy
    return Check(finding.code.value, verdict, said.what, remedy)


def _computer_checks(computer: ComputerFacts, machine: Machine, facts: LiveFacts) -> Iterator[Check]:
    live = machine.live
    if not live.priority:
        yield _check("priority_off", Verdict.DOUBTFUL)
    elif computer.priority_refused:
        yield _check("priority_refused", Verdict.DOUBTFUL, error=computer.priority_refused)
    else:
        yield _check("priority_ok", Verdict.OK, priority=live.priority)
    yield from _memory_checks(computer, machine, facts)
    yield from _core_checks(computer, machine)
    is_good = computer.clock_source in _GOOD_CLOCKS
    source = computer.clock_source or "-"
    yield _check("clock_ok" if is_good else "clock_slow", Verdict.OK if is_good else Verdict.DOUBTFUL, source=source)
    is_steady = set(computer.governors) <= _STEADY
    names = ", ".join(computer.governors) or "-"
    code = "governor_ok" if is_steady else "governor_slow"
    yield _check(code, Verdict.OK if is_steady else Verdict.DOUBTFUL, names=names)


def _memory_checks(computer: ComputerFacts, machine: Machine, facts: LiveFacts) -> Iterator[Check]:
    bands = 3 if facts.model is None else facts.model.bands
    shapes = (
        RingShape(machine.live.ring_frames, camera.frame_lines, camera.width_px, bands) for camera in machine.cameras
    )
    rings_b = sum(shape.size_b for shape in shapes)
    room_b = computer.memory_b + (rings_b if facts.running else 0)  # a run that goes on has its rings already
    values = {"rings_mb": -(-rings_b // _MB), "free_mb": room_b // _MB}
    if rings_b > room_b:
        yield _check("memory_short", Verdict.WRONG, **values)
    elif rings_b * 2 > room_b:
        yield _check("memory_low", Verdict.DOUBTFUL, **values)
    else:
        yield _check("memory_ok", Verdict.OK, **values)
    limit_b = computer.lockable_b
    if limit_b is not None and limit_b < rings_b + _PROCESS_B:
        yield _check("memlock_low", Verdict.DOUBTFUL, limit_mb=limit_b // _MB)
    else:
        yield _check("memlock_ok", Verdict.OK)


def _core_checks(computer: ComputerFacts, machine: Machine) -> Iterator[Check]:
    live = machine.live
    wanted = live.workers + len(machine.cameras) + 1
    is_enough = len(computer.cores) >= wanted
    verdict = Verdict.OK if is_enough else Verdict.DOUBTFUL
    yield _check("cores_ok" if is_enough else "cores_few", verdict, cores=len(computer.cores), wanted=wanted)
    missing = sorted({*live.capture_cores, *live.vision_cores, *live.bridge_cores} - set(computer.cores))
    if missing:
        there = ", ".join(map(str, computer.cores))
        yield _check("cores_missing", Verdict.DOUBTFUL, names=", ".join(map(str, missing)), there=there)


def _state_check(state: StateFacts) -> Check:
    free_mb = state.free_b // _MB
    if not state.is_writable:
        return _check("state_denied", Verdict.WRONG, path=state.path)
    if free_mb < _FULL_DISK_MB:
        return _check("state_full", Verdict.WRONG, path=state.path, free_mb=free_mb)
    if free_mb < _LOW_DISK_MB:
        return _check("state_low", Verdict.DOUBTFUL, path=state.path, free_mb=free_mb)
    return _check("state_ok", Verdict.OK, path=state.path, free_mb=free_mb)


def _metrics_check(trouble: str, port: int) -> Check:
    if not port:
        return _check("metrics_off", Verdict.OK)
    if trouble:
        return _check("metrics_busy", Verdict.DOUBTFUL, error=trouble)
    return _check("metrics_ok", Verdict.OK, port=port)
