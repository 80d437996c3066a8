"""Every field keeps its range in both directions, every rule between fields is exact: as sel1.toml has them."""

import struct
from typing import Final

import msgspec
import pytest
from bridge_messages import golden_messages

from firmware_bridge import messages as m
from firmware_bridge.codec import MESSAGE_TABLE, decode_payload, encode_payload
from firmware_bridge.errors import MessageError
from firmware_bridge.layouts import CONFIG
from firmware_bridge.message_table import TABLE_PATH, Field, MessageRow, read_table
from firmware_bridge.wire_layout import Delivery, ItemLayout, Layout, describe

TABLE: Final = read_table(TABLE_PATH)
BASES: Final = {type(message): message for *_, message in golden_messages().values()}
BETWEEN_FIELDS: Final = {"proto_min", "proto_max", "host_epoch", "first_valve", "last_valve", "from_evid", "to_evid"}


def with_value(message: m.Message, name: str, value: object) -> m.Message:
    changed: m.Message = msgspec.structs.replace(message, **{name: value})
    return changed


def edges(field: Field, value: object) -> tuple[dict[str, list[object]], dict[str, list[object]]]:
    """Return the values just inside and just outside the range of a field, by the name of the attribute."""
    match field.base:
        case "valves":
            return {"first_valve": [0, 4095], "valve_count": [1, 16]}, {
                "first_valve": [-1, 4096],
                "valve_count": [0, 17],
            }
        case "rest":
            longest = min(field.high, 1012)
            return {field.name: [b"\1" * field.low, b"\1" * longest]}, {field.name: [b"\1" * (longest + 1)]}
        case "items":
            assert isinstance(value, tuple)
            return {field.name: [value[:1], value[:1] * field.high]}, {field.name: [(), value[:1] * (field.high + 1)]}
        case "bytes12" | "bytes16":
            return {field.name: [bytes(field.size_b)]}, {field.name: [bytes(field.size_b - 1), bytes(field.size_b + 1)]}
        case _:
            enum = TABLE.enum(field.ref)
            numbers = (value.number for value in enum.values) if enum is not None else (field.low, field.high)
            allowed = [number for number in numbers if field.low <= number <= field.high]
            return {field.name: [min(allowed), max(allowed)]}, {field.name: [min(allowed) - 1, max(allowed) + 1]}


@pytest.mark.parametrize("row", TABLE.messages, ids=lambda row: str(row.name))
def test_each_field_has_its_range_and_nothing_else_is_written(row: MessageRow) -> None:
    base = BASES[MESSAGE_TABLE[row.type_ids[0]].cls]
    for field in row.fields:
        inside, outside = edges(field, getattr(base, field.name, None))
        for name, values in inside.items():
            for value in values if name not in BETWEEN_FIELDS else []:
                message = with_value(base, name, value)
                assert message == decode_payload(row.type_ids[0], encode_payload(message))
        for name, values in outside.items():
            for value in values:
                with pytest.raises(MessageError):
                    encode_payload(with_value(base, name, value))


@pytest.mark.parametrize(
    "row",
    [row for row in TABLE.messages if row.tail is not None and row.tail.base == "items"],
    ids=lambda row: str(row.name),
)
def test_each_field_of_an_item_has_its_range_and_nothing_else_is_written(row: MessageRow) -> None:
    assert row.tail is not None
    base = BASES[MESSAGE_TABLE[row.type_ids[0]].cls]
    items = getattr(base, row.tail.name)[:2]
    for field in TABLE.item(row.tail.ref).fields:
        inside, outside = edges(field, None)
        for name, values in inside.items():
            for value in values:
                message = with_value(base, row.tail.name, (*items, with_value(items[-1], name, value)))
                assert message == decode_payload(row.type_ids[0], encode_payload(message))
        for name, values in outside.items():
            for value in values:
                with pytest.raises(MessageError):
                    encode_payload(with_value(base, row.tail.name, (*items, with_value(items[-1], name, value))))


