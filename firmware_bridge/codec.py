"""The one table of message types and their layouts; payload bytes to messages and back. No I/O, no state.

>>> encode_payload(m.FeederSet(permille=750)).hex()
'ee02'
>>> decode_payload(0x24, bytes.fromhex("ee02"))
FeederSet(permille=750)
"""

import struct
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Generic, TypeVar

import msgspec

from firmware_bridge import messages as m
from firmware_bridge.errors import MessageError
from firmware_bridge.messages import Message

__all__ = [
    "MESSAGE_TABLE",
    "MUST_UNDERSTAND_BIT",
    "TO_HOST_BIT",
    "Delivery",
    "MessageSpec",
    "decode_payload",
    "encode_payload",
    "message_type",
]

TO_HOST_BIT: Final = 0x80
MUST_UNDERSTAND_BIT: Final = 0x40

_M = TypeVar("_M", bound=Message)


class Delivery(Enum):
    """How a message gets through; each class has its own sequence numbers in each direction."""

    SESSION = "session"  # HELLO repeated until IDENT
    CONTROL = "control"  # ordered window, acknowledged
    EJECT = "eject"  # datagrams repeated until acknowledged or too late
    TELEMETRY = "telemetry"  # the latest counts, never repeated


class MessageSpec(msgspec.Struct, Generic[_M], frozen=True):
    """One row of the table; `layout` is for people, the two functions are the truth."""

    type_id: int
    name: str
    delivery: Delivery
    cls: type[_M]
    layout: str
    encode: Callable[[_M], bytes]
    decode: Callable[[bytes], _M]


def message_type(message: Message, *, to_host: bool) -> int:
    """Return the type byte of `message` for that direction.

    Raises:
        MessageError: this kind of message does not travel in that direction.
    """
    type_ = _TYPES.get((type(message), to_host))
    if type_ is None:
        way = "to the host" if to_host else "to the controller"
        raise MessageError(f"{type(message).__name__} does not travel {way}")
    return type_


def encode_payload(message: Message) -> bytes:
    """Return the payload bytes of `message`.

    Raises:
        MessageError: a value is outside the range of its field.
    """
    spec = _BY_CLASS.get(type(message))
    if spec is None:
        raise MessageError(f"{type(message).__name__} is no message of SEL/1")
    try:
        payload: bytes = spec.encode(message)
    except (struct.error, ValueError) as exc:
        raise MessageError(f"{spec.name}: {exc}; layout: {spec.layout}") from exc
    return payload


def decode_payload(type_: int, payload: bytes) -> Message:
    """Return the message that `payload` holds.

    Raises:
        MessageError: the type is unknown, the length is not the type's, or a value is out of range.
    """
    spec = MESSAGE_TABLE.get(type_)
    if spec is None:
        raise MessageError(f"unknown message type 0x{type_:02x} with {len(payload)} B")
    try:
        message: Message = spec.decode(payload)
    except (struct.error, ValueError) as exc:
        text = f"{spec.name} (0x{type_:02x}): {len(payload)} B, expected {spec.layout}: {exc}"
        raise MessageError(text) from exc
    return message


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise ValueError(text)


def _accept(_: Message) -> None:
    """Every value that fits its field is allowed."""


def _row(
    type_: int,
    delivery: Delivery,
    cls: type[_M],
    fmt: str,
    layout: str,
    *,
    convert: dict[str, Callable[[int], int]] | None = None,
    check: Callable[[_M], None] = _accept,
) -> MessageSpec[_M]:
    """Make the row of a message with a fixed layout: fields in the order of the struct."""
    packer = struct.Struct("<" + fmt)
    fields = msgspec.structs.fields(cls)
    converters = [(i, (convert or {})[f.name]) for i, f in enumerate(fields) if f.name in (convert or {})]

    def encode(message: _M) -> bytes:
        check(message)
        return packer.pack(*msgspec.structs.astuple(message))

    def decode(payload: bytes) -> _M:
        values: list[Any] = list(packer.unpack(payload))
        for index, converter in converters:
            values[index] = converter(values[index])
        message = cls(*values)
        check(message)
        return message

    return MessageSpec(type_, _wire_name(cls), delivery, cls, f"{layout} = {packer.size} B", encode, decode)


