r"""Write the tables of wire-protocol.md that follow from the message table, between their markers.

>>> marked("a <!-- made from sel1.toml: x --> old <!-- end of x --> b", {"x": "new"})
'a <!-- made from sel1.toml: x -->\nnew\n<!-- end of x --> b'
"""

import re
from collections.abc import Iterable, Mapping

from firmware_bridge.message_table import INTEGERS, EnumRow, Field, MessageRow, Table

__all__ = ["blocks", "marked"]


def marked(text: str, parts: Mapping[str, str]) -> str:
    """Return `text` with each part between its two markers; a part without markers is left out."""
    for name, part in parts.items():
        start, end = f"<!-- made from sel1.toml: {name} -->", f"<!-- end of {name} -->"
        found = re.search(f"{re.escape(start)}.*?{re.escape(end)}", text, re.DOTALL)
        if found is not None:
            text = f"{text[: found.start()]}{start}\n{part}\n{end}{text[found.end() :]}"
    return text


def blocks(table: Table) -> dict[str, str]:
    """Return name -> Markdown of each part: messages, values, config."""
    return {"messages": _messages(table), "values": _values(table), "config": _config(table)}


def _table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    lines = [" | ".join(head), "|".join(["---"] * len(head)), *(" | ".join(row) for row in rows)]
    return "\n".join(f"|{line}|" if line.startswith("---") else f"| {line} |" for line in lines)


def _messages(table: Table) -> str:
    return _table(
        ("type", "name", "class", "payload", "size", "meaning"),
        (
            (_types(row), row.name, row.delivery, _payload(table, row), _size(table, row), row.doc)
            for row in table.messages
        ),
    )


def _types(row: MessageRow) -> str:
    return " / ".join(f"0x{type_id:02X}" for type_id in row.type_ids)


def _payload(table: Table, row: MessageRow) -> str:
    parts = [_field(field) for field in row.fields]
    tail = row.tail
    if tail is not None and tail.base == "items":
        parts.append(f"n x {{{', '.join(_field(field) for field in table.item(tail.ref).fields)}}}")
    rules = "".join(f"; `{rule}`" for rule in row.rules)
    return ", ".join(parts) + rules


def _field(field: Field) -> str:
    match field.base:
        case "items":
            return f"n u8 {field.low}..{field.high}"
        case "rest":
            return f"{field.name} {field.low}..{field.high} bytes"
        case "bytes12" | "bytes16":
            return f"{field.name} {field.size_b} bytes"
        case "valves":
            return "valve u16"
        case _:
            limits = f"{field.low}..{field.high}" if field.is_limited else ""
            if limits and (field.low, field.high) == (1, INTEGERS[field.base][2]):
                limits = "not 0"
            return " ".join(filter(None, [field.name, field.base, field.ref, limits]))


def _size(table: Table, row: MessageRow) -> str:
    tail = row.tail
    if tail is None:
        return str(row.head_b)
    if tail.base == "items":
        return f"{row.head_b} + {table.item(tail.ref).size_b}n"
    return f"{row.head_b + tail.low}..{row.head_b + tail.high}"


def _values(table: Table) -> str:
    rows = [row for enum in table.enums if enum.name != "ConfigKey" for row in _value_rows(enum, "{}")]
    rows += [row for flags in table.flags for row in _value_rows(flags, "0x{:02X}")]
    return _table(("of", "value", "name", "meaning"), rows)


def _value_rows(row: EnumRow, form: str) -> list[tuple[str, str, str, str]]:
    return [(row.name, form.format(value.number), value.name, value.doc) for value in row.values]


def _config(table: Table) -> str:
    keys = table.enum("ConfigKey")
    values = keys.values if keys is not None else ()
    rows = []
    for value in values:
        row = table.config[value.name]
        rows.append((str(value.number), value.name, f"{row.default:,}", f"{row.low:,}..{row.high:,}", value.doc))
    return _table(("key", "name", "after power-on", "range", "meaning"), rows)
