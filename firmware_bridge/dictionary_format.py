"""Read a controller's own description of its messages, whatever version it speaks.

>>> read_dictionary(zlib.compress(b'{"protocol":1}')).protocol
1
"""

import zlib
from typing import Final

import msgspec

from firmware_bridge.errors import MessageError

__all__ = ["MAX_DICTIONARY_B", "ConfigEntry", "Dictionary", "MessageEntry", "read_dictionary", "unpack_dictionary"]

MAX_DICTIONARY_B: Final = 262_144  # twenty times ours; a few bytes could claim to become gigabytes


class MessageEntry(msgspec.Struct, frozen=True, rename={"delivery": "class"}):
    """One message: `fields` are [name, type, low, high] in wire order."""

    types: tuple[int, ...]
    name: str
    delivery: str
    fields: tuple[tuple[str, str, int, int], ...]
    rules: tuple[str, ...] = ()


class ConfigEntry(msgspec.Struct, frozen=True):
    """One configuration key with its inclusive limits."""

    key: int
    default: int
    low: int
    high: int


class Dictionary(msgspec.Struct, frozen=True):
    """What a controller says about itself; what it leaves out is empty.

    Attributes:
        enums: name of the enum -> name of the value -> (number, text).
        flags: the same for bits.
        items: name of the item -> its fields, as in a message.
    """

    protocol: int
    constants: dict[str, int] = {}
    enums: dict[str, dict[str, tuple[int, str]]] = {}
    flags: dict[str, dict[str, tuple[int, str]]] = {}
    items: dict[str, tuple[tuple[str, str, int, int], ...]] = {}
    messages: tuple[MessageEntry, ...] = ()
    config: dict[str, ConfigEntry] = {}

    def text(self, enum: str, number: int) -> str | None:
        """Return what the value of that number means, or None where this controller has no such value."""
        return next((text for value, text in self.enums.get(enum, {}).values() if value == number), None)


def read_dictionary(data: bytes) -> Dictionary:
    """Return the dictionary in these bytes, as DICT_DATA delivers them.

    Raises:
        MessageError: they are no compressed JSON, too long, nested without end, or say something else.
    """
    try:
        return msgspec.json.decode(unpack_dictionary(data), type=Dictionary)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise MessageError(f"dictionary of {len(data)} B: {exc}") from exc


def unpack_dictionary(data: bytes) -> bytes:
    """Return the JSON in these bytes.

    Raises:
        MessageError: they are not compressed, cut off, or longer than MAX_DICTIONARY_B when unpacked.
    """
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_DICTIONARY_B)
    except zlib.error as exc:
        raise MessageError(f"dictionary of {len(data)} B: {exc}") from exc
    if not unpacker.eof:
        trouble = "cut off" if len(text) < MAX_DICTIONARY_B else f"longer than {MAX_DICTIONARY_B} B when unpacked"
        raise MessageError(f"dictionary of {len(data)} B: {trouble}")
    return text
