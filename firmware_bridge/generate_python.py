"""Write messages.py and layouts.py from the message table, in the form that the formatter leaves alone.

>>> number(20_000), number(4_096)
('20_000', '4096')
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from firmware_bridge.message_table import BYTES, EnumRow, Field, ItemRow, MessageRow, Table
from firmware_bridge.table_rules import rule_as_python

__all__ = ["MADE_BY", "layouts_py", "messages_py", "number", "snake"]

MADE_BY: Final = "Made from sel1.toml by `python -m firmware_bridge.generate`; do not edit."
_WIDTH: Final = 120
_CODES: Final = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "bytes12": "12s",
                 "bytes16": "16s", "valves": "H", "items": "B"}  # fmt: skip

_MESSAGES_HEAD: Final = '''\
"""The messages of SEL/1 as values: what they mean, not how they are laid out (that is layouts.py).

Ticks are the controller's, 1 MHz unless IDENT says otherwise, and u32 ticks are compared modulo 2**32.
wire-protocol.md section 4 describes every field.

>>> FeederSet(permille=750)
FeederSet(permille=750)
>>> Heartbeat(host_ms=50, cfg_crc=0, flags=HeartbeatFlag.ARMED_WANTED).flags.name
'ARMED_WANTED'
"""

from enum import IntEnum, IntFlag
from typing import Final

import msgspec
'''
_LAYOUTS_HEAD: Final = '''\
"""The layout of every message, its ranges and rules, and the configuration keys: data, for codec.py and config_keys.py.

>>> next(row for row in LAYOUTS if row.cls is m.FeederSet).rules
('0 <= permille <= 1000',)
"""

from collections.abc import Iterable
from typing import Final

from firmware_bridge import messages as m
from firmware_bridge.wire_layout import Delivery, ItemLayout, Layout

__all__ = ["CONFIG", "LAYOUTS"]
'''


def number(value: int) -> str:
    """Return an integer literal, in groups of three digits from 10,000 on."""
    return f"{value:_}" if abs(value) >= 10_000 else str(value)


def snake(name: str) -> str:
    """Return EjectItem as eject_item."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def messages_py(table: Table) -> str:
    """Return the text of messages.py."""
    enums, flags = table.enums, table.flags
    names = ["PROTOCOL_VERSION", *table.constants, "Message"]
    names += [*(row.name for row in enums), *(row.name for row in flags), *(row.name for row in table.items)]
    names += [row.class_name for row in table.messages]
    constants = [f"PROTOCOL_VERSION: Final = {table.protocol}"]
    constants += [f"{name}: Final = {number(row.value)}  # {row.doc}" for name, row in table.constants.items()]
    base = 'class Message(msgspec.Struct, frozen=True):\n    """Base of everything that travels in a frame."""\n'
    parts = [
        f"# {MADE_BY}\n{_MESSAGES_HEAD}\n{_all(names)}\n" + "\n".join(constants) + "\n",
        *(_enum(row, "IntEnum") for row in enums),
        *(_enum(row, "IntFlag") for row in flags),
        base,
        *(_class(row.name, row) for row in table.items),
        *(_class(row.class_name, row) for row in table.messages),
    ]
    return "\n\n".join(parts)


def layouts_py(table: Table) -> str:
    """Return the text of layouts.py."""
    functions = [text for row in table.items for text in (_pack_items(table, row), _unpack_items(row))]
    checks = {row.name: _conditions(table, row) for row in table.messages}
    functions += [_holds(row, checks[row.name]) for row in table.messages if checks[row.name]]
    items = [_item_layout(row) for row in table.items]
    rows = [_render(_layout(row, checks[row.name]), 4) for row in table.messages]
    config = [
        f"(m.ConfigKey.{name}, {number(row.default)}, {number(row.low)}, {number(row.high)})"
        for name, row in table.config.items()
    ]
    return (
        f"# {MADE_BY}\n{_LAYOUTS_HEAD}\n\n"
        + "".join(f"{function}\n\n" for function in functions)
        + "".join(f"{item}\n" for item in items)
        + "\nLAYOUTS: Final[tuple[Layout, ...]] = (\n"
        + "".join(f"    {row},\n" for row in rows)
        + ")\n\n# Key, value after power-on, lowest and highest value.\n"
        + "CONFIG: Final[tuple[tuple[m.ConfigKey, int, int, int], ...]] = (\n"
        + "".join(f"    {row},\n" for row in config)
        + ")\n"
    )


