"""Recordings: what was written is read up to the tear, a session replayed is the session, and people can read it."""

import io
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.board import Board, BoardSettings
from firmware_bridge.clock import ManualClock
from firmware_bridge.errors import NativeUnavailableError, TrafficFileError, TransportClosedError
from firmware_bridge.framing import encode_frame
from firmware_bridge.link import Link
from firmware_bridge.link_core import LinkSettings
from firmware_bridge.link_events import EjectEvent
from firmware_bridge.messages import ClockReq, FeederSet, Heartbeat, HeartbeatFlag, Hello
from firmware_bridge.native_board import NativeBoard
from firmware_bridge.pulse_recorder import FiredPulse
from firmware_bridge.traffic import board_tick_offset, describe_traffic, replay_to_board
from firmware_bridge.traffic_file import (
    MAX_PIECE_B,
    TrafficKind,
    TrafficPiece,
    TrafficReader,
    TrafficWriter,
    create_traffic,
    read_traffic,
)
from firmware_bridge.transport_board import BoardTransport
from firmware_bridge.transport_memory import memory_pair
from firmware_bridge.transport_recording import RecordingTransport
from firmware_bridge.virtual_board import VirtualBoard

MS = 1_000_000
PIECES = st.lists(
    st.builds(TrafficPiece, st.integers(0, 2**64 - 1), st.sampled_from(TrafficKind), st.binary(max_size=40)), max_size=6
)
TO_BOARD, TO_HOST = TrafficKind.TO_BOARD, TrafficKind.TO_HOST


class KeptBytes(io.BytesIO):
    """A file whose bytes are still there after it was closed."""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


class SmallDisk(io.BytesIO):
    """Takes so many bytes and no more."""

    def __init__(self, room_b: int) -> None:
        super().__init__()
        self._room_b = room_b

    def write(self, data: "io.BytesIO | bytes", /) -> int:  # type: ignore[override]  # only bytes are written here
        assert isinstance(data, bytes)
        return super().write(data[: max(self._room_b - self.tell(), 0)])


