"""`sortloop-link`: results on stdout, documented exit codes, nothing moves without --armed."""

import json
import threading

import click
import pytest
from click.testing import CliRunner

from firmware_bridge.board_shell import BoardShell, open_pty
from firmware_bridge.cli import cli
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import run_command_line
from firmware_bridge.virtual_board import VirtualBoard

VERBS = ("ports", "identify", "ping", "monitor", "fire", "board")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command line as the shell would: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as stop:
        run_command_line(cli, arguments)
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


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


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["ports"], "ports"),
        (["identify", "--port", "virtual"], "uid"),
        (["ping", "--port", "virtual", "--count", "3"], "median_ms"),
        (["monitor", "--port", "virtual", "--for-s", "0.05"], "kind"),
        (["fire", "--port", "virtual", "--valve", "3", "--armed"], "has_fired"),
        (["board", "--for-s", "0"], "path"),
    ],
    ids=str,
)
def test_json_is_one_versioned_object_a_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], key: str
) -> None:
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    for line in out.splitlines():
        report = json.loads(line)
        assert report["schema_version"] == 1
        assert key in report


def test_text_names_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "identify", "--port", "virtual")
    assert code == 0
    assert "n_valves      256" in out


def test_fire_without_armed_sends_nothing_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "fire", "--port", "/dev/not-there", "--valve", "3")
    assert (code, out) == (2, "")
    assert "add --armed" in err


def test_fire_that_is_refused_is_a_no(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "fire", "--port", "virtual", "--valve", "300", "--armed", "--json")
    assert code == 1
    assert json.loads(out)["reason"] == "BAD_VALVE"


def test_a_missing_port_is_a_device_error_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "identify", "--port", "/dev/not-there")
    assert (code, out) == (4, "")
    assert "/dev/not-there at 921600 baud cannot be opened" in err
    assert "sortloop-link ports" in err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "identify", "--prot", "x")[0] == 2


def test_identify_reaches_a_board_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    line = open_pty()
    stop = threading.Event()
    shell = BoardShell(VirtualBoard(), line.transport, SystemClock())
    thread = threading.Thread(target=shell.run, args=(stop.is_set,))
    thread.start()
    try:
        code, out, _ = run(capsys, "identify", "--port", line.path, "--json")
    finally:
        stop.set()
        thread.join(5.0)
        line.close()
    assert code == 0
    assert json.loads(out)["port"] == line.path


def test_a_terminal_that_nobody_answers_on_is_a_device_error(capsys: pytest.CaptureFixture[str]) -> None:
    line = open_pty()
    code, _, err = run(capsys, "ping", "--port", line.path)
    line.close()
    assert code == 4
    assert "no answer to HELLO within 2.0 s" in err