@pytest.mark.parametrize(
    ("message", "is_good"),
    [
        (m.Hello(1, 1, 1, 250), True),
        (m.Hello(0, 1, 1, 250), True),
        (m.Hello(1, 0, 1, 250), False),
        (m.Hello(1, 1, 0xFF, 250), True),
        (m.Hello(1, 1, 0x101, 250), True),
        (m.Hello(1, 1, 0x80, 250), True),
        (m.Hello(1, 1, 0xFFFFFF00, 250), False),
        (m.Hello(1, 1, 0, 250), False),
        (m.EjectCancel(0, 1), True),
        (m.EjectCancel(0, 1024), True),
        (m.EjectCancel(0, 1025), False),
        (m.EjectCancel(7, 7), False),
        (m.EjectCancel(7, 6), False),
        (m.EjectCancel(2**32 - 1, 0), True),
        (m.EjectCancel(2**32 - 1000, 24), True),
        (m.EjectCancel(2**32 - 1000, 25), False),
        (m.EjectCancel(2**32 - 1000, 2**32 - 1000), False),
        (m.Selftest(5, 5, 1000, m.SelftestMode.FIRE), True),
        (m.Selftest(0, 0, 1000, m.SelftestMode.FIRE), True),
        (m.Selftest(4095, 4095, 1000, m.SelftestMode.FIRE), True),
        (m.Selftest(0, 4095, 1000, m.SelftestMode.FIRE), True),
        (m.Selftest(6, 5, 1000, m.SelftestMode.FIRE), False),
        (m.Selftest(-1, 5, 1000, m.SelftestMode.FIRE), False),
        (m.Selftest(5, 4096, 1000, m.SelftestMode.FIRE), False),
    ],
)
def test_rules_between_fields_are_exact_both_ways(message: m.Message, is_good: bool) -> None:
    spec = next(spec for spec in MESSAGE_TABLE.values() if spec.cls is type(message))
    if is_good:
        assert message == decode_payload(spec.type_id, encode_payload(message))
        return
    with pytest.raises(MessageError):
        encode_payload(message)
    values = msgspec.structs.astuple(message)
    formats: dict[type[m.Message], str] = {m.Hello: "<BBIHB", m.EjectCancel: "<II", m.Selftest: "<hHHB"}
    with pytest.raises(MessageError):
        decode_payload(spec.type_id, struct.pack(formats[type(message)], *values))


def test_the_configuration_of_a_controller_after_power_on_never_changes() -> None:
    """Both ends compute cfg_crc over it before the host has set anything; key, value, lowest and highest value."""
    assert CONFIG == (
        (m.ConfigKey.MAX_PULSE_US, 20_000, 50, 65_535),
        (m.ConfigKey.MIN_OFF_US, 500, 0, 65_535),
        (m.ConfigKey.LATE_TOL_US, 150, 0, 10_000),
        (m.ConfigKey.HORIZON_US, 2_000_000, 10_000, 60_000_000),
        (m.ConfigKey.WD_MS, 250, 20, 5000),
        (m.ConfigKey.MAX_OPEN_VALVES, 4096, 1, 4096),
        (m.ConfigKey.MAX_DUTY_PERMILLE, 1000, 1, 1000),
    )


@pytest.mark.parametrize(
    ("type_id", "text"),
    [
        (0x24, "permille u16 = 2 B"),
        (0x10, "base_evid u32, base_tick u32, n u8, flags u8, n x {dt_ticks u16, valve u16, pulse_us u16} = 10 + 6n B"),
        (0x91, "n u8, n x {evid u32, reason u8, lateness_10us i16} = 1 + 7n B"),
        (0x82, "offset u16, data 0..240 B = 2..242 B"),
        (0x41, "transfer_id u32, offset u64, data 1..1012 B = 13..1024 B"),
        (0xD0, "level u8, text 0..200 B = 1..201 B"),
        (0x43, "transfer_id u32, status u8, sha256_16 16 B = 21 B"),
    ],
)
def test_the_layout_that_an_error_tells(type_id: int, text: str) -> None:
    assert MESSAGE_TABLE[type_id].layout == text


class Valves(m.Message, frozen=True):
    first_valve: int
    valve_count: int
    more: int
    most: int
    last: int


def test_valves_are_one_field_of_the_layout_wherever_they_stand() -> None:
    item = ItemLayout(Valves, "HBIb", lambda items: [], lambda rows: (), valves_at=0)
    layout = Layout((0x10,), "X", Delivery.EJECT, m.EjectExc, "B", item=item, count_at=0)
    assert describe(layout) == "n u8, n x {valve u16, more u8, most u32, last i8} = 1 + 8n B"


def test_the_layout_that_an_error_tells_has_every_field_and_the_sizes_of_the_table() -> None:
    for row in TABLE.messages:
        text = MESSAGE_TABLE[row.type_ids[0]].layout
        assert [
            field.name for field in row.fields if field.base not in {"items", "valves"} and field.name not in text
        ] == []
        match row.tail:
            case None:
                size = f"= {row.head_b} B"
            case Field(base="items"):
                size = f"= {row.head_b} + {TABLE.item(row.tail.ref).size_b}n B"
            case tail:
                size = f"{tail.name} {tail.low}..{tail.high} B = {row.head_b + tail.low}..{row.head_b + tail.high} B"
        assert text.endswith(size)


def test_type_bytes_and_classes_of_delivery_are_those_of_the_table() -> None:
    assert {(type_id, row.name, row.delivery) for row in TABLE.messages for type_id in row.type_ids} == {
        (spec.type_id, spec.name, spec.delivery.value) for spec in MESSAGE_TABLE.values()
    }
