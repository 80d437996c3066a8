"""`sortloop-edge status` and `doctor` as the shell runs them."""

from pathlib import Path

import msgspec
import pytest
from live_reports import answering, machine_file, report_of

from edge_runtime.cli import cli
from edge_runtime.live.doctor_report import LiveDoctorReport
from edge_runtime.live.http_text import Answer
from edge_runtime.live.run_report import LiveReport
from firmware_bridge.command_line import run_command_line


def program(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stop:
        run_command_line(cli, [str(argument) for argument in arguments])
    return stop.value.code, *capsys.readouterr()


def test_status_without_a_run_has_its_exit_code_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = program(capsys, "status", "--config", machine_file(tmp_path, metrics=9))
    assert (code, out) == (4, "")
    assert err.startswith("no run answers at port 9 of this computer\nStart it: `sortloop-edge run")


def test_status_shows_a_run_as_text_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(trouble="no air")
    with answering(Answer(200, msgspec.json.encode(report).decode())) as metrics:
        path = machine_file(tmp_path, metrics=metrics)
        code, out, _ = program(capsys, "status", "--config", path)
        assert (code, out.splitlines()[0].startswith("desk: 1.5 s, armed, ")) == (0, True)
        assert "LOOK AT THIS: no air" in out
        code, out, _ = program(capsys, "status", "--config", path, "--json")
    assert (code, msgspec.json.decode(out, type=LiveReport)) == (0, report)


def test_doctor_says_what_is_wrong_and_so_does_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = machine_file(tmp_path, source="v4l2:/nowhere/video0")
    code, out, _ = program(capsys, "doctor", "--config", path)
    assert code == 1
    assert "WRONG     Camera top: v4l2:/nowhere/video0 is not there" in out
    code, out, _ = program(capsys, "doctor", "--config", path, "--json", "--lang", "zh-CN")
    report = msgspec.json.decode(out, type=LiveDoctorReport)
    assert (code, report.worst, report.language) == (1, "wrong", "zh-CN")
    assert {"camera_missing", "model_wrong", "port_none"} <= {check.code for check in report.checks}


def test_doctor_finds_a_good_machine_good(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = machine_file(tmp_path, port="virtual", source=f"replay:{tmp_path}")
    path.write_text(path.read_text(encoding="utf-8") + f'model = "{tiny_model_folder}"\n', encoding="utf-8")
    code, out, _ = program(capsys, "doctor", "--config", path)
    assert (code, "0 wrong" in out) == (0, True), out
