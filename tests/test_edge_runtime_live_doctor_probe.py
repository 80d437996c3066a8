"""What the system is asked, and what is left alone while a run goes on."""

import os
import socket
from pathlib import Path

import msgspec
import pytest
from live_reports import answering, machine_file, report_of

from edge_runtime.live.doctor_probe import Places, look_at
from edge_runtime.live.http_text import Answer
from firmware_bridge.clock import ManualClock


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "dev", tmp_path / "sys")
    texts = {
        "devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
        "devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        "devices/system/cpu/cpu1/cpufreq/scaling_governor": "powersave\n",
        "devices/system/cpu/cpufreq/policy0/scaling_governor": "other\n",
    }
    for name, text in texts.items():
        (found.sys / name).parent.mkdir(parents=True, exist_ok=True)
        (found.sys / name).write_text(text)
    found.dev.mkdir()
    for name in ("video1", "video0", "videodev"):
        (found.dev / name).touch()
    return found


def test_system_is_asked(tmp_path: Path, places: Places) -> None:
    facts = look_at(machine_file(tmp_path), ManualClock(), places=places)
    assert facts.computer is not None
    assert facts.computer.clock_source == "hpet"
    assert facts.computer.governors == ("powersave",)
    assert facts.computer.videos == (f"{places.dev}/video0", f"{places.dev}/video1")
    assert set(facts.computer.cores) == os.sched_getaffinity(0)
    assert facts.state is not None
    assert (facts.state.path, facts.state.is_writable) == (str(tmp_path / "state"), True)
    assert facts.model is not None
    assert "model" in facts.model.error
    assert (facts.port, facts.running, facts.metrics_trouble) == (None, "", "")


@pytest.mark.parametrize(
    ("source", "state"),
    [
        ("", "none"),
        ("usb:0", "unknown"),
        ("v4l2:", "unknown"),
        ("genicam:", "unasked"),
        ("v4l2:/nowhere/video0", "missing"),
        pytest.param("replay:/" + 300 * "x", "missing", id="a name that no disk can hold"),
        ("v4l2:{there}?lines=480", "there"),
        ("replay:{there}", "there"),
        ("virtual:{there}", "there"),
    ],
)
def test_source_is_looked_for(source: str, state: str, tmp_path: Path, places: Places) -> None:
    path = machine_file(tmp_path, source=source.format(there=places.dev / "video0"))
    assert look_at(path, ManualClock(), places=places).cameras[0].state == state


def with_state(path: Path, state: Path) -> Path:
    path.write_text(path.read_text(encoding="utf-8") + f'state = "{state}"\n', encoding="utf-8")
    return path


def test_the_model_that_stands_in_is_looked_at_where_one_is_named(tmp_path: Path, places: Places) -> None:
    path = machine_file(tmp_path)
    assert look_at(path, ManualClock(), places=places).fallback is None
    path.write_text(path.read_text(encoding="utf-8") + 'fallback = "quick"\n', encoding="utf-8")
    found = look_at(path, ManualClock(), places=places).fallback
    assert found is not None
    assert (found.path, bool(found.error)) == (str(tmp_path / "quick"), True)


def test_a_state_folder_that_cannot_be_asked_for_is_judged_by_the_folder_above_it(
    tmp_path: Path, places: Places
) -> None:
    state = tmp_path / (300 * "x")  # longer than a name may be
    facts = look_at(with_state(machine_file(tmp_path), state), ManualClock(), places=places)
    assert facts.state is not None
    assert (facts.state.path, facts.state.is_writable) == (str(state), True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may search every folder")
def test_what_lies_in_a_folder_of_another_user_is_denied(tmp_path: Path, places: Places) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0)
    path = with_state(machine_file(tmp_path, source=f"replay:{private}/recording"), private / "state")
    facts = look_at(path, ManualClock(), places=places)
    assert facts.cameras[0].state == "denied"
    assert facts.state is not None
    assert not facts.state.is_writable


def test_wrong_machine_file_is_all_that_is_found(tmp_path: Path, places: Places) -> None:
    path = tmp_path / "machine.toml"
    path.write_text("nmae = 1\n", encoding="utf-8")
    facts = look_at(path, ManualClock(), places=places)
    assert "nmae" in facts.machine_error
    assert (facts.machine, facts.computer) == (None, None)


def test_controller_is_examined_while_no_run_answers(tmp_path: Path, places: Places) -> None:
    facts = look_at(machine_file(tmp_path, port="virtual"), ManualClock(), places=places)
    assert facts.port is not None
    assert facts.port.answer is not None
    assert facts.port.answer.is_connected
    gone = look_at(machine_file(tmp_path, port="/nowhere/tty"), ManualClock(), places=places)
    assert gone.port is not None
    assert gone.port.trouble is not None


def test_run_that_answers_keeps_its_port_to_itself(tmp_path: Path, places: Places) -> None:
    with answering(Answer(200, msgspec.json.encode(report_of()).decode())) as metrics:
        facts = look_at(machine_file(tmp_path, port="virtual", metrics=metrics), ManualClock(), places=places)
    assert (facts.running, facts.port, facts.metrics_trouble) == ("desk", None, "")


def test_port_for_metrics_that_another_program_has_is_told(tmp_path: Path, places: Places) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # it does not listen: whoever asks is refused
        metrics = holder.getsockname()[1]
        facts = look_at(machine_file(tmp_path, metrics=metrics), ManualClock(), places=places)
    assert f"port {metrics} is in use" in facts.metrics_trouble


def test_priority_is_given_back(tmp_path: Path, places: Places) -> None:
    facts = look_at(machine_file(tmp_path, priority=1), ManualClock(), places=places)
    assert facts.computer is not None
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert facts.computer.priority_refused in {"", "Operation not permitted"}