def _wire_name(cls: type[Message]) -> str:
    """Turn EjectBatch into EJECT_BATCH."""
    return "".join(f"_{c}" if c.isupper() else c.upper() for c in cls.__name__).removeprefix("_")


def _check_hello(hello: m.Hello) -> None:
    _require(hello.proto_min <= hello.proto_max, f"proto_min {hello.proto_min} > proto_max {hello.proto_max}")
    _require(hello.host_epoch & 0xFF != 0, f"host_epoch 0x{hello.host_epoch:08x} ends in 00")


def _check_ident(ident: m.Ident) -> None:
    _require(len(ident.uid) == 12, f"uid has {len(ident.uid)} B, not 12")
    _require(ident.tick_hz > 0, "tick_hz is 0")


def _check_feeder(feeder: m.FeederSet) -> None:
    _require(feeder.permille <= 1000, f"permille {feeder.permille} > 1000")


def _check_set_state(wish: m.SetState) -> None:
    allowed = (m.BoardState.SAFE, m.BoardState.IDLE, m.BoardState.ARMED)
    _require(wish.state in allowed, f"state {wish.state.name} cannot be asked for")


_BATCH_HEAD: Final = struct.Struct("<IIBB")
_BATCH_ITEM: Final = struct.Struct("<HHH")
_EXC_ITEM: Final = struct.Struct("<IBh")


def _encode_batch(batch: m.EjectBatch) -> bytes:
    count = len(batch.items)
    _require(1 <= count <= m.MAX_EVENTS_PER_BATCH, f"{count} events, not 1..{m.MAX_EVENTS_PER_BATCH}")
    parts = [_BATCH_HEAD.pack(batch.base_evid, batch.base_tick, count, batch.flags)]
    for item in batch.items:
        _require(0 <= item.first_valve < m.MAX_VALVES, f"first_valve {item.first_valve}, not 0..{m.MAX_VALVES - 1}")
        _require(1 <= item.valve_count <= m.MAX_VALVES_PER_EVENT, f"valve_count {item.valve_count}, not 1..16")
        _require(item.pulse_us >= 1, "pulse_us is 0")
        parts.append(_BATCH_ITEM.pack(item.dt_ticks, item.first_valve | (item.valve_count - 1) << 12, item.pulse_us))
    return b"".join(parts)


def _decode_batch(payload: bytes) -> m.EjectBatch:
    base_evid, base_tick, count, flags = _BATCH_HEAD.unpack_from(payload)
    _require(1 <= count <= m.MAX_EVENTS_PER_BATCH, f"{count} events, not 1..{m.MAX_EVENTS_PER_BATCH}")
    _require(len(payload) == _BATCH_HEAD.size + count * _BATCH_ITEM.size, f"length does not fit {count} events")
    rows = _BATCH_ITEM.iter_unpack(memoryview(payload)[_BATCH_HEAD.size :])
    items = tuple([m.EjectItem(dt, valve & 0xFFF, (valve >> 12) + 1, pulse_us) for dt, valve, pulse_us in rows])
    _require(all(item.pulse_us for item in items), "pulse_us is 0")
    return m.EjectBatch(base_evid, base_tick, m.BatchFlag(flags), items)


def _encode_exc(exc: m.EjectExc) -> bytes:
    count = len(exc.reports)
    _require(1 <= count <= m.MAX_REPORTS_PER_FRAME, f"{count} reports, not 1..{m.MAX_REPORTS_PER_FRAME}")
    rows = [_EXC_ITEM.pack(report.evid, report.reason, report.lateness_10us) for report in exc.reports]
    return bytes((count,)) + b"".join(rows)


def _decode_exc(payload: bytes) -> m.EjectExc:
    _require(len(payload) >= 1, "empty")
    count = payload[0]
    _require(1 <= count <= m.MAX_REPORTS_PER_FRAME, f"{count} reports, not 1..{m.MAX_REPORTS_PER_FRAME}")
    _require(len(payload) == 1 + count * _EXC_ITEM.size, f"length does not fit {count} reports")
    rows = _EXC_ITEM.iter_unpack(memoryview(payload)[1:])
    return m.EjectExc(tuple([m.EjectReport(evid, m.EjectReason(reason), late) for evid, reason, late in rows]))


