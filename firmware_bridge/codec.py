"""Payload bytes to messages and back, as the layout table says. No I/O, no state, no message of its own.

>>> from firmware_bridge.messages import FeederSet
>>> encode_payload(FeederSet(permille=750)).hex()
'ee02'
>>> decode_payload(0x24, bytes.fromhex("ee02"))
FeederSet(permille=750)
"""

import struct
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Final

import msgspec

from firmware_bridge.errors import MessageError
from firmware_bridge.layouts import LAYOUTS
from firmware_bridge.messages import Message
from firmware_bridge.wire_layout import Delivery, ItemLayout, Layout, describe

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

_Encode = Callable[[Any], bytes]
_Decode = Callable[[bytes], Message]


class MessageSpec(msgspec.Struct, frozen=True):
    """One type byte; `layout` is for people, the two functions are the truth."""

    type_id: int
    name: str
    delivery: Delivery
    cls: type[Message]
    layout: str
    encode: _Encode
    decode: _Decode


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
        MessageError: a value is outside the range of its field, or a rule between fields is broken.
    """
    spec = _BY_CLASS.get(type(message))
    if spec is None:
        raise MessageError(f"{type(message).__name__} is no message of SEL/1")
    try:
        return spec.encode(message)
    except (struct.error, ValueError) as exc:
        raise MessageError(f"{spec.name}: {exc}; layout: {spec.layout}") from exc


def decode_payload(type_: int, payload: bytes) -> Message:
    """Return the message that `payload` holds.

    Raises:
        MessageError: the type is unknown, the length is not the type's, a value is out of range or a rule is broken.
    """
    spec = MESSAGE_TABLE.get(type_)
    if spec is None:
        raise MessageError(f"unknown message type 0x{type_:02x} with {len(payload)} B")
    try:
        return spec.decode(payload)
    except (struct.error, ValueError) as exc:
        text = f"{spec.name} (0x{type_:02x}): {len(payload)} B, expected {spec.layout}: {exc}"
        raise MessageError(text) from exc


def _enums(cls: type[Message]) -> list[tuple[int, type[Enum]]]:
    """Return index and type of those fields of `cls` that are enums or flags."""
    fields = enumerate(field.type for field in msgspec.structs.fields(cls))
    return [(index, type_) for index, type_ in fields if isinstance(type_, type) and issubclass(type_, Enum)]


def _checked(layout: Layout, encode: _Encode, decode: _Decode) -> tuple[_Encode, _Decode]:
    """Return both functions with the rules of the message around them."""
    holds = layout.holds
    if holds is None:
        return encode, decode
    rules = ", ".join(layout.rules)

    def _encode_checked(message: Message) -> bytes:
        if not holds(message):
            raise ValueError(f"{message} breaks {rules}")
        return encode(message)

    def _decode_checked(payload: bytes) -> Message:
        message = decode(payload)
        if not holds(message):
            raise ValueError(f"{message} breaks {rules}")
        return message

    return _encode_checked, _decode_checked


def _compile(layout: Layout) -> tuple[_Encode, _Decode]:
    if layout.item is not None:
        return _checked(layout, *_compile_items(layout, layout.item))
    return _checked(layout, *(_compile_fixed(layout) if layout.rest_b is None else _compile_rest(layout)))


def _compile_fixed(layout: Layout) -> tuple[_Encode, _Decode]:
    packer, cls, enums = struct.Struct("<" + layout.head), layout.cls, _enums(layout.cls)

    def encode(message: Message) -> bytes:
        return packer.pack(*msgspec.structs.astuple(message))

    def decode(payload: bytes) -> Message:
        values: list[Any] = list(packer.unpack(payload))
        for index, enum in enums:
            values[index] = enum(values[index])
        return cls(*values)

    return encode, decode


def _compile_rest(layout: Layout) -> tuple[_Encode, _Decode]:
    packer, cls, enums = struct.Struct("<" + layout.head), layout.cls, _enums(layout.cls)
    size_b = packer.size

    def encode(message: Message) -> bytes:
        *head, rest = msgspec.structs.astuple(message)
        return packer.pack(*head) + bytes(rest)

    def decode(payload: bytes) -> Message:
        values: list[Any] = list(packer.unpack_from(payload))
        for index, enum in enums:
            values[index] = enum(values[index])
        return cls(*values, bytes(payload[size_b:]))

    return encode, decode


def _compile_items(layout: Layout, item: ItemLayout) -> tuple[_Encode, _Decode]:
    head, row = struct.Struct("<" + layout.head), struct.Struct("<" + item.fmt)
    cls, count_at, enums = layout.cls, layout.count_at, _enums(layout.cls)
    size_b, row_b = head.size, row.size
    pack, unpack = item.pack, item.unpack

    @cache
    def packer(count: int) -> struct.Struct:
        return struct.Struct("<" + layout.head + count * item.fmt)

    def encode(message: Message) -> bytes:
        *values, items = msgspec.structs.astuple(message)
        values.insert(count_at, len(items))
        return packer(len(items)).pack(*values, *pack(items))

    def _decode(payload: bytes) -> Message:
        values: list[Any] = list(head.unpack_from(payload))
        count = values.pop(count_at)
        if len(payload) != size_b + count * row_b:
            raise ValueError(f"the length does not fit {count} items")
        for index, enum in enums:
            values[index] = enum(values[index])
        return cls(*values, unpack(row.iter_unpack(memoryview(payload)[size_b:])))

    return encode, _decode


def _specs(layout: Layout) -> list[MessageSpec]:
    """Return one row for each direction the message travels in."""
    encode, decode = _compile(layout)
    text = describe(layout)
    return [
        MessageSpec(type_id, layout.name, layout.delivery, layout.cls, text, encode, decode)
        for type_id in layout.type_ids
    ]


MESSAGE_TABLE: Final[dict[int, MessageSpec]] = {spec.type_id: spec for row in LAYOUTS for spec in _specs(row)}
_BY_CLASS: Final[dict[type[Message], MessageSpec]] = {spec.cls: spec for spec in MESSAGE_TABLE.values()}
_TYPES: Final[dict[tuple[type[Message], bool], int]] = {
    (spec.cls, spec.type_id >= TO_HOST_BIT): spec.type_id for spec in MESSAGE_TABLE.values()
}
