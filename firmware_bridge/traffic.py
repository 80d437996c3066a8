"""What a recording says, for people, and what a board makes of it when it hears the same host again.

Pure: pieces in, pieces or lines out; `traffic_file` reads them.

>>> from firmware_bridge.framing import encode_frame
>>> wire = encode_frame(0x24, 0x5A, 2, bytes.fromhex("ee02"))
>>> [line] = describe_traffic([TrafficPiece(5_000_000, TrafficKind.TO_BOARD, wire)])
>>> line.t_ns, line.name, line.text
(5000000, 'FEEDER_SET', 'permille=750')
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from enum import Enum, IntFlag
from typing import Final, Protocol

import msgspec

from firmware_bridge.codec import MESSAGE_TABLE, decode_payload
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import Deframer, Frame
from firmware_bridge.messages import ClockRsp, Message, Status
from firmware_bridge.traffic_file import TrafficKind, TrafficPiece

__all__ = ["NO_NAME", "ReplayBoard", "TrafficLine", "board_tick_offset", "describe_traffic", "replay_to_board"]

NO_NAME: Final = "?"
_BAD: Final = {
    "cobs_err": "no COBS",
    "crc_err": "wrong checksum",
    "len_err": "too short or too long to be a frame",
    "overflow": "longer than any frame",
}
_LONGEST_BODY_B: Final = 1032  # of a frame between a board and a PC


class ReplayBoard(Protocol):
    """What a replay needs of a board; every `Board` has it."""

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the host."""
        ...

    def advance(self, now_ns: int) -> None:
        """Let time pass."""
        ...

    def take_output(self) -> bytes:
        """Return the bytes to put on the wire and forget them."""
        ...


class TrafficLine(msgspec.Struct, frozen=True):
    """One frame, or one piece of the stream that is none.

    Attributes:
        t_ns: when its last byte passed, on the recording host's clock.
        kind: its direction.
        name: of the message, as in wire-protocol.md; "?" where there is none.
        epoch8: low byte of the session's epoch, None where the frame is damaged.
        seq: number of the frame in its class, None where the frame is damaged.
        text: the message's fields, or what is wrong.
        message: the decoded message, None where there is none.
    """

    t_ns: int
    kind: TrafficKind
    name: str
    text: str
    epoch8: int | None = None
    seq: int | None = None
    message: Message | None = None


def describe_traffic(pieces: Iterable[TrafficPiece]) -> Iterator[TrafficLine]:
    """Yield one line for each frame and each damaged piece, in the order in which they ended; never raises on bytes."""
    deframers = {kind: Deframer(_LONGEST_BODY_B) for kind in (TrafficKind.TO_BOARD, TrafficKind.TO_HOST)}
    for piece in pieces:
        deframer = deframers.get(piece.kind)
        if deframer is None:
            continue
        for part in re.findall(rb"[^\0]*\0?", piece.data):  # frame by frame: damaged ones stand in their places
            counters = dataclasses.replace(deframer.counters)
            for frame in deframer.feed(part):
                yield _describe(piece, frame)
            for counter, text in _BAD.items():
                if getattr(deframer.counters, counter) > getattr(counters, counter):
                    yield TrafficLine(piece.t_ns, piece.kind, NO_NAME, text)


def replay_to_board(pieces: Iterable[TrafficPiece], board: ReplayBoard) -> Iterator[TrafficPiece]:
    """Let `board` hear what the recorded host said, at the recorded times, and yield what it answers.

    A session of a virtual board, recorded in virtual time with quiet moments marked, gives the same bytes and the same
    pulses again from a board with the same settings. A board that was triggered, rebooted or otherwise touched outside
    of the wire did things that no recording of the wire can repeat.

    Args:
        pieces: times must not go back.
        board: fresh; for a recording of a real controller see `board_tick_offset`.
    """
    for piece in pieces:
        if piece.kind is TrafficKind.TO_BOARD:
            board.feed(piece.data, piece.t_ns)
        else:
            board.advance(piece.t_ns)
        answer = board.take_output()
        if answer:
            yield TrafficPiece(piece.t_ns, TrafficKind.TO_HOST, answer)


def board_tick_offset(pieces: Iterable[TrafficPiece], *, tick_hz: int = 1_000_000) -> int | None:
    """Return the tick at time 0 that makes a virtual board agree with the recorded controller's clock.

    Fire times in a recording are the recorded controller's ticks. The answer is good to the time that the first
    CLOCK_RSP or STATUS was on its way; None where there is neither.
    """
    for line in describe_traffic(pieces):
        match line.message:
            case ClockRsp(tx_tick=tick) | Status(tick=tick):
                return tick - line.t_ns * tick_hz // 1_000_000_000
            case _:
                pass
    return None


def _describe(piece: TrafficPiece, frame: Frame) -> TrafficLine:
    spec = MESSAGE_TABLE.get(frame.type)
    name = NO_NAME if spec is None else spec.name
    try:
        message = decode_payload(frame.type, frame.payload)
    except MessageError as error:
        return TrafficLine(piece.t_ns, piece.kind, name, str(error), frame.epoch8, frame.seq)
    fields = msgspec.structs.asdict(message)
    text = " ".join(f"{field}={_plain(value)}" for field, value in fields.items())
    return TrafficLine(piece.t_ns, piece.kind, name, text, frame.epoch8, frame.seq, message)


def _plain(value: object) -> str:
    match value:
        case IntFlag():
            return value.name or str(int(value))
        case Enum():
            return value.name
        case bytes():
            return value.hex()
        case tuple():
            return f"[{' '.join(_plain(item) for item in value)}]"
        case msgspec.Struct():
            return "/".join(_plain(part) for part in msgspec.structs.astuple(value))
        case _:
            return str(value)
