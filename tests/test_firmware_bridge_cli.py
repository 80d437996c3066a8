"""`sortloop-link`: results on stdout, documented exit codes, quick help; the commands that only look."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import pytest
from cli_runs import RestartsOnce, board_on_pty, run
from click.testing import CliRunner

from firmware_bridge.board_shell import open_pty
from firmware_bridge.cli import cli
from firmware_bridge.virtual_board import VirtualBoard

VERBS: Final = (
    *("ports", "identify", "ping", "monitor", "replay"),
    *("fire", "selftest", "doctor", "board", "chaos", "bench"),
)
SHOW_CURSOR: Final = b"\x1b[?25h"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_json(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert f"Example: sortloop-link {verb}" in result.output
    assert "--json" in result.output


def test_the_group_lists_exactly_these_verbs_and_has_a_version() -> None:
    assert isinstance(cli, click.Group)
    assert set(VERBS) == set(cli.commands)
    assert "sortloop-link" in CliRunner().invoke(cli, ["--version"]).output


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "chaos"])
def test_the_list_of_verbs_cuts_no_summary_off(verb: str) -> None:
    row = next(
        line for line in CliRunner().invoke(cli, ["--help"]).output.splitlines() if line.startswith(f"  {verb} ")
    )
    assert row.endswith(".")
    assert not row.endswith("...")


def test_help_waits_for_nothing_heavy() -> None:
    heavy = "numpy serial structlog ctypes firmware_bridge.link firmware_bridge.messages importlib.metadata"
    code = f"import sys, firmware_bridge.cli; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "key", "version"),
    [
        (["ports"], "ports", 2),
        (["identify", "--port", "virtual"], "uid", 2),
        (["ping", "--port", "virtual", "--count", "3"], "median_ms", 1),
        (["monitor", "--port", "virtual", "--for-s", "0.05"], "kind", 1),
        (["fire", "--port", "virtual", "--valve", "3", "--armed"], "has_fired", 1),
        (["selftest", "--port", "virtual", "--last", "3", "--armed"], "valves", 1),
        (["doctor", "--port", "virtual", "--for-s", "0.3", "--pings", "5"], "findings", 1),
        (["doctor", "--explain", "LATE_RATE"], "remedy", 1),
        (["board", "--for-s", "0"], "path", 1),
        (["board", "--for-s", "0", "--python"], "path", 1),
        (["bench", "--for-s", "0.01"], "rows", 1),
        (["bench", "--port", "virtual", "--for-s", "0.05", "--pings", "5"], "rows", 1),
    ],
    ids=str,
)
def test_json_is_one_versioned_object_a_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], key: str, version: int
) -> None:
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    assert out
    for line in out.splitlines():
        report = json.loads(line)
        assert report["schema_version"] == version
        assert key in report


def test_identify_compares_the_dictionary_with_this_programs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "identify", "--port", "virtual")
    assert code == 0
    assert "n_valves      256" in out
    assert "dictionary    same" in out


def test_a_missing_port_is_a_device_error_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "identify", "--port", "/dev/not-there")
    assert (code, out) == (4, "")
    assert "/dev/not-there at 921600 baud cannot be opened" in err
    assert "sortloop-link ports" in err


def test_a_short_name_of_a_port_is_refused_with_the_long_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "ping", "--port", "ttyACM0")
    assert code == 4
    assert "try /dev/ttyACM0" in err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "identify", "--prot", "x")[0] == 2


def test_identify_reaches_a_board_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(VirtualBoard()) as path:
        code, out, _ = run(capsys, "identify", "--port", path, "--json")
    assert code == 0
    assert json.loads(out)["port"] == path


def test_a_terminal_that_nobody_answers_on_is_a_device_error(capsys: pytest.CaptureFixture[str]) -> None:
    line = open_pty()
    code, _, err = run(capsys, "ping", "--port", line.path)
    line.close()
    assert code == 4
    assert "no answer to HELLO within 2.0 s" in err


# ----- monitor


def test_monitor_into_a_pipe_names_states_and_faults(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "monitor", "--port", "virtual", "--for-s", "0.15")
    assert code == 0
    assert all(" Status " in line for line in out.splitlines())
    assert "state=IDLE faults=none" in out


def test_monitor_ends_with_the_reason_when_the_session_does(capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_pty(RestartsOnce(lambda board, outputs: outputs >= 8)) as path:
        code, out, err = run(capsys, "monitor", "--port", path)
    assert code == 4
    assert "LinkDown reason=RESTARTED" in out
    assert "session ended: controller restarted: boot 1 is now 2. Its supply dipped" in err


def on_terminal(*arguments: str, stop_at: bytes = b"") -> tuple[int, bytes]:
    """Run a command with a terminal as its stdout, interrupted once `stop_at` has appeared; exit code and output."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "firmware_bridge", *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as program:
        os.close(theirs)
        out = b""
        try:
            while data := os.read(ours, 65_536):
                out += data
                if stop_at and stop_at in out:
                    stop_at = b""
                    program.send_signal(signal.SIGINT)
        except OSError:  # how Linux reports the end of a terminal
            pass
        os.close(ours)
        return program.wait(30.0), out


