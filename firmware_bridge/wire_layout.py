"""What a row of the layout table is made of. Holds no row itself: layouts.py has them, codec.py reads them.

>>> from firmware_bridge.messages import FeederSet
>>> describe(Layout((0x24,), "FEEDER_SET", Delivery.CONTROL, FeederSet, "H"))
'permille u16 = 2 B'
"""

import re
import struct
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

import msgspec

from firmware_bridge.messages import Message

__all__ = ["Delivery", "ItemLayout", "Layout", "describe", "head_codes"]

_CODE: Final = re.compile(r"\d*[a-zA-Z]")
_TYPES: Final = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "b": "i8", "h": "i16"}


class Delivery(Enum):
    """How a message gets through; each class has its own sequence numbers in each direction."""

    SESSION = "session"  # HELLO repeated until IDENT
    CONTROL = "control"  # ordered window, acknowledged
    EJECT = "eject"  # datagrams repeated until acknowledged or too late
    TELEMETRY = "telemetry"  # the latest counts, never repeated
    BULK = "bulk"  # blocks repeated until all are there, after everything else


class ItemLayout(msgspec.Struct, frozen=True):
    """What a message holds several of; `fmt` has one struct code for each field.

    Attributes:
        pack: items -> the numbers of all their codes; raises ValueError where one is out of range.
        unpack: rows of codes -> items; raises ValueError where one is out of range.
        valves_at: the code that holds first_valve and valve_count.
    """

    cls: type[Message]
    fmt: str
    pack: Callable[[Any], list[int]]
    unpack: Callable[[Iterable[Any]], tuple[Message, ...]]
    valves_at: int | None = None


class Layout(msgspec.Struct, frozen=True):
    """One message: fields in the order of its class, `head` has one struct code for each fixed one.

    Attributes:
        holds: tells whether a message keeps what its struct codes do not enforce; `rules` says it for people.
        item: the last field of the class is a tuple of these; code `count_at` of the head counts them.
        rest_b: the last field is the bytes behind the head, so many at least and at most.
    """

    type_ids: tuple[int, ...]
    name: str
    delivery: Delivery
    cls: type[Message]
    head: str
    rules: tuple[str, ...] = ()
    holds: Callable[[Any], bool] | None = None
    item: ItemLayout | None = None
    count_at: int = 0
    rest_b: tuple[int, int] | None = None


def head_codes(fmt: str) -> list[str]:
    """Return the struct codes of `fmt`, one for each field: '12s' is one."""
    return _CODE.findall(fmt)


def describe(layout: Layout) -> str:
    """Return fields, types and size for people."""
    names = [field.name for field in msgspec.structs.fields(layout.cls)]
    size_b = struct.calcsize("<" + layout.head)
    if layout.item is not None:
        names.insert(layout.count_at, "n")
        item_b = struct.calcsize("<" + layout.item.fmt)
        tail, size = f"n x {{{_describe_item(layout.item)}}}", f"{size_b} + {item_b}n B"
    elif layout.rest_b is not None:
        low_b, high_b = layout.rest_b
        tail, size = f"{names[-1]} {low_b}..{high_b} B", f"{size_b + low_b}..{size_b + high_b} B"
    else:
        tail, size = "", f"{size_b} B"
    return ", ".join([*_describe_fields(names, layout.head), *filter(None, [tail])]) + f" = {size}"


def _describe_fields(names: list[str], fmt: str) -> list[str]:
    pairs = zip(names, head_codes(fmt), strict=False)
    return [f"{name} {_TYPES.get(code) or code.removesuffix('s') + ' B'}" for name, code in pairs]


def _describe_item(item: ItemLayout) -> str:
    names = [field.name for field in msgspec.structs.fields(item.cls)]
    if item.valves_at is not None:
        names[item.valves_at : item.valves_at + 2] = ["valve"]
    return ", ".join(_describe_fields(names, item.fmt))