def _all(names: Iterable[str]) -> str:
    ordered = sorted(names, key=lambda name: (not name.isupper(), name))
    return "__all__ = [\n" + "".join(f'    "{name}",\n' for name in ordered) + "]\n"


def _enum(row: EnumRow, base: str) -> str:
    values = [("NONE", 0, "")] * (base == "IntFlag") + [(value.name, value.number, value.doc) for value in row.values]
    lines = [f"class {row.name}({base}):", f'    """{row.doc}"""', ""]
    for name, value, doc in values:
        line = f"    {name} = {value}"
        if len(line) + 4 + len(doc) > _WIDTH:
            lines += [f"    # {doc}", line]
        else:
            lines.append(f"{line}  # {doc}" if doc else line)
    for question in row.properties:
        holds = ", ".join(f"{row.name}.{name}" for name in question.holds)
        lines += ["", "    @property", f"    def {question.name}(self) -> bool:", f'        """{question.doc}"""']
        lines.append(f"        return self in {{{holds}}}")
    return "\n".join(lines) + "\n"


def _class(name: str, row: ItemRow | MessageRow) -> str:
    lines = [f"class {name}(Message, frozen=True):", f'    """{row.doc}"""', ""]
    for field in sorted(row.fields, key=lambda field: field.base == "items"):
        for attribute, kind in _attributes(field):
            default = row.defaults.get(field.name)
            text = f"{field.ref}.{default}" if isinstance(default, str) else str(default)
            lines.append(f"    {attribute}: {kind}" + (f" = {text}" if default is not None else ""))
    return "\n".join(lines) + "\n"


def _attributes(field: Field) -> list[tuple[str, str]]:
    """Return name and Python type of what a field is in the class."""
    match field.base:
        case "valves":
            return [("first_valve", "int"), ("valve_count", "int")]
        case "items":
            return [(field.name, f"tuple[{field.ref}, ...]")]
        case "rest" | "bytes12" | "bytes16":
            return [(field.name, "bytes")]
        case _:
            return [(field.name, field.ref or "int")]


def _conditions(table: Table, row: ItemRow | MessageRow) -> list[str]:
    """Return what the struct codes do not refuse themselves, in the language of rules."""
    conditions = []
    for field in row.fields:
        enum = table.enum(field.ref)
        if field.base == "valves":
            conditions += ["0 <= first_valve <= 4095", "1 <= valve_count <= 16"]
        elif field.base in BYTES:
            conditions.append(f"len({field.name}) == {field.size_b}")
        elif field.base in {"items", "rest"}:
            conditions.append(f"{field.low} <= len({field.name}) <= {field.high}")
        elif enum is not None:
            conditions.append(_in_enum(field, enum))
        elif field.is_limited:
            conditions.append(f"{field.low} <= {field.name} <= {field.high}")
    return conditions + list(row.rules if isinstance(row, MessageRow) else ())


def _in_enum(field: Field, enum: EnumRow) -> str:
    numbers = [value.number for value in enum.values if field.low <= value.number <= field.high]
    if sorted(numbers) == list(range(min(numbers), max(numbers) + 1)):
        return f"{min(numbers)} <= {field.name} <= {max(numbers)}"
    return f"{field.name} in {{{', '.join(map(str, sorted(numbers)))}}}"


def _joined(conditions: Sequence[str], indent: int, start: str, end: str) -> str:
    """Return the conditions of `x` joined with `and`, in brackets over several lines where one is too short."""
    texts = [rule_as_python(condition, "x") for condition in conditions]
    line = f"{' ' * indent}{start}{' and '.join(texts)}{end}"
    if len(line) <= _WIDTH:
        return line
    inner = " " * (indent + 4)
    body = f"\n{inner}and ".join(texts)
    return f"{' ' * indent}{start}(\n{inner}{body}\n{' ' * indent}){end}"


def _holds(row: MessageRow, conditions: Sequence[str]) -> str:
    head = f"def _{row.name.lower()}_holds(x: m.{row.class_name}) -> bool:\n"
    return head + _joined(conditions, 4, "return ", "") + "\n"


