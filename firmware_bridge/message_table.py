"""Read sel1.toml and check it: names, ranges, rules. Knows neither Python nor C output.

>>> table = read_table(TABLE_PATH)
>>> next(row for row in table.messages if row.name == "FEEDER_SET").fields
(Field(name='permille', base='u16', low=0, high=1000, ref=''),)
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from firmware_bridge.errors import TableError
from firmware_bridge.table_rules import check_rule

__all__ = [
    "BYTES",
    "INTEGERS",
    "TABLE_PATH",
    "ConfigRow",
    "Constant",
    "EnumRow",
    "Field",
    "ItemRow",
    "MessageRow",
    "Property",
    "Table",
    "Value",
    "parse_table",
    "read_table",
]

TABLE_PATH: Final = Path(__file__).with_name("sel1.toml")
INTEGERS: Final[Mapping[str, tuple[int, int, int]]] = {  # type -> size in bytes, lowest, highest value
    "u8": (1, 0, 2**8 - 1),
    "u16": (2, 0, 2**16 - 1),
    "u32": (4, 0, 2**32 - 1),
    "u64": (8, 0, 2**64 - 1),
    "i8": (1, -(2**7), 2**7 - 1),
    "i16": (2, -(2**15), 2**15 - 1),
}
BYTES: Final[Mapping[str, int]] = {"bytes12": 12, "bytes16": 16}
_MAX_REST_B: Final = 65_000
_MAX_DOC: Final = 108  # a docstring on one line of 120
_TO_HOST: Final = 0x80

Row = Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=3)]
Upper = Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Z0-9_]*$")]
Camel = Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Za-z0-9]*$")]
Doc = Annotated[str, msgspec.Meta(pattern=r'^[A-Z][^"\\\n*]*\.$', max_length=_MAX_DOC)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a table of the file may hold; any other key is an error."""


class Constant(_Strict, frozen=True):
    """A number both languages know by the same name."""

    value: int
    doc: str


class ConfigRow(_Strict, frozen=True):
    """Start value and inclusive limits of a configuration key."""

    default: int
    low: int
    high: int


class Value(msgspec.Struct, frozen=True, array_like=True):
    """One value of an enum, or one bit of flags."""

    name: Upper
    number: Annotated[int, msgspec.Meta(ge=0)]
    doc: str


class Property(_Strict, frozen=True):
    """A question about an enum that some of its values answer with yes."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]*$")]
    doc: Doc
    holds: tuple[Upper, ...]


class EnumRow(_Strict, frozen=True):
    """An enum, or the names of bits."""

    name: Camel
    doc: Doc
    values: Annotated[tuple[Value, ...], msgspec.Meta(min_length=1)]
    properties: tuple[Property, ...] = ()


class _ItemText(_Strict, frozen=True):
    name: Camel
    doc: Doc
    fields: tuple[Row, ...]
    defaults: dict[str, int | str] = {}


class _MessageText(_Strict, frozen=True, rename={"delivery": "class", "type_id": "type"}):
    type_id: Annotated[int, msgspec.Meta(ge=1, le=255)]
    name: Upper
    to: Literal["host", "controller", "both"]
    delivery: Literal["session", "control", "eject", "telemetry", "bulk"]
    doc: Doc
    fields: Annotated[tuple[Row, ...], msgspec.Meta(min_length=1)]
    rules: tuple[str, ...] = ()
    defaults: dict[str, int | str] = {}
    python: Camel | None = None


class _File(_Strict, frozen=True):
    protocol: Annotated[int, msgspec.Meta(ge=1, le=255)]
    constants: dict[Upper, Constant]
    config: dict[Upper, ConfigRow]
    enum: tuple[EnumRow, ...]
    flags: tuple[EnumRow, ...]
    item: tuple[_ItemText, ...]
    message: tuple[_MessageText, ...]


class Field(msgspec.Struct, frozen=True):
    """One field: `low..high` is the range of an integer, the length of `rest`, the count of `items`."""

    name: str
    base: str  # a key of INTEGERS, bytes12, bytes16, valves, rest, items
    low: int
    high: int
    ref: str = ""  # the enum, flags or item it refers to

    @property
    def size_b(self) -> int:
        """Bytes of its fixed part: the count byte of items, nothing of rest."""
        fixed = {"valves": 2, "items": 1, "rest": 0} | dict(BYTES)
        return INTEGERS[self.base][0] if self.base in INTEGERS else fixed[self.base]

    @property
    def is_limited(self) -> bool:
        """Tell whether its range is narrower than its type's."""
        if self.base in INTEGERS:
            return INTEGERS[self.base][1:] != (self.low, self.high)
        return self.base in {"rest", "items"}


