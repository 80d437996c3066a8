"""Laws of the parts of a faulty line: chances, damage to bytes and pieces, and the wire's timetable."""

import itertools
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.line_faults import FaultSettings, FaultyLine
from firmware_bridge.line_noise import LONGEST_PIECE_B, ByteNoise, FrameNoise, Trials
from firmware_bridge.line_wire import Wire

US = 1_000
S = 1_000_000_000

rates = st.sampled_from([0.0, 1e-3, 0.05, 0.5, 1.0])
chunks = st.lists(st.binary(max_size=80), max_size=25)


def line_of(faults: FaultSettings) -> FaultyLine:
    return FaultyLine(faults, random.Random(1))


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 6000), min_size=1, max_size=8), has_end=st.booleans())
def test_a_stream_without_delimiters_is_cut_at_the_longest_piece(sizes: list[int], has_end: bool) -> None:
    noise = FrameNoise(random.Random(1), drop_rate=1e-12)
    stream = b"x" * sum(sizes) + (b"\0" if has_end else b"")
    at, out = 0, b""
    for size in (*sizes, 1):
        out += noise.apply(stream[at : at + size])
        at += size
    whole = FrameNoise(random.Random(1), drop_rate=1e-12)
    assert (out, noise.waiting_b) == (whole.apply(stream), whole.waiting_b)
    assert noise.waiting_b == (0 if has_end else len(stream) % LONGEST_PIECE_B)


def test_pieces_at_the_limit_are_judged_alike_in_any_chunks() -> None:
    for size in (LONGEST_PIECE_B - 1, LONGEST_PIECE_B, LONGEST_PIECE_B + 1, 3 * LONGEST_PIECE_B):
        stream = (b"x" * size + b"\0") * 40
        whole, cut = (FrameNoise(random.Random(4), drop_rate=0.3) for _ in range(2))
        pieces = [stream[at : at + 1777] for at in range(0, len(stream), 1777)]
        assert whole.apply(stream) == b"".join([cut.apply(piece) for piece in pieces])
        assert (whole.dropped, whole.dropped_b) == (cut.dropped, cut.dropped_b)


def test_flipped_bits_are_counted_and_nothing_else_changes() -> None:
    data = random.Random(5).randbytes(20_000)
    line = line_of(FaultSettings(bit_error_rate=1e-3))
    line.send(data, 0)
    came = line.arrivals(0)
    flips = sum((a ^ b).bit_count() for a, b in zip(data, came, strict=True))
    assert flips == line.counters.flipped_bits
    assert 110 <= flips <= 210  # 160 of 160 000 bits; four sigma


def test_every_bit_of_a_byte_can_flip() -> None:
    line = line_of(FaultSettings(bit_error_rate=0.02))
    line.send(bytes(4000), 0)
    assert {byte.bit_length() - 1 for byte in line.arrivals(0) if byte.bit_count() == 1} == set(range(8))


@pytest.mark.parametrize(("name", "values"), [("zeros", {0}), ("ones", {255}), ("either", {0, 255})])
def test_bursts_write_whole_runs_of_their_byte(name: str, values: set[int]) -> None:
    faults = msgspec.convert({"burst_rate": 1e-3, "burst_length_b": 20, "burst_byte": name}, FaultSettings)
    line = line_of(faults)
    data = b"\x55" * 50_000
    for at in range(0, len(data), 7):  # most bursts go on over several writes
        line.send(data[at : at + 7], 0)
    came = line.arrivals(0)
    runs = [(byte, len(list(run))) for byte, run in itertools.groupby(came)]
    assert {byte for byte, _ in runs} == values | {0x55}
    assert all(length >= 20 for byte, length in runs[:-1] if byte != 0x55) or name == "either"
    assert line.counters.overwritten_b == sum(length for byte, length in runs if byte != 0x55)
    assert 800 <= line.counters.overwritten_b <= 1_200  # about 50 bursts, of which one in 50 meets another


