"""Make sel1_vectors.jsonl: frames and streams with what a receiver must make of them.

Nothing here uses the product's codec: payloads are written from sel1.toml field by field, frames with the package
`cobs` and zlib. What a row expects is therefore a second opinion, and the tests compare both languages with it.
"""

import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from cobs import cobs

from firmware_bridge.message_table import INTEGERS, TABLE_PATH, Field, MessageRow, read_table

__all__ = ["COUNTERS", "Vector", "vectors", "vectors_text"]

COUNTERS: Final = ("good", "cobs_err", "crc_err", "len_err", "overflow")
TABLE: Final = read_table(TABLE_PATH)
MAX_BODY_B: Final = 264
MAX_PIECE_B: Final = MAX_BODY_B + MAX_BODY_B // 254 + 1
EPOCH8: Final = 0x5A
Values = dict[str, Any]


class Vector(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the file.

    Attributes:
        name: unique.
        kind: who receives the bytes: "to controller" or "to host".
        body_hex: body of the last piece that a delimiter ends, absent where COBS refuses it or it is too long.
        verdict: what becomes of that piece; "nothing" where no delimiter ends one.
        counters: of the frame decoder after the whole stream.
        message: name of the message, for good ones, with its fields: bytes in hexadecimal, items as objects.
    """

    name: str
    kind: str
    wire_hex: str
    verdict: str
    counters: dict[str, int]
    body_hex: str | None = None
    message: str | None = None
    seq: int | None = None
    epoch8: int | None = None
    fields: Values | None = None


def vectors() -> list[Vector]:
    """Return all rows, the same in every run."""
    rng = random.Random(0x5E1)
    rows = [*_good_messages(rng), *_good_lengths(), *_bad_lengths(rng), *_bad_values(rng), *_strangers(rng)]
    rows += [*_cut(), *_changed(rng), *_bad_crc(), *_bad_cobs(), *_sizes(), *_streams(rng)]
    return rows


def vectors_text() -> str:
    """Return the text of the file: one JSON object a line."""
    return "".join(msgspec.json.encode(row).decode() + "\n" for row in vectors())


# ---- bytes, written without the product ----


def payload_of(row: MessageRow, values: Values) -> bytes:
    """Return the payload with these values, allowed or not."""
    parts = [_field_bytes(field, values) for field in row.fields]
    tail = row.tail
    if tail is not None and tail.base == "items":
        item = TABLE.item(tail.ref)
        parts += [_field_bytes(field, one) for one in values[tail.name] for field in item.fields]
    return b"".join(parts)


def _field_bytes(field: Field, values: Values) -> bytes:
    match field.base:
        case "valves":
            valve: int = values["first_valve"] | (values["valve_count"] - 1) << 12
            return valve.to_bytes(2, "little")
        case "items":
            return bytes([len(values[field.name])])
        case "rest" | "bytes12" | "bytes16":
            return bytes.fromhex(values[field.name])
        case base:
            value: int = values[field.name]
            return value.to_bytes(INTEGERS[base][0], "little", signed=base.startswith("i"))


def body_of(type_id: int, seq: int, payload: bytes, epoch8: int = EPOCH8) -> bytes:
    body = bytes((type_id, epoch8)) + seq.to_bytes(2, "little") + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def wire_of(body: bytes) -> bytes:
    encoded: bytes = cobs.encode(body)
    return encoded + b"\0"


# ---- the second opinion ----


def judge(wire: bytes, type_verdict: str) -> tuple[str, dict[str, int], bytes | None]:
    """Return verdict, counters and body for a stream; `type_verdict` is what an intact last frame means."""
    counters = dict.fromkeys(COUNTERS, 0)
    verdict, body = "nothing", None
    for piece in wire.split(b"\0")[:-1]:
        if piece:
            verdict, body = _judge_piece(piece)
            counters[verdict] += 1
    return type_verdict if verdict == "good" else verdict, counters, body


def _judge_piece(piece: bytes) -> tuple[str, bytes | None]:
    if len(piece) > MAX_PIECE_B:
        return "overflow", None
    try:
        body: bytes = cobs.decode(piece)
    except cobs.DecodeError:
        return "cobs_err", None
    if not 8 <= len(body) <= MAX_BODY_B:
        return "len_err", body
    intact = zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "little")
    return "good" if intact else "crc_err", body


def vector(name: str, wire: bytes, type_verdict: str = "good", *, to_host: bool = False) -> Vector:
    """Return the row of a stream that is more than one good message."""
    verdict, counters, body = judge(wire, type_verdict)
    kind = "to host" if to_host else "to controller"
    return Vector(name, kind, wire.hex(), verdict, counters, None if body is None else body.hex())


# ---- good ones ----


def _good_messages(rng: random.Random) -> Iterator[Vector]:
    for row in TABLE.messages:
        for type_id in row.type_ids:
            for name, values in _samples(row, rng):
                seq = rng.choice((0, 1, 0xFF, 0x100, 0xFFFF, rng.randrange(65_536)))
                yield _message(f"{row.name} {_way(type_id)}, {name}", row, type_id, seq, values)


def _message(name: str, row: MessageRow, type_id: int, seq: int, values: Values) -> Vector:
    epoch8 = 0 if row.delivery == "session" else EPOCH8
    body = body_of(type_id, seq, payload_of(row, values), epoch8)
    counters = dict.fromkeys(COUNTERS, 0) | {"good": 1}
    kind = _way(type_id)
    return Vector(name, kind, wire_of(body).hex(), "good", counters, body.hex(), row.name, seq, epoch8, values)


def _way(type_id: int) -> str:
    return "to host" if type_id & 0x80 else "to controller"


def _samples(row: MessageRow, rng: random.Random) -> Iterator[tuple[str, Values]]:
    yield "lowest", _values(row, lambda field: _edge(field, is_high=False))
    yield "highest", _values(row, lambda field: _edge(field, is_high=True))
    for number in range(1, 5):
        yield f"drawn {number}", _values(row, lambda field: _drawn(field, rng))


def _values(row: MessageRow, choose: Callable[[Field], Values]) -> Values:
    values: Values = {}
    for field in row.fields:
        values |= choose(field)
    return _repaired(row.name, values)


def _repaired(name: str, values: Values) -> Values:
    """Make the rules between fields hold."""
    if name == "HELLO":
        low, high = sorted((values["proto_min"], values["proto_max"]))
        return values | {"proto_min": low, "proto_max": high, "host_epoch": values["host_epoch"] | 1}
    if name == "EJECT_CANCEL":
        return values | {"to_evid": (values["from_evid"] + 1 + values["to_evid"] % 1024) % 2**32}
    if name == "SELFTEST":
        first, last = sorted((values["first_valve"], values["last_valve"]))
        return values | {"first_valve": first, "last_valve": last}
    return values


def _allowed(field: Field) -> list[int]:
    enum = TABLE.enum(field.ref)
    if enum is not None:
        return [value.number for value in enum.values if field.low <= value.number <= field.high]
    return [field.low, field.high]


def _edge(field: Field, *, is_high: bool) -> Values:
    end = -1 if is_high else 0
    byte = "ff" if is_high else "00"
    match field.base:
        case "valves":
            return {"first_valve": 4095, "valve_count": 16} if is_high else {"first_valve": 0, "valve_count": 1}
        case "items":
            item: Values = {}
            for inner in TABLE.item(field.ref).fields:
                item |= _edge(inner, is_high=is_high)
            return {field.name: [item] * (field.low, field.high)[end]}
        case "rest":
            return {field.name: byte * (field.low, min(field.high, 200))[end]}
        case "bytes12" | "bytes16":
            return {field.name: byte * field.size_b}
        case _:
            return {field.name: sorted(_allowed(field))[end]}


def _drawn(field: Field, rng: random.Random) -> Values:
    match field.base:
        case "valves":
            return {"first_valve": rng.randrange(4096), "valve_count": rng.randint(1, 16)}
        case "items":
            fields = TABLE.item(field.ref).fields
            count = rng.choice((1, 2, min(20, field.high), rng.randint(1, 8)))
            return {field.name: [_merged(_drawn(inner, rng) for inner in fields) for _ in range(count)]}
        case "rest":
            return {field.name: rng.randbytes(rng.randint(field.low, min(field.high, 40))).hex()}
        case "bytes12" | "bytes16":
            return {field.name: rng.randbytes(field.size_b).hex()}
        case _:
            allowed = _allowed(field)
            is_listed = TABLE.enum(field.ref) is not None
            return {field.name: rng.choice(allowed) if is_listed else rng.randint(*allowed)}


def _merged(parts: Iterator[Values]) -> Values:
    whole: Values = {}
    for part in parts:
        whole |= part
    return whole


def _row(name: str) -> MessageRow:
    return next(row for row in TABLE.messages if row.name == name)


def _good_lengths() -> Iterator[Vector]:
    """Yield data blocks around the lengths where COBS opens a new group, up to the longest body."""
    row = _row("XFER_DATA")
    for size_b in (1, 232, 233, 234, 235, 236, 243, 244):
        for name, data in (("no zero", b"\x07" * size_b), ("zeros", bytes(size_b)), ("ends in zero", None)):
            content = data if data is not None else b"\x07" * (size_b - 1) + b"\0"
            values = {"transfer_id": 0x01010101, "offset": 0x0101010101010101, "data": content.hex()}
            yield _message(f"XFER_DATA of {size_b} B, {name}", row, 0x41, 0x0101, values)


# ---- intact frames that are refused ----


def _bad_lengths(rng: random.Random) -> Iterator[Vector]:
    for row in TABLE.messages:
        for type_id in row.type_ids:
            payload = payload_of(row, _values(row, lambda field: _drawn(field, rng)))
            wrong = {"empty": b"", "one byte short of the head": payload[: row.head_b - 1]}
            if row.tail is None or row.tail.base == "items":
                wrong |= {"one byte short": payload[:-1], "one byte long": payload + b"\x01"}
            if row.tail is not None and row.tail.base == "items":
                item = payload[-TABLE.item(row.tail.ref).size_b :]
                wrong |= {"one item less than counted": payload[: -len(item)], "one more than counted": payload + item}
            for name, data in wrong.items():
                yield _refused(f"{row.name} {_way(type_id)}, {name}", type_id, data)


def _refused(name: str, type_id: int, payload: bytes, verdict: str = "bad_payload") -> Vector:
    return vector(name, wire_of(body_of(type_id, 7, payload)), verdict, to_host=bool(type_id & 0x80))


def _bad_values(rng: random.Random) -> Iterator[Vector]:
    for row in TABLE.messages:
        good = _values(row, lambda field: _drawn(field, rng))
        for name, values in _outside(row.fields, good):
            yield _refused(f"{row.name}, {name}", row.type_ids[0], payload_of(row, values))
        tail = row.tail
        if tail is not None and tail.base == "items":
            for name, values in _outside(TABLE.item(tail.ref).fields, good[tail.name][-1]):
                items = [*good[tail.name][:-1], values]
                yield _refused(
                    f"{row.name}, last item, {name}", row.type_ids[0], payload_of(row, good | {tail.name: items})
                )
    broken: Mapping[str, Sequence[Values]] = {
        "HELLO": ({"proto_min": 2, "proto_max": 1}, {"host_epoch": 0x100}, {"host_epoch": 0}),
        "EJECT_CANCEL": tuple({"from_evid": 5, "to_evid": evid} for evid in (5, 4, 0, 1030, 2**32 - 1)),
        "SELFTEST": ({"first_valve": 2, "last_valve": 1},),
    }
    for name, changes in broken.items():
        row = _row(name)
        for change in changes:
            values = _values(row, lambda field: _drawn(field, rng)) | change
            yield _refused(f"{name}, rule broken by {change}", row.type_ids[0], payload_of(row, values))


def _outside(fields: Sequence[Field], good: Values) -> Iterator[tuple[str, Values]]:
    """Yield values just outside the range of each field that its bytes can hold."""
    for field in fields:
        if field.base == "items":
            yield "no item", good | {field.name: []}
            yield "one item too many", good | {field.name: [good[field.name][0]] * (field.high + 1)}
        elif field.base == "rest" and field.high < 240:
            yield f"{field.name} too long", good | {field.name: "01" * (field.high + 1)}
        elif field.base in INTEGERS:
            _, lowest, highest = INTEGERS[field.base]
            allowed = _allowed(field)
            for value in (min(allowed) - 1, max(allowed) + 1, highest):
                if lowest <= value <= highest and not min(allowed) <= value <= max(allowed):
                    yield f"{field.name} {value}", good | {field.name: value}


def _strangers(rng: random.Random) -> Iterator[Vector]:
    """Yield types that nobody knows, with and without the bit that demands an answer, and types of the other way."""
    known = {type_id for row in TABLE.messages for type_id in row.type_ids}
    for type_id in (0x00, 0x04, 0x06, 0x0F, 0x13, 0x1F, 0x25, 0x31, 0x3F, 0x80, 0x8D, 0x9F, 0xA4, 0xB1, 0xBF):
        assert type_id not in known
        yield _refused(f"unknown type 0x{type_id:02x}", type_id, rng.randbytes(5), "unknown")
    for type_id in (0x44, 0x4F, 0x51, 0x60, 0x6B, 0x7E, 0xC4, 0xCF, 0xD1, 0xE0, 0xEB, 0xFE):
        assert type_id not in known
        yield _refused(f"unknown type 0x{type_id:02x}, bit 6", type_id, rng.randbytes(5), "must_understand")
    for row in TABLE.messages:
        if len(row.type_ids) == 1:
            type_id = row.type_ids[0]
            wire = wire_of(body_of(type_id, 7, payload_of(row, _values(row, lambda field: _drawn(field, rng)))))
            yield vector(f"{row.name} the wrong way", wire, "wrong_way", to_host=not type_id & 0x80)


# ---- damaged frames ----


def _wires() -> dict[str, bytes]:
    """Return the frames that are damaged below: short, with zeros, with a full group, with two groups."""
    batch = {
        "base_evid": 1000,
        "base_tick": 0x00F42400,
        "flags": 0,
        "items": [
            {"dt_ticks": 0, "first_valve": 17, "valve_count": 3, "pulse_us": 1500},
            {"dt_ticks": 250, "first_valve": 256, "valve_count": 1, "pulse_us": 900},
        ],
    }
    block = {"transfer_id": 0x01010101, "offset": 0x0101010101010101, "data": "07" * 240}
    return {
        "CLOCK_REQ": wire_of(body_of(0x03, 2, bytes.fromhex("04030201"))),
        "HEARTBEAT": wire_of(body_of(0x20, 1, bytes.fromhex("40e20100efbeadde01"))),
        "EJECT_BATCH": wire_of(body_of(0x10, 3, payload_of(_row("EJECT_BATCH"), batch))),
        "XFER_DATA": wire_of(body_of(0x41, 0x0101, payload_of(_row("XFER_DATA"), block))),
    }


def _cut() -> Iterator[Vector]:
    for name, wire in _wires().items():
        size_b = len(wire) - 1
        places = range(1, size_b) if size_b < 30 else (1, 2, 100, 253, 254, 255, 256, size_b - 2, size_b - 1)
        for at in places:
            yield vector(f"{name} cut after {at} B", wire[:at] + b"\0")
        for at in range(0, size_b, 1 + size_b // 4):
            yield vector(f"{name} without byte {at}", wire[:at] + wire[at + 1 :])
            yield vector(f"{name} with byte {at} twice", wire[:at] + wire[at : at + 1] + wire[at:])


def _changed(rng: random.Random) -> Iterator[Vector]:
    for name, wire in _wires().items():
        for place in sorted(rng.sample(range(8 * len(wire)), 8)):
            at, bit = divmod(place, 8)
            damaged = wire[:at] + bytes((wire[at] ^ 1 << bit,)) + wire[at + 1 :]
            yield vector(f"{name}, bit {bit} of byte {at} flipped", damaged)


def _bad_crc() -> Iterator[Vector]:
    body = body_of(0x20, 1, bytes.fromhex("40e20100efbeadde01"))
    for bit in range(32):
        at = len(body) - 4 + bit // 8
        damaged = body[:at] + bytes((body[at] ^ 1 << bit % 8,)) + body[at + 1 :]
        yield vector(f"HEARTBEAT, bit {bit} of the CRC wrong", wire_of(damaged))
    others = {
        "of zero": bytes(4),
        "of ones": b"\xff" * 4,
        "big-endian": body[:-5:-1],
        "without the final inversion": bytes(255 - byte for byte in body[-4:]),
        "over the payload only": zlib.crc32(body[4:-4]).to_bytes(4, "little"),
    }
    for name, crc in others.items():
        yield vector(f"HEARTBEAT, CRC {name}", wire_of(body[:-4] + crc))


def _bad_cobs() -> Iterator[Vector]:
    pieces = [
        "02",
        "03",
        "05",
        "fe",
        "ff",
        "0501",
        "0201",
        "ff01",
        "0103",
        "010102",
        "ff" * 3,
        "05aabb",
        "ff" + "07" * 253,
    ]
    for piece in pieces:
        name = piece if len(piece) < 20 else f"{piece[:6]}.. of {len(piece) // 2} B"
        yield vector(f"no COBS: {name}", bytes.fromhex(piece) + b"\0")


def _sizes() -> Iterator[Vector]:
    """Yield bodies too short and too long, each with a CRC that fits."""
    for size_b in range(8):
        start = bytes(range(1, max(0, size_b - 4) + 1))
        yield vector(f"body of {size_b} B", wire_of((start + zlib.crc32(start).to_bytes(4, "little"))[:size_b]))
    for size_b in (256, 257, 258, 300, 500):
        for name, byte in (("zeros", 0), ("no zero", 7)):
            wire = wire_of(body_of(0x41, 1, bytes((byte,)) * size_b))
            yield vector(f"body of {size_b + 8} B, {name}", wire)
    for size_b in (MAX_PIECE_B, MAX_PIECE_B + 1, 700):
        yield vector(f"{size_b} times code 1", b"\x01" * size_b + b"\0")
        yield vector(f"{size_b} times code 255", b"\xff" * size_b + b"\0")


def _streams(rng: random.Random) -> Iterator[Vector]:
    wires = _wires()
    beat, batch = wires["HEARTBEAT"], wires["EJECT_BATCH"]
    noise = rng.randbytes(40).replace(b"\0", b"\x01")
    cases = {
        "nothing at all": b"",
        "delimiters only": bytes(5),
        "no delimiter": beat[:-1],
        "noise without delimiter": noise,
        "delimiter before": b"\0" + beat,
        "delimiters before and after": bytes(3) + beat + bytes(3),
        "two frames": beat + batch,
        "two frames, two delimiters": beat + b"\0" + batch,
        "two frames without delimiter between": beat[:-1] + batch,
        "two frames without the last delimiter": beat + batch[:-1],
        "three frames, the first delimiter missing": beat[:-1] + batch + beat,
        "noise, delimiter, frame": noise + b"\0" + beat,
        "noise touches the frame": noise + beat,
        "noise touches the first of two frames": noise + beat + batch,
        "frame, noise": beat + noise,
        "frame, noise, delimiter": beat + noise + b"\0",
        "frame, noise, delimiter, frame": beat + noise + b"\0" + batch,
        "half a frame, then a whole one": batch[:12] + b"\0" + beat,
        "half a frame touches a whole one": batch[:12] + beat,
        "half a frame touches the first of two": batch[:12] + beat + batch,
        "too much noise, then a frame": b"\x55" * 700 + b"\0" + beat,
        "too much noise touches a frame": b"\x55" * 700 + beat,
        "too much noise touches the first of two": b"\x55" * 700 + beat + batch,
        "the same frame twice": batch + batch,
        "a zero falls into the frame": batch[:9] + b"\0" + batch[9:],
        "the delimiter is damaged": beat[:-1] + b"\x80" + batch,
    }
    yield from (vector(f"stream: {name}", wire) for name, wire in cases.items())
