"""Frames survive, garbage does not spread, and nothing raises."""

import random
import time

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import MessageError
from firmware_bridge.framing import MAX_BODY_B, Deframer, Frame, cobs_decode, cobs_encode, encode_frame

FRAMES = st.builds(
    Frame,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 65_535),
    st.one_of(st.binary(max_size=64), st.binary(min_size=240, max_size=MAX_BODY_B - 8)),
)
# Long runs without a zero are where COBS has its corner cases.
RUNS = st.lists(st.tuples(st.sampled_from([0, 1, 2, 253, 254, 255, 508, 600]), st.booleans()), max_size=5)


def wire_of(frames: list[Frame]) -> bytes:
    return b"".join(encode_frame(*frame) for frame in frames)


def chunks_of(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data]


@given(st.binary(max_size=1200))
def test_cobs_equals_the_reference_and_comes_back(data: bytes) -> None:
    assert cobs.encode(data) == cobs_encode(data)
    assert data == cobs_decode(cobs_encode(data))


@given(RUNS)
def test_cobs_equals_the_reference_around_full_runs(runs: list[tuple[int, bool]]) -> None:
    data = b"".join(b"\x07" * length + b"\0" * has_zero for length, has_zero in runs)
    assert cobs.encode(data) == cobs_encode(data)
    assert data == cobs_decode(cobs_encode(data))


@given(st.binary(max_size=400).map(lambda raw: raw.replace(b"\0", b"\1")))
def test_cobs_refuses_what_the_reference_refuses(wire: bytes) -> None:
    try:
        expected = cobs.decode(wire) if wire else None
    except cobs.DecodeError:
        expected = None
    assert expected == cobs_decode(wire)


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 90), max_size=30))
def test_frames_come_back_in_any_chunking(frames: list[Frame], sizes: list[int]) -> None:
    deframer = Deframer()
    received = [frame for chunk in chunks_of(wire_of(frames), sizes) for frame in deframer.feed(chunk)]
    assert frames == received
    assert deframer.counters.good == len(frames)


@given(st.binary(max_size=3000), st.lists(st.integers(0, 700), max_size=12))
def test_any_bytes_give_the_same_frames_and_counters_in_any_chunking(data: bytes, sizes: list[int]) -> None:
    whole, pieces = Deframer(), Deframer()
    expected = whole.feed(data + b"\0")
    received = [frame for chunk in chunks_of(data + b"\0", sizes) for frame in pieces.feed(chunk)]
    assert expected == received
    assert whole.counters == pieces.counters


@given(st.lists(FRAMES, min_size=3, max_size=6), st.integers(0, 10_000), st.binary(min_size=1, max_size=40), st.data())
def test_garbage_costs_at_most_the_frame_it_touches_and_the_next(
    frames: list[Frame], at: int, garbage: bytes, data: st.DataObject
) -> None:
    wire = wire_of(frames)
    at %= len(wire)
    hit_b = data.draw(st.integers(0, 3))
    received = Deframer().feed(wire[:at] + garbage + wire[at + hit_b :])
    touched = {wire[:at].count(b"\0"), wire[: at + hit_b].count(b"\0")}
    safe = [frame for number, frame in enumerate(frames) if number < min(touched) or number > max(touched) + 1]
    for frame in safe:
        assert frame in received


@given(FRAMES, st.data())
def test_a_changed_byte_is_never_taken_for_the_frame(frame: Frame, data: st.DataObject) -> None:
    wire = bytearray(encode_frame(*frame))
    at = data.draw(st.integers(0, len(wire) - 2))
    wire[at] ^= data.draw(st.integers(1, 255))
    assert Deframer().feed(bytes(wire)) == []


def test_every_single_bit_error_of_a_long_frame_is_seen() -> None:
    wire = encode_frame(0x10, 0x5A, 7, bytes(range(160)))
    for bit in range(8 * len(wire)):
        damaged = bytearray(wire)
        damaged[bit // 8] ^= 1 << bit % 8
        assert Deframer().feed(bytes(damaged)) == []


def test_each_kind_of_damage_has_its_counter() -> None:
    deframer = Deframer()
    good = encode_frame(3, 1, 0, b"abcd")
    deframer.feed(good + b"\0\0" + good)
    deframer.feed(b"\x09\x01\x00")  # code byte beyond the end
    deframer.feed(cobs_encode(b"short") + b"\0")
    deframer.feed(cobs_encode(b"long enough but wrong") + b"\0")
    deframer.feed(b"\x01" * 2000)
    deframer.feed(b"\x01\x00")
    counters = deframer.counters
    found = (counters.good, counters.cobs_err, counters.len_err, counters.crc_err, counters.overflow)
    assert found == (2, 1, 1, 1, 1)


def test_the_limit_of_the_body_is_exact_on_both_sides() -> None:
    longest = bytes(MAX_BODY_B - 8)
    assert longest == Deframer().feed(encode_frame(1, 1, 1, longest))[0].payload
    with pytest.raises(MessageError, match="265 B > limit 264 B"):
        encode_frame(1, 1, 1, longest + b"x")
    deframer = Deframer(max_body_b=100)
    assert deframer.feed(encode_frame(1, 1, 1, bytes(93))) == []
    assert deframer.counters.len_err + deframer.counters.overflow == 1


@pytest.mark.parametrize("header", [(256, 0, 0), (0, 256, 0), (0, 0, 65_536), (-1, 0, 0)])
def test_a_header_out_of_range_is_refused(header: tuple[int, int, int]) -> None:
    with pytest.raises(MessageError, match="header out of range"):
        encode_frame(*header, b"")


def test_feeding_is_linear_in_the_bytes() -> None:
    """Ten times the bytes without a delimiter, in single bytes, cost less than thirty times the time."""

    def cost_s(count: int) -> float:
        deframer = Deframer()
        start = time.process_time()
        for _ in range(count):
            deframer.feed(b"\x01")
        return time.process_time() - start

    small = min(cost_s(10_000) for _ in range(3))
    assert cost_s(100_000) < 30 * small


def test_a_seeded_storm_of_noise_never_raises_and_buffers_little() -> None:
    rng = random.Random(7)
    deframer = Deframer()
    for _ in range(300):
        deframer.feed(rng.randbytes(rng.randrange(3000)))
    assert len(deframer._tail) <= 2 * MAX_BODY_B


@pytest.mark.parametrize("chunk_b", [1, 7, 200, 260, 266, 267, 1000])
def test_without_a_delimiter_no_more_than_one_frame_is_kept(chunk_b: int) -> None:
    """266 B is the longest piece that can hold a body of 264 B."""
    deframer = Deframer()
    longest = 0
    for _ in range(3000 // chunk_b):
        assert deframer.feed(b"\x07" * chunk_b) == []
        longest = max(longest, len(deframer._tail))
    assert longest <= 266
    good = encode_frame(1, 1, 1, b"x")
    assert [frame.payload for frame in deframer.feed(b"\0" + good)] == [b"x"]
    assert (deframer.counters.overflow, deframer.counters.good) == (1, 1)