_STATE: Final[dict[str, Callable[[int], int]]] = {"state": m.BoardState}
_VERDICT: Final = "object_id u32, class_id u16, confidence u8, source u8, tick u32"
_SOURCE: Final[dict[str, Callable[[int], int]]] = {"source": m.VerdictSource}
_CTRL_ACK: Final = "next_seq u16, credit u8"

_ROWS: Final[tuple[MessageSpec[Any], ...]] = (
    _row(0x01, Delivery.SESSION, m.Hello, "BBIHB", "proto_min u8, proto_max u8, host_epoch u32, wd_ms u16, flags u8",
         check=_check_hello),
    _row(0x81, Delivery.SESSION, m.Ident, "BI12sBBBIIHHHHHHIIIBHI",
         "proto u8, boot_id u32, uid 12, fw 3 x u8, fw_git u32, tick_hz u32, n_valves u16, slots u16, rx_window u16, "
         "max_body u16, max_pulse_us u16, min_off_us u16, caps u32, dict_crc u32, cfg_crc u32, state u8, pending u16, "
         "next_evid u32", convert=_STATE, check=_check_ident),
    _row(0x03, Delivery.TELEMETRY, m.ClockReq, "I", "token u32"),
    _row(0x83, Delivery.TELEMETRY, m.ClockRsp, "IQQI", "token u32, rx_tick u64, tx_tick u64, enc u32"),
    _row(0x84, Delivery.TELEMETRY, m.TriggerStamp, "III", "frame_no u32, tick u32, enc u32"),
    _row(0x05, Delivery.TELEMETRY, m.CtrlAck, "HB", _CTRL_ACK),
    _row(0x85, Delivery.TELEMETRY, m.CtrlAck, "HB", _CTRL_ACK),
    MessageSpec(0x10, "EJECT_BATCH", Delivery.EJECT, m.EjectBatch,
                "base_evid u32, base_tick u32, n u8, flags u8, n x {dt u16, valve u16, pulse_us u16} = 10 + 6n B",
                _encode_batch, _decode_batch),
    _row(0x90, Delivery.EJECT, m.EjectAck, "IQHHI",
         "base_evid u32, received u64, free_slots u16, seq_echo u16, tick u32"),
    MessageSpec(0x91, "EJECT_EXC", Delivery.CONTROL, m.EjectExc,
                "n u8, n x {evid u32, reason u8, lateness_10us i16} = 1 + 7n B", _encode_exc, _decode_exc),
    _row(0x20, Delivery.TELEMETRY, m.Heartbeat, "IIB", "host_ms u32, cfg_crc u32, flags u8",
         convert={"flags": m.HeartbeatFlag}),
    _row(0xA0, Delivery.TELEMETRY, m.Status, "QIBIHHIHHHHHHHHHbI",
         "tick u64, enc u32, state u8, faults u32, pending u16, free u16, fired u32, late u16, dup u16, crc_err u16, "
         "cobs_err u16, len_err u16, rx_over u16, q_hwm u16, air_kpa u16, supply_mv u16, temp_c i8, cfg_crc u32",
         convert=_STATE),
    _row(0xA1, Delivery.CONTROL, m.Fault, "HHII", "code u16, sub u16, tick u32, arg u32"),
    _row(0x21, Delivery.CONTROL, m.SetState, "BB", "state u8, reason u8",
         convert={"state": m.BoardState, "reason": m.StateReason}, check=_check_set_state),
    _row(0x22, Delivery.CONTROL, m.CfgSet, "HI", "key u16, value u32"),
    _row(0xA2, Delivery.CONTROL, m.CfgVal, "HII", "key u16, value u32, cfg_crc u32"),
    _row(0x24, Delivery.CONTROL, m.FeederSet, "H", "permille u16", check=_check_feeder),
    _row(0x30, Delivery.CONTROL, m.Verdict, "IHBBI", _VERDICT, convert=_SOURCE),
    _row(0xB0, Delivery.CONTROL, m.Verdict, "IHBBI", _VERDICT, convert=_SOURCE),
)  # fmt: skip

MESSAGE_TABLE: Final[dict[int, MessageSpec[Any]]] = {row.type_id: row for row in _ROWS}
_BY_CLASS: Final[dict[type[Message], MessageSpec[Any]]] = {row.cls: row for row in _ROWS}
_TYPES: Final[dict[tuple[type[Message], bool], int]] = {
    (row.cls, row.type_id >= TO_HOST_BIT): row.type_id for row in _ROWS
}
