"""Both languages make of every vector what it says: verdict, counters, fields, and the same bytes again."""

import ctypes
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from bridge_vectors import COUNTERS, Vector, vectors_text
from c_programs import compile_c, needs_compiler

from firmware_bridge import messages as m
from firmware_bridge.codec import MESSAGE_TABLE, MUST_UNDERSTAND_BIT, TO_HOST_BIT, decode_payload, encode_payload
from firmware_bridge.errors import MessageError
from firmware_bridge.framing import Deframer, Frame, encode_frame

GOLDEN: Final = Path(__file__).parent / "golden" / "sel1_vectors.jsonl"
VECTORS: Final = [msgspec.json.decode(line, type=Vector) for line in GOLDEN.read_bytes().splitlines()]
GOOD: Final = [row for row in VECTORS if row.fields is not None]
VERDICTS: Final = ("good", "unknown", "must_understand", "wrong_way", "bad_payload", "nothing", *COUNTERS[1:])

# What a receiver does with a stream, as a controller would write it.
C_RECEIVER: Final = """
#include "sel_repack.h"

enum { GOOD, UNKNOWN, MUST_UNDERSTAND, WRONG_WAY, BAD_PAYLOAD, NOTHING, COBS_ERR, CRC_ERR, LEN_ERR, OVERFLOW };

static int frame_verdict(const struct sel_frame *frame, int is_host)
{
    int verdict = sel_payload_verdict(frame->type, frame->payload, frame->payload_len);

    if (verdict < 0)
        return frame->type & SEL_MUST_UNDERSTAND ? MUST_UNDERSTAND : UNKNOWN;
    if (((frame->type & SEL_TO_HOST) != 0) != is_host)
        return WRONG_WAY;
    return verdict ? GOOD : BAD_PAYLOAD;
}

int t_receive(const uint8_t *wire, size_t n, int is_host, uint32_t counters[5])
{
    struct sel_decoder d;
    struct sel_counters before;
    int verdict = NOTHING;
    size_t i;

    sel_decoder_init(&d);
    for (i = 0; i < n; i++) {
        before = d.counters;
        if (sel_decoder_push(&d, wire[i])) {
            struct sel_frame frame = sel_decoder_frame(&d);
            verdict = frame_verdict(&frame, is_host);
        } else if (d.counters.cobs_err != before.cobs_err) {
            verdict = COBS_ERR;
        } else if (d.counters.crc_err != before.crc_err) {
            verdict = CRC_ERR;
        } else if (d.counters.len_err != before.len_err) {
            verdict = LEN_ERR;
        } else if (d.counters.overflow != before.overflow) {
            verdict = OVERFLOW;
        }
    }
    counters[0] = d.counters.good;
    counters[1] = d.counters.cobs_err;
    counters[2] = d.counters.crc_err;
    counters[3] = d.counters.len_err;
    counters[4] = d.counters.overflow;
    return verdict;
}

/* Body of a good frame to its wire bytes, by way of the struct. */
size_t t_again(const uint8_t *body, size_t n, uint8_t *wire)
{
    uint8_t payload[2048];
    size_t size = sel_repack(body[0], body + 4, n - 8, payload);

    return sel_encode_frame(wire, body[0], body[1], sel_get_u16(body + 2), payload, size);
}
"""


def frame_verdict(frame: Frame, *, is_host: bool) -> str:
    if frame.type not in MESSAGE_TABLE:
        return "must_understand" if frame.type & MUST_UNDERSTAND_BIT else "unknown"
    if bool(frame.type & TO_HOST_BIT) != is_host:
        return "wrong_way"
    try:
        decode_payload(frame.type, frame.payload)
    except MessageError:
        return "bad_payload"
    return "good"


def receive(wire: bytes, *, is_host: bool) -> tuple[str, dict[str, int]]:
    """Return the verdict about the last piece, and the counters after all."""
    deframer, verdict = Deframer(), "nothing"
    for at in range(len(wire)):
        before = count(deframer)
        frames = deframer.feed(wire[at : at + 1])
        changed = [name for name, value in count(deframer).items() if value != before[name]]
        if changed:
            verdict = frame_verdict(frames[0], is_host=is_host) if frames else changed[0]
    return verdict, count(deframer)


def count(deframer: Deframer) -> dict[str, int]:
    return {name: getattr(deframer.counters, name) for name in COUNTERS}


def fields_of(message: m.Message) -> dict[str, Any]:
    """Return a message as the file writes it."""
    fields: dict[str, Any] = {}
    for name in type(message).__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, tuple):
            fields[name] = [fields_of(item) for item in value]
        else:
            fields[name] = value.hex() if isinstance(value, bytes) else int(value)
    return fields


def test_the_file_is_what_the_table_gives() -> None:
    """If this fails, run `make golden`; a difference is a change of the protocol."""
    assert vectors_text() == GOLDEN.read_text(encoding="utf-8")


def test_there_are_enough_of_each_kind() -> None:
    found = Counter(row.verdict for row in VECTORS)
    assert set(VERDICTS) == set(found)
    assert len(GOOD) >= 200
    assert len(VECTORS) - found["good"] >= 200
    assert {row.message for row in GOOD} == {spec.name for spec in MESSAGE_TABLE.values()}
    assert len({row.name for row in VECTORS}) == len(VECTORS)


def test_python_gives_every_verdict_and_counter() -> None:
    got = {row.name: receive(bytes.fromhex(row.wire_hex), is_host=row.kind == "to host") for row in VECTORS}
    assert {row.name: (row.verdict, row.counters) for row in VECTORS} == got


def test_python_reads_every_field_and_writes_the_same_bytes() -> None:
    for row in GOOD:
        wire = bytes.fromhex(row.wire_hex)
        (frame,) = Deframer().feed(wire)
        message = decode_payload(frame.type, frame.payload)
        assert (row.fields, row.seq, row.epoch8) == (fields_of(message), frame.seq, frame.epoch8), row.name
        assert wire == encode_frame(frame.type, frame.epoch8, frame.seq, encode_payload(message)), row.name


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("receiver")
    (folder / "receiver.c").write_text(C_RECEIVER, encoding="ascii")
    return ctypes.CDLL(str(compile_c(folder / "receiver.c", folder / "receiver.so", "-shared", "-fPIC")))


@needs_compiler
def test_c_gives_every_verdict_and_counter(receiver: ctypes.CDLL) -> None:
    got = {}
    for row in VECTORS:
        wire, counters = bytes.fromhex(row.wire_hex), (ctypes.c_uint32 * 5)()
        verdict = receiver.t_receive(wire, ctypes.c_size_t(len(wire)), row.kind == "to host", counters)
        got[row.name] = VERDICTS[verdict], dict(zip(COUNTERS, counters, strict=True))
    assert {row.name: (row.verdict, row.counters) for row in VECTORS} == got


@needs_compiler
def test_c_writes_the_same_bytes(receiver: ctypes.CDLL) -> None:
    for row in GOOD:
        body, wire = bytes.fromhex(row.body_hex or ""), ctypes.create_string_buffer(400)
        size_b = receiver.t_again(body, ctypes.c_size_t(len(body)), wire)
        assert (row.name, bytes.fromhex(row.wire_hex)) == (row.name, wire.raw[:size_b])
