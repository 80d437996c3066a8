"""Stories told to any board as scripts of `c/sel_play.c`, so that builds of the C core of their own live through them.

Also what sel_play answers, held against what the board did.
"""

import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from firmware_bridge import messages as m
from firmware_bridge.board import Board, BoardSettings
from firmware_bridge.codec import encode_payload
from firmware_bridge.link_events import TransferReceived
from firmware_bridge.pulse_recorder import FiredPulse, PulseRecorder

__all__ = ["Answer", "Player", "Script", "ToldBoard", "compared_answers", "play"]

U32: Final = 0xFFFFFFFF
NEVER: Final = 2**63 - 1  # sel_eject_next: no output will change


class Answer(NamedTuple):
    """What one call led to."""

    output: bytes
    fired: list[FiredPulse]
    transfers: list[bytes]
    state: int
    feeder_permille: int


@dataclass
class Script:
    """Calls for sel_play."""

    settings: BoardSettings
    parts: list[bytes] = field(default_factory=list)
    bare: int = 0

    def call(self, op: str, payload: bytes = b"", *, tick: int = 0, enc: int = 0) -> None:
        self.parts.append(struct.pack("<cqII", op.encode(), tick, enc & U32, len(payload)) + payload)

    def power_on(self, boot_id: int) -> None:
        traits = (self.settings.n_valves, self.settings.slots, boot_id, self.settings.uid, self.bare)
        self.call("I", struct.pack("<HHI12sB", *traits))

    def set_readings(self) -> None:
        for valve in range(self.settings.n_valves):
            self.call("D", struct.pack("<HHH", valve, *self.settings.reading_of(valve)))


class ToldBoard:
    """A board, with everything it is told written down as a script and every answer kept."""

    def __init__(self, board: Board) -> None:
        self.inner = board
        self.settings = board.settings
        self.script = Script(board.settings)
        self.answers: list[Answer] = []
        self._boot_id = board.settings.boot_id
        self._output = b""
        self._fired: list[FiredPulse] = []
        self.script.set_readings()
        self.script.power_on(self._boot_id)
        self._keep()

    @property
    def state(self) -> m.BoardState:
        return self.inner.state

    @property
    def feeder_permille(self) -> int:
        return self.inner.feeder_permille

    @property
    def fired(self) -> list[FiredPulse]:
        return list(self._fired)

    def take_fired(self) -> list[FiredPulse]:
        fired, self._fired = self._fired, []
        return fired

    def tick_at(self, now_ns: int) -> int:
        return self.inner.tick_at(now_ns)

    def encoder_at(self, now_ns: int) -> int:
        return self.inner.encoder_at(now_ns)

    def take_output(self) -> bytes:
        output, self._output = self._output, b""
        return output

    def take_transfers(self) -> list[TransferReceived]:
        return []

    def feed(self, data: bytes, now_ns: int) -> None:
        self._tell("F", now_ns, data)
        self.inner.feed(data, now_ns)
        self._keep()

    def advance(self, now_ns: int) -> None:
        self._tell("A", now_ns)
        self.inner.advance(now_ns)
        self._keep()

    def trigger(self, frame_no: int, now_ns: int, *, enc: int | None = None) -> None:
        stamp = self.encoder_at(now_ns) if enc is None else enc
        self._tell("T", now_ns, struct.pack("<II", frame_no, stamp & U32))
        self.inner.trigger(frame_no, now_ns, enc=enc)
        self._keep()

    def report_verdict(self, verdict: m.Verdict) -> None:
        self.inner.report_verdict(verdict)
        self.script.call("V", encode_payload(verdict))

    def reboot(self, now_ns: int) -> None:
        self._tell("P", now_ns)
        self.inner.reboot(now_ns)
        self._boot_id += 1
        self.script.power_on(self._boot_id)
        self._keep()

    def _tell(self, op: str, now_ns: int, payload: bytes = b"") -> None:
        self.script.call(op, payload, tick=self.tick_at(now_ns), enc=self.encoder_at(now_ns))

    def _keep(self) -> None:
        output, fired = self.inner.take_output(), self.inner.take_fired()
        transfers = [transfer.data for transfer in self.inner.take_transfers()]
        self._output += output
        self._fired += fired
        self.answers.append(Answer(output, fired, transfers, self.inner.state, self.inner.feeder_permille))


@dataclass
class Player:
    """Reads what sel_play writes, and checks what it says about its outputs against the pulses it announced."""

    data: bytes
    recorder: PulseRecorder = field(default_factory=PulseRecorder)
    planned: list[FiredPulse] = field(default_factory=list)
    at: int = 0
    is_watched: bool = True  # has an observer

    def answers(self) -> Iterator[Answer]:
        output, transfers = b"", []
        while self.at < len(self.data):
            kind = self.data[self.at : self.at + 1]
            self.at += 1
            match kind:
                case b"o":
                    output += self.sized()
                case b"t":
                    transfers.append(self.sized())
                case b"p":
                    evid, opens, closes, first, count = self._take("<qqqHH")
                    pulse = FiredPulse(evid, first, count, opens, closes)
                    self.recorder.open(pulse)
                    self.planned.append(pulse)
                case b"c":
                    (tick,) = self._take("<q")
                    self.recorder.cut(tick)
                    cut = [pulse for pulse in self.planned if pulse.open_tick < tick]
                    self.planned = [pulse._replace(close_tick=min(pulse.close_tick, tick)) for pulse in cut]
                case b"s":
                    state, feeder, pending, now, following, is_open = self._take("<BHHqqI")
                    self.recorder.run_until(now)
                    if self.is_watched:
                        self._check_outputs(now, following, is_open, has_pending=pending > 0)
                    yield Answer(output, self.recorder.take(), transfers, state, feeder)
                    output, transfers = b"", []
                case _:
                    raise AssertionError(f"sel_play wrote {kind!r} at {self.at}")

    def forget(self) -> None:
        """Begin with another controller."""
        self.recorder, self.planned = PulseRecorder(), []

    def _check_outputs(self, now: int, following: int, is_open: int, *, has_pending: bool) -> None:
        self.planned = [pulse for pulse in self.planned if pulse.close_tick > now]
        expected, edges = 0, [NEVER]
        for valve in range(32):
            mine = [
                pulse for pulse in self.planned if pulse.first_valve <= valve < pulse.first_valve + pulse.valve_count
            ]
            is_mine_open = any(pulse.open_tick <= now for pulse in mine)
            expected |= is_mine_open << valve
            if mine:
                edges.append(max(p.close_tick for p in mine) if is_mine_open else min(p.open_tick for p in mine))
        assert expected == is_open
        assert following <= min(edges) if has_pending else following == min(edges)

    def _take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def sized(self) -> bytes:
        (size,) = self._take("<I")
        self.at += size
        return self.data[self.at - size : self.at]


def play(program: Path, script: bytes) -> bytes:
    """Run sel_play; a sanitizer that finds something fails it."""
    done = subprocess.run([program], check=False, capture_output=True, input=script, timeout=60, cwd=program.parent)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def compared_answers(program: Path, boards: Sequence[ToldBoard]) -> int:
    """Make sure that the program answers as the boards did, all in one run; return how many answers that were."""
    script = b"".join(part for board in boards for part in board.script.parts)
    player = Player(play(program, script))
    answers = player.answers()
    for number, board in enumerate(boards):
        player.forget()
        for call, expected in enumerate(board.answers):
            assert (number, call, expected) == (number, call, next(answers))
    assert next(answers, None) is None
    return sum(len(board.answers) for board in boards)