def test_dropped_bytes_leave_the_others_in_order() -> None:
    line = line_of(FaultSettings(byte_drop_rate=0.1))
    data = bytes(range(256)) * 40
    line.send(data, 0)
    came, source = line.arrivals(0), iter(data)
    assert all(byte in source for byte in came)  # a subsequence
    assert len(data) - len(came) == line.counters.dropped_b
    assert 900 <= line.counters.dropped_b <= 1150


def test_inserted_bytes_are_random_and_leave_the_others_in_order() -> None:
    line = line_of(FaultSettings(byte_insert_rate=1.0))
    data = bytes(range(256)) * 8
    line.send(data, 0)
    came = line.arrivals(0)
    assert came[1::2] == data
    assert len(set(came[::2])) > 240
    assert line.counters.inserted_b == len(data)


@pytest.mark.parametrize("rate", [1e-4, 0.01, 0.3, 0.9])
def test_trials_hit_as_often_as_their_rate_says(rate: float) -> None:
    trials = Trials(rate, random.Random(11))
    n_trials = round(10_000 / rate)
    n_single, n_first = min(n_trials // 20, 50_000), n_trials // 2
    hits = trials.hits(n_first)
    n_hits = len(hits) + sum(trials.hit() for _ in range(n_single)) + len(trials.hits(n_trials - n_first - n_single))
    assert abs(n_hits - 10_000) <= 400 * (1 - rate) ** 0.5 + 2  # four sigma
    assert list(hits) == sorted(set(hits))


@settings(deadline=None)
@given(rate=rates, cuts=st.lists(st.integers(0, 40), max_size=20), seed=st.integers(0, 50))
def test_trials_are_the_same_one_by_one_and_in_any_lots(rate: float, cuts: list[int], seed: int) -> None:
    lots, singles = Trials(rate, random.Random(seed)), Trials(rate, random.Random(seed))
    for cut in cuts:
        assert list(lots.hits(cut)) == [number for number in range(cut) if singles.hit()]


def test_a_rate_too_small_for_floats_never_hits_and_certainty_always() -> None:
    assert list(Trials(5e-324, random.Random(1)).hits(1 << 40)) == []
    assert list(Trials(0.0, random.Random(1)).hits(1 << 40)) == []
    assert list(Trials(1.0, random.Random(1)).hits(5)) == [0, 1, 2, 3, 4]


@settings(deadline=None)
@given(pieces=chunks)
def test_noise_that_is_off_changes_nothing(pieces: list[bytes]) -> None:
    frames, noise, stream = FrameNoise(random.Random(1)), ByteNoise(random.Random(1)), b"".join(pieces)
    assert b"".join([noise.apply(piece) for piece in pieces]) == stream
    tail = stream.rpartition(b"\0")[2]
    assert b"".join([frames.apply(piece) for piece in pieces]) == stream[: len(stream) - len(tail)]
    assert (frames.waiting_b, frames.clear(), frames.waiting_b) == (len(tail), len(tail), 0)


def test_a_wire_tells_when_each_waiting_byte_arrives() -> None:
    wire = Wire(random.Random(1), baud=1_000_000)
    wire.put(b"", 0)
    assert (wire.next_ns, wire.last_ns, wire.room_ns(5)) == (None, None, 5)
    wire.put(b"ab", 0)
    wire.put(b"c", 0)
    assert [wire.arrival_ns(number) for number in (1, 2, 3, 4)] == [10 * US, 20 * US, 30 * US, None]
    assert (wire.last_ns, wire.waiting_b, wire.backlog_b(15 * US)) == (30 * US, 3, 2)
    assert wire.take(10 * US) == b"a"
    assert [wire.arrival_ns(number) for number in (1, 2, 3)] == [20 * US, 30 * US, None]
    assert (wire.clear(), wire.take(S), wire.backlog_b(0)) == (2, b"", 0)
