"""What tests of `sortloop-link` share: a run as the shell would, and a board on a terminal to run against."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from firmware_bridge.board import Board
from firmware_bridge.board_shell import BoardShell, open_pty
from firmware_bridge.cli import cli
from firmware_bridge.clock import SystemClock
from firmware_bridge.command_line import run_command_line
from firmware_bridge.virtual_board import VirtualBoard

__all__ = ["RestartsOnce", "board_on_pty", "run"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command line as the shell would: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as stop:
        run_command_line(cli, arguments)
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


@contextmanager
def board_on_pty(board: Board) -> Iterator[str]:
    """Let a board live on a terminal in a thread of its own; yields the terminal's path."""
    line, stop = open_pty(), threading.Event()
    shell = BoardShell(board, line.transport, SystemClock())
    thread = threading.Thread(target=shell.run, args=(stop.is_set,))
    thread.start()
    try:
        yield line.path
    finally:
        stop.set()
        thread.join(5.0)
        line.close()


class RestartsOnce(VirtualBoard):
    """A board that loses power for an instant as soon as `should_restart(board, outputs so far)` says so."""

    def __init__(self, should_restart: Callable[[VirtualBoard, int], bool]) -> None:
        super().__init__()
        self._should_restart = should_restart
        self._now_ns = self._outputs = 0
        self._has_restarted = False

    def advance(self, now_ns: int) -> None:
        self._now_ns = now_ns
        super().advance(now_ns)

    def take_output(self) -> bytes:
        data = super().take_output()
        self._outputs += bool(data)
        if data and not self._has_restarted and self._should_restart(self, self._outputs):
            self._has_restarted = True
            self.reboot(self._now_ns)
        return data