def _pack_items(table: Table, row: ItemRow) -> str:
    """Return the function that checks items and lists their numbers."""
    conditions = _conditions(table, row)
    codes = ["x.first_valve | (x.valve_count - 1) << 12" if f.base == "valves" else f"x.{f.name}" for f in row.fields]
    lines = [f"def _pack_{snake(row.name)}s(items: Iterable[m.{row.name}]) -> list[int]:", "    codes: list[int] = []"]
    lines += ["    for x in items:"]
    lines += _refusal(conditions) if conditions else []
    lines += [f"        codes += ({', '.join(codes)})", "    return codes"]
    return "\n".join(lines) + "\n"


def _unpack_items(row: ItemRow) -> str:
    """Return the function that makes items of rows of numbers, and checks what the numbers can break."""
    arguments = []
    for field in row.fields:
        if field.base == "valves":
            arguments += ["valve & 0xFFF", "(valve >> 12) + 1"]
        else:
            arguments.append(f"m.{field.ref}({field.name})" if field.ref else field.name)
    names = ", ".join(field.name for field in row.fields)
    types = ", ".join(["int"] * len(row.fields))
    lines = [f"def _unpack_{snake(row.name)}s(rows: Iterable[tuple[{types}]]) -> tuple[m.{row.name}, ...]:"]
    narrow = [f"{field.low} <= {field.name} <= {field.high}" for field in row.fields if field.is_limited]
    start = "    items = tuple(" if narrow else "    return tuple("
    made = f"[m.{row.name}({', '.join(arguments)}) for {names} in rows]"
    is_short = len(start) + len(made) < _WIDTH
    lines += [f"{start}{made})"] if is_short else [start, f"        {made}", "    )"]
    if narrow:
        lines += ["    for x in items:", *_refusal(narrow), "    return items"]
    return "\n".join(lines) + "\n"


def _refusal(conditions: Sequence[str]) -> list[str]:
    """Return the lines in a loop over `x` that refuse it."""
    text = f'            raise ValueError(f"{{x}} breaks {", ".join(conditions)}")'
    return [_joined(conditions, 8, "if not (", "):"), text]


def _item_layout(row: ItemRow) -> str:
    name = snake(row.name)
    at = [f"valves_at={index}" for index, field in enumerate(row.fields) if field.base == "valves"]
    arguments = (f"m.{row.name}", f'"{_format(row.fields)}"', f"_pack_{name}s", f"_unpack_{name}s", *at)
    return _render(_Call(f"_{name.upper()}: Final = ItemLayout(", arguments), 0)


def _layout(row: MessageRow, conditions: Sequence[str]) -> "_Call":
    types = ", ".join(f"0x{type_id:02X}" for type_id in row.type_ids) + ("," if len(row.type_ids) == 1 else "")
    extra: tuple[str, ...] = ()
    if conditions:
        rules = _Call("rules=(", tuple(f'"{condition}"' for condition in conditions))
        extra += (_render(rules, 8), f"holds=_{row.name.lower()}_holds")
    tail = row.tail
    if tail is not None:
        is_items = tail.base == "items"
        items = (f"item=_{snake(tail.ref).upper()}", f"count_at={row.head.index(tail)}") if is_items else ()
        extra += items or (f"rest_b=({tail.low}, {tail.high})",)
    start = (f"({types})", f'"{row.name}"', f"Delivery.{row.delivery.upper()}", f"m.{row.class_name}")
    return _Call("Layout(", (*start, f'"{_format(row.head)}"', *extra))


def _format(fields: Iterable[Field]) -> str:
    return "".join(_CODES[field.base] for field in fields)


class _Call(NamedTuple):
    """Something in brackets: `head` ends with the opening one."""

    head: str
    arguments: tuple[str, ...]


def _render(call: _Call, indent: int) -> str:
    """Return the text as the formatter leaves it: on one line if it fits with a comma behind it, else a line each."""
    comma = "," if call.head.endswith("=(") and len(call.arguments) == 1 else ""  # a tuple of one
    line = f"{call.head}{', '.join(call.arguments)}{comma})"
    if indent + len(line) + 1 <= _WIDTH and "\n" not in line:
        return line
    inner = " " * (indent + 4)
    lines = [f"{inner}{argument},\n" for argument in call.arguments]
    return f"{call.head}\n{''.join(lines)}{' ' * indent})"