class ItemRow(msgspec.Struct, frozen=True):
    """What a message holds several of."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    defaults: dict[str, int | str]

    @property
    def size_b(self) -> int:
        """Bytes of one."""
        return sum(field.size_b for field in self.fields)


class MessageRow(msgspec.Struct, frozen=True):
    """One message; `type_ids` are the type bytes of the directions it travels in."""

    type_ids: tuple[int, ...]
    name: str
    class_name: str
    delivery: str
    doc: str
    fields: tuple[Field, ...]
    rules: tuple[str, ...]
    defaults: dict[str, int | str]

    @property
    def head(self) -> tuple[Field, ...]:
        """Fields of the fixed part, the count byte among them."""
        return tuple(field for field in self.fields if field.base != "rest")

    @property
    def head_b(self) -> int:
        """Bytes of the fixed part."""
        return sum(field.size_b for field in self.head)

    @property
    def tail(self) -> Field | None:
        """The field of variable length, or None."""
        return next((field for field in self.fields if field.base in {"rest", "items"}), None)


class Table(msgspec.Struct, frozen=True):
    """The whole message table, checked."""

    protocol: int
    constants: dict[str, Constant]
    config: dict[str, ConfigRow]
    enums: tuple[EnumRow, ...]
    flags: tuple[EnumRow, ...]
    items: tuple[ItemRow, ...]
    messages: tuple[MessageRow, ...]

    def enum(self, name: str) -> EnumRow | None:
        """Return the enum of that name, or None."""
        return next((row for row in self.enums if row.name == name), None)

    def item(self, name: str) -> ItemRow:
        """Return the item of that name.

        Raises:
            KeyError: there is none.
        """
        return {row.name: row for row in self.items}[name]


def read_table(path: Path) -> Table:
    """Return the table in that file.

    Raises:
        TableError: it cannot be read or is wrong; the message names the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise TableError(f"{path.name}: {exc}") from exc
    return parse_table(text)


def parse_table(text: str) -> Table:
    """Return the table that this TOML holds.

    Raises:
        TableError: it is wrong; the message names the place.
    """
    try:
        file = msgspec.toml.decode(text, type=_File)
    except msgspec.DecodeError as exc:
        raise TableError(f"sel1.toml: {exc}") from exc
    names = {row.name: "enum" for row in file.enum} | {row.name: "flags" for row in file.flags}
    items = tuple(_item(row, names) for row in file.item)
    kinds = names | {row.name: "item" for row in items}
    messages = tuple(_message(row, kinds) for row in file.message)
    table = Table(file.protocol, file.constants, file.config, file.enum, file.flags, items, messages)
    _check_names(table)
    for row in (*table.enums, *table.flags):
        _check_values(row)
    _check_config(table)
    return table


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise TableError(f"sel1.toml: {text}")


def _unique(values: Iterable[object], what: str) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    _require(not twice, f"{what} {', '.join(map(str, twice))} twice")


def _item(row: _ItemText, kinds: Mapping[str, str]) -> ItemRow:
    fields = tuple(_field(row.name, text, kinds) for text in row.fields)
    _require(all(field.base not in {"rest", "items"} for field in fields), f"{row.name}: an item has a fixed length")
    _check_fields(row.name, fields, row.defaults)
    return ItemRow(row.name, row.doc, fields, row.defaults)


def _message(row: _MessageText, kinds: Mapping[str, str]) -> MessageRow:
    is_to_host = bool(row.type_id & _TO_HOST)
    _require(is_to_host == (row.to == "host"), f"{row.name}: type 0x{row.type_id:02x} does not travel to {row.to}")
    fields = tuple(_field(row.name, text, kinds) for text in row.fields)
    variable = [field for field in fields if field.base in {"rest", "items"}]
    _require(len(variable) <= 1, f"{row.name}: more than one field of variable length")
    _require(all(f.base == "items" or f is fields[-1] for f in variable), f"{row.name}: rest must be the last field")
    _require(all(field.base != "valves" for field in fields), f"{row.name}: valves belongs into an item")
    _check_fields(row.name, fields, row.defaults)
    integers = {field.name for field in fields if field.base in INTEGERS and field.base != "u64"}
    for rule in row.rules:
        trouble = check_rule(rule, integers)
        _require(trouble is None, f"{row.name}: rule {rule!r}: {trouble}")
    types = (row.type_id, row.type_id | _TO_HOST) if row.to == "both" else (row.type_id,)
    class_name = row.python or "".join(word.capitalize() for word in row.name.split("_"))
    return MessageRow(types, row.name, class_name, row.delivery, row.doc, fields, row.rules, row.defaults)