def test_monitor_on_a_terminal_draws_a_table_over_itself() -> None:
    code, out = on_terminal("monitor", "--port", "virtual", "--for-s", "0.6")
    assert code == 0
    assert out.count(b"state     IDLE") >= 2
    assert b"\x1b[12A" in out
    assert out.endswith(SHOW_CURSOR)


def test_ctrl_c_leaves_the_terminal_clean() -> None:
    code, out = on_terminal("monitor", "--port", "virtual", stop_at=b"state     IDLE")
    assert code == 130
    assert out.index(SHOW_CURSOR) < out.index(b"interrupted")
    assert b"Traceback" not in out


def test_progress_is_told_on_a_terminal_and_wiped_off() -> None:
    code, out = on_terminal("selftest", "--port", "virtual", "--last", "3", "--armed")
    assert code == 0
    assert b"\r\x1b[Kvalve 0 of 3" in out
    assert out.split(b"\x1b[K")[-1].startswith(b"4 valves tried")


def test_json_on_a_terminal_is_still_json() -> None:
    code, out = on_terminal("monitor", "--port", "virtual", "--for-s", "0.05", "--json")
    assert code == 0
    assert {json.loads(line)["kind"] for line in out.splitlines()} == {"Status"}


# ----- record and replay


@pytest.fixture
def recording(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Path:
    """The traffic of a short session."""
    path = tmp_path / "run.sel1"
    assert run(capsys, "ping", "--port", "virtual", "--count", "2", "--record", str(path))[0] == 0
    return path


def test_replay_lists_what_was_recorded_in_words(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    code, out, err = run(capsys, "replay", str(recording))
    assert code == 0
    names = [line.split()[2] for line in out.splitlines()]
    assert names[:2] == ["HELLO", "IDENT"]
    assert {"CLOCK_REQ", "CLOCK_RSP", "STATUS"} <= set(names)
    assert f"{len(names)} frames, 0 damaged" in err


def test_replay_tells_the_two_directions_apart(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    _, out, _ = run(capsys, "replay", str(recording), "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["to_board"] for line in lines if line["name"] == "CLOCK_REQ"} == {True}
    assert {line["to_board"] for line in lines if line["name"] == "CLOCK_RSP"} == {False}


def test_replay_shows_only_and_hides_what_was_asked(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    _, only, _ = run(capsys, "replay", str(recording), "--only", "ident")
    _, rest, _ = run(capsys, "replay", str(recording), "--hide", "IDENT")
    assert [line.split()[2] for line in only.splitlines()] == ["IDENT"]
    assert "IDENT" not in rest
    assert "HELLO" in rest


def test_replay_goes_on_behind_a_damaged_frame_and_says_what_is_torn(
    capsys: pytest.CaptureFixture[str], recording: Path
) -> None:
    recording.write_bytes(recording.read_bytes()[:-3])
    code, out, err = run(capsys, "replay", str(recording))
    assert code == 0
    assert "HELLO" in out
    assert "torn or damaged" in err


def test_what_is_no_recording_is_a_file_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    code, out, err = run(capsys, "replay", str(other))
    assert (code, out) == (5, "")
    assert "no recording of traffic" in err


def test_a_recording_never_overwrites_another(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    before = recording.read_bytes()
    code, _, err = run(capsys, "ping", "--port", "virtual", "--record", str(recording))
    assert code == 5
    assert "cannot be begun" in err
    assert recording.read_bytes() == before
