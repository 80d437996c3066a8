"""Batches through the C codec are what the Python codec makes of the same, frame by frame."""

from typing import Any

import numpy as np
import pytest
from c_programs import needs_compiler
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from wire_streams import cut, frames, streams

from firmware_bridge.codec import decode_payload
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import Deframer, Frame, encode_frame
from firmware_bridge.messages import BatchFlag, EjectBatch
from firmware_bridge.native_build import load_native
from firmware_bridge.native_codec import (
    EjectColumns,
    NativeDecoder,
    NativeDeframer,
    eject_batch_frames,
    encode_frames,
)

pytestmark = needs_compiler

BODIES_B = (8, 100, 254, 264, 1032)
SIZES = st.lists(st.integers(0, 700), max_size=12)
CASES = st.sampled_from(BODIES_B).flatmap(lambda max_body_b: st.tuples(st.just(max_body_b), streams(max_body_b)))


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Compile before hypothesis looks at the clock."""
    load_native()


@given(CASES, SIZES)
def test_any_stream_in_any_chunking_gives_the_frames_and_counters_of_the_twin(
    case: tuple[int, bytes], sizes: list[int]
) -> None:
    max_body_b, stream = case
    deframer, native, decoder = Deframer(max_body_b), NativeDeframer(max_body_b), NativeDecoder(max_body_b)
    for chunk in cut(stream, sizes):
        expected = deframer.feed(chunk)
        assert expected == native.feed(chunk)
        assert expected == decoder.feed(chunk).frames()
    assert deframer.counters == native.counters == decoder.counters


@given(st.binary(max_size=3000), SIZES)
def test_noise_gives_the_frames_and_counters_of_the_twin(noise: bytes, sizes: list[int]) -> None:
    deframer, native = Deframer(), NativeDeframer()
    assert deframer.feed(noise) == [frame for chunk in cut(noise, sizes) for frame in native.feed(chunk)]
    assert deframer.counters == native.counters


def test_columns_say_where_each_payload_is() -> None:
    sent = [Frame(3, 0x5A, 7, b"abcd"), Frame(0x20, 0x5A, 65_535, b""), Frame(0x91, 0x5A, 0, b"\0\0x")]
    batch = NativeDecoder().feed(b"".join(encode_frame(*frame) for frame in sent))
    assert len(batch) == 3
    assert batch.rows["type"].tolist() == [3, 0x20, 0x91]
    assert batch.rows["epoch8"].tolist() == [0x5A] * 3
    assert batch.rows["seq"].tolist() == [7, 65_535, 0]
    assert batch.rows["offset"].tolist() == [0, 4, 4]
    assert batch.rows["length"].tolist() == [4, 0, 3]
    assert batch.payloads.tobytes() == b"abcd\0\0x"


def test_a_chunk_of_shortest_frames_that_ends_one_begun_before_fits_the_reserved_rows() -> None:
    shortest = encode_frame(0x20, 1, 1, b"")
    for decoder in (NativeDecoder(), NativeDeframer()):
        assert len(decoder.feed(shortest[:-1])) == 0
        assert len(decoder.feed(shortest[-1:] + 900 * shortest)) == 901


@pytest.mark.parametrize("data", [b"", bytearray(b"\0"), memoryview(b"\1\0"), np.zeros(5, np.uint8)])
def test_every_contiguous_buffer_is_a_chunk(data: bytes) -> None:
    assert len(NativeDecoder().feed(data)) == 0


@pytest.mark.parametrize("data", [memoryview(bytes(10))[::2], np.zeros(10, np.uint8)[::2]])
def test_a_buffer_with_gaps_is_refused(data: memoryview) -> None:
    with pytest.raises(MessageError, match="no contiguous buffer"):
        NativeDecoder().feed(data)


@pytest.mark.parametrize("max_body_b", [7, 1033])
@pytest.mark.parametrize("decoder", [NativeDecoder, NativeDeframer])
def test_a_limit_beyond_the_buffer_is_refused(decoder: type[NativeDecoder | NativeDeframer], max_body_b: int) -> None:
    with pytest.raises(MessageError, match=rf"max_body_b {max_body_b} is out of range 8\.\.1032"):
        decoder(max_body_b)


@given(st.lists(frames(1032), max_size=12), st.integers(0, 255))
def test_batches_of_frames_have_the_wire_bytes_of_the_twin(batch: list[Frame], epoch8: int) -> None:
    wire = encode_frames(
        np.frombuffer(b"".join(frame.payload for frame in batch), np.uint8),
        np.array([len(frame.payload) for frame in batch], np.uint16),
        types=np.array([frame.type for frame in batch], np.uint8),
        seqs=np.array([frame.seq for frame in batch], np.uint16),
        epoch8=epoch8,
        max_body_b=1032,
    )
    expected = [encode_frame(frame.type, epoch8, frame.seq, frame.payload, max_body_b=1032) for frame in batch]
    assert b"".join(expected) == wire.tobytes()


@pytest.mark.parametrize("fill", [0, 7])
def test_rows_of_every_length_have_the_wire_bytes_of_the_twin(fill: int) -> None:
    for length in range(257):
        wire = equal_frames(np.full((2, length), fill, np.uint8))
        expected = [encode_frame(0x20, 0x5A, seq, bytes((fill,)) * length) for seq in range(2)]
        assert b"".join(expected) == wire.tobytes()


def equal_frames(payloads: NDArray[Any], **changes: Any) -> NDArray[np.uint8]:
    count = len(payloads)
    columns = {"types": np.full(count, 0x20, np.uint8), "seqs": np.arange(count, dtype=np.uint16), "epoch8": 0x5A}
    return encode_frames(payloads, **{**columns, **changes})


def test_a_view_with_strides_is_encoded_by_its_elements() -> None:
    wide = np.arange(40, dtype=np.uint8).reshape(4, 10)
    assert equal_frames(wide[:, ::2].copy()).tobytes() == equal_frames(wide[:, ::2]).tobytes()
    assert equal_frames(wide[::2], seqs=np.arange(4, dtype=np.uint16)[::2]).size == 2 * 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"payloads": np.zeros(8, np.uint8)}, r"payloads of shape \(8,\) need `lengths`"),
        ({"payloads": np.zeros((2, 257), np.uint8)}, "row 0: payload length 257 > limit 256 B"),
        ({"payloads": np.zeros((2, 70_000), np.uint8)}, "row 0: payload length 65535 > limit 256 B"),
        ({"payloads": np.zeros((2, 4), np.int8)}, r"payloads is \(8,\) int8, not \(N,\) uint8: convert it first"),
        ({"types": np.zeros(3, np.uint8)}, r"types is \(3,\) uint8, not \(2,\) uint8"),
        ({"seqs": np.zeros(2, np.int64)}, r"seqs is \(2,\) int64, not \(2,\) uint16"),
        ({"seqs": np.zeros((2, 1), np.uint16)}, r"seqs is \(2, 1\) uint16, not \(2,\) uint16"),
        ({"lengths": np.array([3, 4], np.uint16)}, "8 B of payloads, but lengths add up to 7 B"),
        ({"lengths": np.array([4, 257], np.uint16)}, "row 1: payload length 257 > limit 256 B"),
        ({"epoch8": 256}, r"epoch8 256 is out of range 0\.\.255"),
        ({"max_body_b": 1033}, r"max_body_b 1033 is out of range 8\.\.1032"),
    ],
)
def test_columns_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    payloads = changes.pop("payloads", np.zeros((2, 4), np.uint8))
    if "lengths" in changes:
        payloads = payloads.reshape(-1)
    types, seqs = np.zeros(2, np.uint8), np.zeros(2, np.uint16)
    with pytest.raises(MessageError, match=message):
        encode_frames(payloads, **{"types": types, "seqs": seqs, "epoch8": 1, **changes})


# Mostly in order and close together, as on a machine; now and then a gap in the ids or a jump of the time.
STEPS = st.tuples(
    st.sampled_from([1, 1, 1, 1, 1, 2, 1000]),
    st.integers(0, 9000) | st.sampled_from([-300, 65_535, 65_536, 2**31]),
    st.integers(0, 4095),
    st.integers(1, 16),
    st.integers(1, 65_535),
)


def columns_of(first_evid: int, first_tick: int, steps: list[tuple[int, int, int, int, int]]) -> EjectColumns:
    table = np.array(steps, np.int64).reshape(-1, 5)
    return EjectColumns(
        ((first_evid + np.cumsum(table[:, 0])) % 2**32).astype(np.uint32),
        ((first_tick + np.cumsum(table[:, 1])) % 2**32).astype(np.uint32),
        table[:, 2].astype(np.uint16),
        table[:, 3].astype(np.uint8),
        table[:, 4].astype(np.uint16),
    )


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.lists(STEPS, max_size=100),
    st.integers(1, 39),
    st.integers(0, 65_535),
)
def test_every_ejection_arrives_once_and_batches_are_as_large_as_they_may_be(
    evid: int, tick: int, steps: list[tuple[int, int, int, int, int]], batch_events: int, first_seq: int
) -> None:
    columns = columns_of(evid, tick, steps)
    wire, count = eject_batch_frames(
        columns, epoch8=9, first_seq=first_seq, flags=BatchFlag.REPEAT, batch_events=batch_events
    )
    received = Deframer().feed(wire.tobytes())
    assert [(first_seq + number) % 65_536 for number in range(count)] == [frame.seq for frame in received]
    batches = [decode_payload(frame.type, frame.payload) for frame in received]
    assert list(rows_of(columns)) == [event for batch in batches for event in events_of(batch)]
    sizes = [len(batch.items) for batch in batches if isinstance(batch, EjectBatch) and batch.flags == BatchFlag.REPEAT]
    assert greedy_sizes(columns, batch_events) == sizes


def rows_of(columns: EjectColumns) -> list[tuple[int, ...]]:
    names = ("evids", "ticks", "first_valves", "valve_counts", "pulses_us")
    return list(zip(*(getattr(columns, name).tolist() for name in names), strict=True))


def events_of(batch: object) -> list[tuple[int, ...]]:
    assert isinstance(batch, EjectBatch)
    assert min(item.dt_ticks for item in batch.items) == 0  # base_tick is the earliest
    return [
        ((batch.base_evid + i) % 2**32, (batch.base_tick + item.dt_ticks) % 2**32, *item_fields(item))
        for i, item in enumerate(batch.items)
    ]


def item_fields(item: Any) -> tuple[int, int, int]:
    return item.first_valve, item.valve_count, item.pulse_us


def greedy_sizes(columns: EjectColumns, batch_events: int) -> list[int]:
    """Cut by the words of the docstring, one event after the other."""
    batches: list[list[tuple[int, int]]] = []
    for evid, tick, *_ in rows_of(columns):
        if batches and len(batches[-1]) < batch_events and fits(batches[-1], evid, tick):
            batches[-1].append((evid, tick))
        else:
            batches.append([(evid, tick)])
    return [len(batch) for batch in batches]


def fits(batch: list[tuple[int, int]], evid: int, tick: int) -> bool:
    first_evid, first_tick = batch[0]
    offsets = [(other - first_tick + 2**31) % 2**32 for _, other in [*batch, (evid, tick)]]
    return evid == (first_evid + len(batch)) % 2**32 and max(offsets) - min(offsets) <= 65_535


def test_twenty_events_cost_seven_bytes_each() -> None:
    columns = columns_of(0, 0, [(1, 100, 3, 2, 900)] * 2000)
    wire, count = eject_batch_frames(columns, epoch8=1, first_seq=0)
    assert (len(wire), count) == (7 * 2000, 100)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("valve_counts", 0, r"row 1: valve_count 0 is out of range 1\.\.16"),
        ("valve_counts", 17, r"row 1: valve_count 17 is out of range 1\.\.16"),
        ("first_valves", 4096, "row 1: first_valve 4096 > limit 4095"),
        ("pulses_us", 0, "row 1: pulse_us 0 < limit 1"),
    ],
)
def test_an_ejection_out_of_range_is_refused(column: str, value: int, message: str) -> None:
    columns = columns_of(0, 0, [(1, 100, 3, 2, 900)] * 3)
    getattr(columns, column)[1] = value
    with pytest.raises(MessageError, match=message):
        eject_batch_frames(columns, epoch8=1, first_seq=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch8": -1}, r"epoch8 -1 is out of range 0\.\.255"),
        ({"first_seq": 65_536}, r"first_seq 65536 is out of range 0\.\.65535"),
        ({"flags": 256}, r"flags 256 is out of range 0\.\.255"),
        ({"batch_events": 40}, r"batch_events 40 is out of range 1\.\.39"),
        ({"batch_events": 0}, r"batch_events 0 is out of range 1\.\.39"),
    ],
)
def test_a_batch_header_out_of_range_is_refused(changes: dict[str, Any], message: str) -> None:
    columns = columns_of(0, 0, [(1, 100, 3, 2, 900)])
    with pytest.raises(MessageError, match=message):
        eject_batch_frames(columns, **{"epoch8": 1, "first_seq": 0, **changes})


def test_columns_of_different_lengths_are_refused() -> None:
    columns = columns_of(0, 0, [(1, 100, 3, 2, 900)] * 3)
    odd = EjectColumns(columns.evids, columns.ticks[:2], columns.first_valves, columns.valve_counts, columns.pulses_us)
    with pytest.raises(MessageError, match=r"ticks is \(2,\) uint32, not \(3,\) uint32"):
        eject_batch_frames(odd, epoch8=1, first_seq=0)