class BadDisk(io.BytesIO):
    """Has one good sector."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 60:
            raise OSError("sector is bad")
        return super().read(size)


def written(pieces: list[TrafficPiece]) -> bytes:
    sink = io.BytesIO()
    writer = TrafficWriter(sink, ManualClock())
    for piece in pieces:
        writer.add(piece)
    return sink.getvalue()


def read(data: bytes) -> tuple[list[TrafficPiece], int]:
    reader = TrafficReader(io.BytesIO(data))
    return list(reader), reader.torn_b


@given(PIECES)
def test_what_was_written_is_read(pieces: list[TrafficPiece]) -> None:
    assert read(written(pieces)) == (pieces, 0)


@given(PIECES)
def test_a_torn_tail_is_read_up_to_the_tear_and_its_size_told(pieces: list[TrafficPiece]) -> None:
    lengths = [len(written(pieces[:count])) for count in range(len(pieces) + 1)]
    data = written(pieces)
    for cut in range(lengths[0], len(data) + 1):
        whole = max(count for count, length in enumerate(lengths) if length <= cut)
        assert read(data[:cut]) == (pieces[:whole], cut - lengths[whole])


@given(st.data())
def test_a_flipped_bit_ends_the_reading_before_its_record_and_invents_nothing(data: st.DataObject) -> None:
    pieces = data.draw(PIECES.filter(bool))
    lengths = [len(written(pieces[:count])) for count in range(len(pieces) + 1)]
    good = written(pieces)
    at = data.draw(st.integers(lengths[0], len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= 1 << data.draw(st.integers(0, 7))
    whole = max(count for count, length in enumerate(lengths) if length <= at)
    assert read(bytes(bad)) == (pieces[:whole], len(good) - lengths[whole])


def test_every_damaged_byte_of_the_header_is_noticed() -> None:
    good = written([])
    for at in range(len(good)):
        with pytest.raises(TrafficFileError):
            read(good[:at])
        with pytest.raises(TrafficFileError):
            read(good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :])


def test_a_later_version_names_both() -> None:
    with pytest.raises(TrafficFileError, match="version 2: this program reads version 1"):
        read(b"SEL1TRF\n\x02\x00" + bytes(22))


def test_a_piece_longer_than_the_limit_becomes_several() -> None:
    pieces, torn_b = read(written([TrafficPiece(5, TO_HOST, bytes(MAX_PIECE_B + 3))]))
    assert [(piece.t_ns, len(piece.data)) for piece in pieces] == [(5, MAX_PIECE_B), (5, 3)]
    assert torn_b == 0


def test_times_are_tied_to_the_wall_clock() -> None:
    clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    clock.advance_ns(1000 * MS)
    sink = io.BytesIO()
    TrafficWriter(sink, clock)
    reader = TrafficReader(io.BytesIO(sink.getvalue()))
    assert reader.utc_of(2500 * MS) == datetime(2026, 3, 1, 12, 0, 2, 500_000, tzinfo=UTC)


def test_a_recording_is_made_under_a_new_name_only(tmp_path: Path) -> None:
    path = tmp_path / "link.traffic"
    writer = create_traffic(path, ManualClock())
    writer.add(TrafficPiece(1, TO_BOARD, b"abc"))
    assert list(read_traffic(path)) == [TrafficPiece(1, TO_BOARD, b"abc")]  # without closing: nothing is held back
    writer.close()
    writer.close()
    with pytest.raises(TrafficFileError, match="cannot be begun"):
        create_traffic(path, ManualClock())
    with pytest.raises(TrafficFileError, match="recording stopped"):
        writer.add(TrafficPiece(2, TO_BOARD, b"abc"))


def test_no_file_and_another_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrafficFileError, match="not-there cannot be read: No such file"):
        read_traffic(tmp_path / "not-there")
    (tmp_path / "text").write_bytes(b"something else, long enough to hold a header")
    with pytest.raises(TrafficFileError, match="no recording of traffic: it begins with b'somethin'"):
        read_traffic(tmp_path / "text")
    with pytest.raises(TrafficFileError, match="cannot be begun: No such file"):
        create_traffic(tmp_path / "no-folder" / "link.traffic", ManualClock())


def test_a_disk_that_cannot_be_read_is_an_error_and_no_end() -> None:
    reader = TrafficReader(BadDisk(written([TrafficPiece(1, TO_HOST, bytes(100))])))
    with pytest.raises(TrafficFileError, match="recording cannot be read: sector is bad"):
        list(reader)


def test_a_full_disk_ends_the_recording_and_not_the_link() -> None:
    clock = ManualClock()
    near, far = memory_pair(clock)
    disk = SmallDisk(100)
    tap = RecordingTransport(near, clock, TrafficWriter(disk, clock))
    for number in range(20):
        tap.write(bytes((number,)) * 10)
    far.write(b"answer")
    assert tap.read(100, 0.0) == b"answer"
    assert far.read(1000, 0.0) == b"".join(bytes((number,)) * 10 for number in range(20))
    assert "fit on the disk" in str(tap.failure)
    assert [piece.data[0] for piece in TrafficReader(io.BytesIO(disk.getvalue()))] == [0, 1]


def test_what_failed_on_its_way_is_on_record() -> None:
    clock, sink = ManualClock(), KeptBytes()
    near, far = memory_pair(clock)
    tap = RecordingTransport(near, clock, TrafficWriter(sink, clock))
    far.close()
    with pytest.raises(TransportClosedError):
        tap.write(b"into the void")
    tap.close()
    assert [piece.data for piece in TrafficReader(io.BytesIO(sink.kept))] == [b"into the void"]


# ----- replay


def native_board(settings: BoardSettings) -> Board:
    try:
        return NativeBoard(settings)
    except NativeUnavailableError as error:
        pytest.skip(str(error))


def play(board: Board, seed: int, *, marks_quiet: bool = True) -> tuple[list[TrafficPiece], list[FiredPulse]]:
    """Return a recorded session of random length, with pauses, duplicates of work, a stall and a second session."""
    rng = random.Random(seed)
    clock, sink = ManualClock(), io.BytesIO()
    clock.advance_ns(rng.randrange(10**12))
    board.advance(clock.monotonic_ns())
    tap = RecordingTransport(BoardTransport(board, clock), clock, TrafficWriter(sink, clock), marks_quiet=marks_quiet)
    link = Link(tap, clock, LinkSettings(epoch_seed=seed))
    for _ in range(2):
        link.connect(1.0)
        link.configure({})
        link.arm(1.0)
        link.set_feeder(500)
        for _ in range(60):
            tick = link.tick_now()
            valves = [rng.randrange(20) for _ in range(rng.randrange(4))]
            link.eject([EjectEvent((tick + rng.randrange(40_000)) % 2**32, valve, 2, 1500) for valve in valves])
            clock.advance_ns(rng.randrange(9 * MS))
            link.poll()
        clock.advance_ns(400 * MS)  # the board falls silent, drains and goes safe
        link.poll()
    for _ in range(3):  # what is left of the last answers
        clock.advance_ns(MS)
        tap.read(1 << 20, 0.0)
    return list(TrafficReader(io.BytesIO(sink.getvalue()))), board.take_fired()


def said(pieces: list[TrafficPiece]) -> bytes:
    return b"".join(piece.data for piece in pieces if piece.kind is TO_HOST)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [VirtualBoard, native_board])
def test_a_recorded_session_replayed_gives_identical_pulses_and_identical_bytes(
    make: Callable[[BoardSettings], Board], seed: int
) -> None:
    settings = BoardSettings(tick_offset=2**32 - 500_000, drift_ppm=40)
    pieces, fired = play(make(settings), seed)
    again = make(settings)
    answers = list(replay_to_board(pieces, again))
    assert len(fired) > 20
    assert again.take_fired() == fired
    assert said(answers) == said(pieces)


def test_without_quiet_moments_the_pulses_are_the_same_and_the_file_is_smaller() -> None:
    pieces, fired = play(VirtualBoard(), 1, marks_quiet=False)
    assert TrafficKind.QUIET not in {piece.kind for piece in pieces}
    again = VirtualBoard()
    assert said(list(replay_to_board(pieces, again))) != b""
    assert [pulse.evid for pulse in again.take_fired()] == [pulse.evid for pulse in fired]


def test_a_recording_of_another_controller_is_replayed_on_its_clock() -> None:
    pieces, fired = play(VirtualBoard(BoardSettings(tick_offset=123_456_789)), 2)
    offset = board_tick_offset(pieces)
    assert offset is not None
    assert abs(offset - 123_456_789) <= 1000  # one poll
    again = VirtualBoard(BoardSettings(tick_offset=offset))
    list(replay_to_board(pieces, again))
    assert len(again.take_fired()) > len(fired) // 2


def test_a_recording_without_any_tick_has_no_offset() -> None:
    assert board_tick_offset([TrafficPiece(0, TO_BOARD, encode_frame(0x24, 1, 0, b"\0\0"))]) is None


# ----- for people


def test_frames_are_described_with_the_time_of_their_last_byte() -> None:
    first = encode_frame(0x03, 0x5A, 2, bytes.fromhex("04030201"))
    second = encode_frame(0x24, 0x5A, 0, bytes.fromhex("ee02"))
    pieces = [
        TrafficPiece(1, TO_BOARD, first[:5]),
        TrafficPiece(2, TrafficKind.QUIET, b""),
        TrafficPiece(3, TO_HOST, b"\0"),
        TrafficPiece(4, TO_BOARD, first[5:] + second),
    ]
    lines = list(describe_traffic(pieces))
    assert [(line.t_ns, line.name, line.epoch8, line.seq, line.text) for line in lines] == [
        (4, "CLOCK_REQ", 0x5A, 2, "token=16909060"),
        (4, "FEEDER_SET", 0x5A, 0, "permille=750"),
    ]
    assert [line.message for line in lines] == [ClockReq(0x01020304), FeederSet(750)]


def test_a_damaged_frame_stands_in_its_place() -> None:
    good = encode_frame(0x24, 0x5A, 0, bytes.fromhex("ee02"))
    damaged = good[:-2] + bytes((good[-2] ^ 0x10,)) + good[-1:]
    lines = list(describe_traffic([TrafficPiece(7, TO_BOARD, good + damaged + b"\x05\x01\0" + b"\x02\x01\0" + good)]))
    assert [line.text for line in lines] == [
        "permille=750",
        "wrong checksum",
        "no COBS",
        "too short or too long to be a frame",
        "permille=750",
    ]
    assert [line.name for line in lines] == ["FEEDER_SET", "?", "?", "?", "FEEDER_SET"]


def test_an_unknown_type_and_a_broken_payload_say_so() -> None:
    wire = encode_frame(0x1F, 1, 0, b"abc") + encode_frame(0x24, 1, 0, b"\xff\xff")
    unknown, broken = describe_traffic([TrafficPiece(7, TO_BOARD, wire)])
    assert unknown.text == "unknown message type 0x1f with 3 B"
    assert (broken.name, broken.message) == ("FEEDER_SET", None)
    assert "permille" in broken.text


def test_a_session_reads_as_it_went() -> None:
    pieces, _ = play(VirtualBoard(), 3)
    lines = list(describe_traffic(pieces))
    assert [line.name for line in lines[:2]] == ["HELLO", "IDENT"]
    assert isinstance(lines[0].message, Hello)
    assert "uid=7669727475616c626f617264" in next(line.text for line in lines if line.name == "IDENT")
    beats = [line.message for line in lines if isinstance(line.message, Heartbeat)]
    assert any(beat.flags & HeartbeatFlag.ARMED_WANTED for beat in beats)
    assert [line.t_ns for line in lines] == sorted(line.t_ns for line in lines)
    assert {"EJECT_BATCH", "EJECT_ACK", "STATUS", "FAULT"} <= {line.name for line in lines}


@given(st.lists(st.tuples(st.sampled_from(TrafficKind), st.binary(max_size=200)), max_size=20))
def test_no_bytes_make_the_description_fail(chunks: list[tuple[TrafficKind, bytes]]) -> None:
    pieces = [TrafficPiece(number, kind, data) for number, (kind, data) in enumerate(chunks)]
    lines = list(describe_traffic(pieces))
    assert all(line.kind is not TrafficKind.QUIET for line in lines)
