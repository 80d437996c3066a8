"""`board`: a real process on a terminal, a named terminal or a TCP port; signals reach it, and it cleans up."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from c_programs import needs_compiler
from cli_runs import run

from firmware_bridge.clock import SystemClock
from firmware_bridge.link import Link
from firmware_bridge.link_events import DownReason, EjectEvent, LinkDown
from firmware_bridge.transport_open import open_transport

KINDS = [pytest.param([], id="c", marks=needs_compiler), pytest.param(["--python"], id="python")]
kinds = pytest.mark.parametrize("kind", KINDS)


@contextmanager
def board_process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `sortloop-link board`; yields the process and the path it printed."""
    command = [sys.executable, "-m", "firmware_bridge", "board", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            yield program, program.stdout.readline().strip()
        finally:
            program.kill()


def connected(path: str) -> Link:
    clock = SystemClock()
    link = Link(open_transport(path, clock=clock), clock)
    link.connect(5.0)
    return link


def poll_until_down(link: Link, timeout_s: float = 5.0) -> LinkDown:
    clock = SystemClock()
    end_ns = clock.monotonic_ns() + round(timeout_s * 1e9)
    while clock.monotonic_ns() < end_ns:
        for event in link.poll():
            if isinstance(event, LinkDown):
                return event
        clock.sleep_s(0.002)
    raise AssertionError("the session is still up")


@kinds
def test_a_host_finds_the_valves_it_was_given(kind: list[str]) -> None:
    with board_process("--valves", "24", *kind) as (_, path):
        link = connected(path)
        assert link.ident is not None
        assert link.ident.n_valves == 24
        link.close()


@kinds
def test_sigterm_ends_it_in_good_order_and_removes_the_name(kind: list[str], tmp_path: Path) -> None:
    name = tmp_path / "ejector"
    with board_process("--link", str(name), *kind) as (program, path):
        assert path == str(name)
        assert name.is_symlink()
        program.send_signal(signal.SIGTERM)
        assert program.wait(10.0) == 0
    assert not name.is_symlink()


@kinds
def test_ctrl_c_ends_it_as_interrupted(kind: list[str]) -> None:
    with board_process(*kind) as (program, _):
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=10.0)
        assert program.returncode == 130
        assert "Traceback" not in err


@kinds
def test_sigusr1_is_a_power_failure(kind: list[str]) -> None:
    with board_process(*kind) as (program, path):
        link = connected(path)
        program.send_signal(signal.SIGUSR1)
        assert poll_until_down(link).reason is DownReason.RESTARTED
        link.close()


@kinds
def test_it_serves_one_host_after_another_over_tcp(kind: list[str]) -> None:
    with board_process("--tcp", "0", *kind) as (_, path):
        assert path.startswith("tcp://127.0.0.1:")
        for _ in range(2):
            link = connected(path)
            assert link.is_up
            link.close()


@kinds
def test_the_log_tells_states_and_pulses_in_the_same_words(kind: list[str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with board_process("--log", str(log), *kind) as (_, path):
        link = connected(path)
        link.configure({})
        link.arm(5.0)
        link.eject([EjectEvent((link.tick_now() + 20_000) & 0xFFFFFFFF, 3, 2, 1000)])
        clock = SystemClock()
        while link.open_events:
            link.poll()
            clock.sleep_s(0.002)
        link.close()
    lines = [line.split()[1:] for line in log.read_text().splitlines()]
    states = [words[1] for words in lines if words[0] == "state"]
    pulses = [words for words in lines if words[0] == "pulse"]
    assert states[states.index("IDLE") :][:2] == ["IDLE", "ARMED"]
    assert [words[1:4] for words in pulses] == [["0", "3", "2"]]
    assert int(pulses[0][5]) - int(pulses[0][4]) == 1000


@needs_compiler
def test_the_c_board_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """Nothing else would end it, and the next board could not have its name."""
    name = tmp_path / "ejector"
    with board_process("--link", str(name)) as (program, _):
        program.kill()
        program.wait(10.0)
        clock = SystemClock()
        end_ns = clock.monotonic_ns() + 5_000_000_000
        while name.is_symlink() and clock.monotonic_ns() < end_ns:
            clock.sleep_s(0.01)
    assert not name.is_symlink()


def test_without_a_compiler_it_says_so_and_plays_in_python() -> None:
    command = [sys.executable, "-m", "firmware_bridge", "board", "--for-s", "0", "--json"]
    empty_path = {**os.environ, "PATH": "/nowhere"}
    done = subprocess.run(command, env=empty_path, capture_output=True, text=True, timeout=30.0, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["n_valves"] == 256
    assert "C compiler cc or gcc or clang not found" in done.stderr
    assert "the pure-Python board plays 256 valves" in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_it_lives_as_long_as_it_was_told(kind: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "board", "--for-s", "0.05", "--link", str(tmp_path / "ejector"), *kind)
    assert code == 0
    assert out == f"{tmp_path / 'ejector'}\n"
    assert "Ctrl-C ends it" in err


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_of_somebody_else_is_a_device_error(kind: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with board_process("--tcp", "0", "--python") as (_, path):
        code, out, err = run(capfd, "board", "--tcp", path.rsplit(":", 1)[1], *kind)
    assert (code, out) == (4, "")
    assert "in use" in err


def test_a_log_that_cannot_be_written_is_a_file_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "board", "--python", "--for-s", "0", "--log", str(tmp_path / "no" / "log"))
    assert (code, out) == (5, "")
    assert "cannot be written" in err


def test_a_name_and_a_tcp_port_do_not_go_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "board", "--tcp", "0", "--link", str(tmp_path / "ejector"))
    assert (code, out) == (2, "")
    assert "choose one" in err