def _field(owner: str, text: tuple[str, ...], kinds: Mapping[str, str]) -> Field:
    name, (base, _, ref) = text[0], text[1].partition(":")
    place = f"{owner}.{name}"
    _require(name.isidentifier() and name == name.lower(), f"{place}: a field's name is lower_case")
    _require(base in INTEGERS or base in BYTES or base in {"valves", "rest", "items"}, f"{place}: no type {base!r}")
    _require(base != "valves" or name == "valve", f"{place}: a field of type valves is called valve")
    wanted = {"items": {"item"}, "u8": {"enum", "flags"}, "u16": {"enum", "flags"}, "u32": {"flags"}}
    if ref or base == "items":
        _require(kinds.get(ref) in wanted.get(base, set()), f"{place}: {text[1]} refers to nothing that fits")
    _, lowest, highest = INTEGERS.get(base, (0, 0, 0))
    lowest, highest = {"items": (1, 255), "rest": (0, _MAX_REST_B)}.get(base, (lowest, highest))
    if len(text) == 2:
        _require(base not in {"items", "rest"}, f"{place}: {base} needs a range")
        return Field(name, base, lowest, highest, ref)
    try:
        low, high = (int(part) for part in text[2].split(".."))
    except ValueError as exc:
        raise TableError(f"sel1.toml: {place}: range {text[2]!r} is not 'low..high'") from exc
    _require(lowest <= low <= high <= highest, f"{place}: range {text[2]} is not within {lowest}..{highest}")
    return Field(name, base, low, high, ref)


def _check_fields(owner: str, fields: tuple[Field, ...], defaults: Mapping[str, int | str]) -> None:
    _unique([field.name for field in fields], f"{owner}: field")
    in_class = sorted(fields, key=lambda field: field.base == "items")
    names = [field.name for field in in_class]
    _require(set(defaults) <= set(names), f"{owner}: a default for no field: {', '.join(set(defaults) - set(names))}")
    last = names[len(names) - len(defaults) :]
    _require(set(last) == set(defaults), f"{owner}: fields with a default must be the last ones")


def _check_names(table: Table) -> None:
    names = [row.name for row in (*table.enums, *table.flags)] + [row.name for row in table.items]
    _unique(names + [row.class_name for row in table.messages], "name")
    _unique([row.name for row in table.messages], "message")
    _unique([f"0x{type_id:02x}" for row in table.messages for type_id in row.type_ids], "type")
    rows: list[ItemRow | MessageRow] = [*table.items, *table.messages]
    for row in rows:
        for field in row.fields:
            _check_default(table, row.name, field, row.defaults.get(field.name, field.low))


def _check_default(table: Table, owner: str, field: Field, default: int | str) -> None:
    enum = table.enum(field.ref)
    if isinstance(default, str):
        names = {value.name for value in enum.values} if enum is not None else set()
        _require(default in names, f"{owner}.{field.name}: default {default!r} is neither a number nor of its enum")
    elif field.base in INTEGERS:
        _require(field.low <= default <= field.high, f"{owner}.{field.name}: default {default} is out of range")


def _check_values(row: EnumRow) -> None:
    names = {value.name for value in row.values}
    _unique([value.name for value in row.values], f"{row.name}: value")
    _unique([value.number for value in row.values], f"{row.name}: number")
    for name in _named_by_properties(row):
        _require(name in names, f"{row.name}: a property names {name}, which is no value")


def _named_by_properties(row: EnumRow) -> Iterator[str]:
    for question in row.properties:
        yield from question.holds


def _check_config(table: Table) -> None:
    keys = table.enum("ConfigKey")
    names = [value.name for value in keys.values] if keys is not None else []
    _require(names == list(table.config), f"[config] has {', '.join(table.config)}, ConfigKey has {', '.join(names)}")
    for name, row in table.config.items():
        _require(0 <= row.low <= row.default <= row.high < 2**32, f"[config] {name}: not 0 <= low <= default <= high")
