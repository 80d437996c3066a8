"""The controller of a virtual world: a board on a line, and power and line may fail.

It moves bytes and time like `firmware_bridge.board_shell`, but knows when it really happened: a trigger is latched at
its own time, however late this process woke. It must not know pieces or pixels.

>>> import tempfile
>>> from firmware_bridge.virtual_board import VirtualBoard
>>> with tempfile.TemporaryDirectory() as folder:
...     controller = WorldController(VirtualBoard(), Path(folder) / "controller", line_0_ns=0)
...     controller.advance(1_000_000)
...     print(controller.board.state.name, controller.log.states[0].state)
...     controller.close()
SAFE SAFE
"""

from pathlib import Path

from edge_runtime.virtual_world_line import WorldLine, open_line
from edge_runtime.virtual_world_log import BoardLog
from firmware_bridge.board import Board
from firmware_bridge.errors import LinkStateError
from firmware_bridge.messages import BoardState, Verdict

__all__ = ["WorldController"]


class WorldController:
    """A board, its terminal and its log.

    Attributes:
        board: for looking at.
        log: what happened.
        dropped_b: bytes to the host for which there was no room, or no line.

    Args:
        board: just switched on.
        place: symlink that names its terminal, or the TCP port at which it listens.
        line_0_ns: zero of the log's axis.

    Raises:
        TransportError: the system has no pseudo-terminal left, the link cannot be made, or the port is in use.
    """

    def __init__(self, board: Board, place: Path | int, line_0_ns: int) -> None:
        self.board = board
        self.log = BoardLog(line_0_ns, board.settings.drift_ppm)
        self.dropped_b = 0
        self._place = place
        self._line: WorldLine | None = open_line(place)
        self._silent_until_ns = self._unplugged_until_ns = 0

    @property
    def is_armed(self) -> bool:
        """Tell whether the valves may fire."""
        return self.board.state in {BoardState.ARMED, BoardState.DEGRADED}

    def filenos(self) -> list[int]:
        """Return what to look at for reading: nothing while the line is unplugged."""
        return [] if self._line is None else self._line.filenos()

    def trigger(self, frame_no: int, at_ns: int) -> None:
        """Latch a block's trigger at its own time; it must not lie before any time told before."""
        self.board.trigger(frame_no, at_ns)

    def hear(self, now_ns: int) -> None:
        """Take what the host has sent."""
        data = b"" if self._line is None else self._line.read()
        if data and now_ns >= self._silent_until_ns:
            self.board.feed(data, now_ns)

    def advance(self, now_ns: int) -> None:
        """Let time pass: the board acts and speaks, and it is written down.

        Raises:
            TransportError: the line that was unplugged cannot be made again.
        """
        if self._line is None and now_ns >= self._unplugged_until_ns:
            self._line = open_line(self._place)
        self.board.advance(now_ns)
        self._note(now_ns)
        output = self.board.take_output()
        if output:
            self.log.see_output(output)
            self._say(output, now_ns)
        self.log.see_state(self.board.state, now_ns)
        self.log.see_feeder(self.board.feeder_permille, now_ns)

    def report_verdict(self, verdict: Verdict) -> bool:
        """Tell the host about a piece; return False where no host has a session."""
        try:
            self.board.report_verdict(verdict)
        except LinkStateError:
            return False
        return True

    def cut_power(self, now_ns: int) -> None:
        """Take the board's power away for an instant."""
        self.advance(now_ns)
        tick = self.board.tick_at(now_ns)
        self.board.reboot(now_ns)
        self.log.see_pulses(self.board.take_fired(), tick=tick, now_ns=now_ns)
        self.log.see_boot(now_ns, self.board.state)

    def silence(self, until_ns: int) -> None:
        """Let no byte through, in either direction, before that time."""
        self._silent_until_ns = until_ns

    def unplug(self, until_ns: int) -> None:
        """Take the line away, as a cable that is pulled, until that time; the host reads a hang-up."""
        self._unplugged_until_ns = until_ns
        self.close()

    def close(self) -> None:
        """Take the line away; twice is harmless."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _note(self, now_ns: int) -> None:
        fired = self.board.take_fired()
        if fired:
            self.log.see_pulses(fired, tick=self.board.tick_at(now_ns), now_ns=now_ns)

    def _say(self, data: bytes, now_ns: int) -> None:
        """Put bytes on the line as far as there is room: a board does not wait for its host."""
        count = 0
        if self._line is not None and now_ns >= self._silent_until_ns:
            count = self._line.write(data)
        self.dropped_b += len(data) - count
