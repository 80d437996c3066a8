"""Write sel_msgs.h and sel_repack.h from the message table: C99 that allocates nothing and aligns nothing.

>>> from firmware_bridge.message_table import TABLE_PATH, read_table
>>> "    SEL_BOARD_STATE_ARMED = 3, /* fires */" in msgs_h(read_table(TABLE_PATH)).splitlines()
True
"""

from collections.abc import Iterable, Iterator
from typing import Final

from firmware_bridge.generate_python import MADE_BY, snake
from firmware_bridge.message_table import EnumRow, Field, ItemRow, MessageRow, Table
from firmware_bridge.table_rules import rule_as_c

__all__ = ["msgs_h", "repack_h"]

_C_TYPES: Final = {"u8": "uint8_t", "u16": "uint16_t", "u32": "uint32_t", "u64": "uint64_t", "i8": "int8_t",
                   "i16": "int16_t"}  # fmt: skip
_DELIVERIES: Final = ("session", "control", "eject", "telemetry", "bulk")

_MSGS_HEAD: Final = f"""\
/* {MADE_BY}
 *
 * SEL/1 messages: payload bytes to structs and back, with every range and rule of the table; numbers, limits, texts of
 * enums. It must not know frames, sessions or what a message leads to.
 *
 *     struct sel_feeder_set wish;
 *     if (frame.type == SEL_TYPE_FEEDER_SET && sel_unpack_feeder_set(&wish, frame.payload, frame.payload_len))
 *         set_feeder(wish.permille);
 *
 * sel_pack_x returns the length of the payload, 0 when a value is out of range or a rule is broken; `out` holds
 * SEL_MAX_X_B bytes. sel_unpack_x returns 1, or 0 for a wrong length, a value out of range or a broken rule; what it
 * then left in the struct means nothing. Bytes of variable length are not copied: the struct points into the payload.
 */
#ifndef SEL_MSGS_H
#define SEL_MSGS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sel_codec.h"
"""


def msgs_h(table: Table) -> str:
    """Return the text of sel_msgs.h."""
    parts = [
        _MSGS_HEAD,
        "\n".join(_constants(table)),
        *(_enum(row) for row in (*table.enums, *table.flags)),
        _types(table),
        _delivery(table),
        _config(table),
        *(_item(table, row) for row in table.items),
        *(_message(table, row) for row in table.messages),
        _verdict(table),
        "#endif",
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def repack_h(table: Table) -> str:
    """Return the text of sel_repack.h."""
    cases = []
    for row in table.messages:
        name = row.name.lower()
        cases += _cases(row, f"return sel_unpack_{name}(&u.{name}, payload, n) ? sel_pack_{name}(out, &u.{name}) : 0;")
    members = [f"        struct sel_{row.name.lower()} {row.name.lower()};" for row in table.messages]
    return "\n".join(
        [
            f"/* {MADE_BY}",
            " *",
            " * For tests only: unpack a payload into its struct and pack it again. It must not be in a controller. */",
            "#ifndef SEL_REPACK_H",
            "#define SEL_REPACK_H",
            "",
            '#include "sel_msgs.h"',
            "",
            "/* Returns the length of what it packed, 0 when the payload is refused or the type unknown; `out` holds",
            f" * {max(_largest(table, row) for row in table.messages)} bytes. */",
            "static inline size_t sel_repack(uint8_t type, const uint8_t *payload, size_t n, uint8_t *out)",
            "{",
            "    union {",
            *members,
            "    } u;",
            "",
            "    switch (type) {",
            *cases,
            "    default:",
            "        return 0;",
            "    }",
            "}",
            "",
            "#endif",
            "",
        ]
    )


def _constants(table: Table) -> Iterator[str]:
    yield f"#define SEL_PROTOCOL_VERSION {table.protocol}u"
    yield "#define SEL_TO_HOST 0x80u        /* bit 7 of the type */"
    yield "#define SEL_MUST_UNDERSTAND 0x40u /* bit 6 of the type */"
    for name, row in table.constants.items():
        yield f"#define SEL_{name} {row.value}u /* {row.doc} */"
    for message in table.messages:
        yield f"#define SEL_MAX_{message.name}_B {_largest(table, message)}u"


def _enum(row: EnumRow) -> str:
    prefix = f"SEL_{snake(row.name).upper()}"
    lines = [f"/* {row.doc} */", f"enum sel_{snake(row.name)} {{"]
    comments = [f" /* {value.doc} */" if value.doc else "" for value in row.values]
    pairs = zip(row.values, comments, strict=True)
    lines += [f"    {prefix}_{value.name} = {value.number},{comment}" for value, comment in pairs] + ["};"]
    numbers = {value.name: value.number for value in row.values}
    for question in row.properties:
        holds = " || ".join(f"value == {numbers[name]}u" for name in question.holds)
        lines += ["", f"/* {question.doc} */"]
        lines += [
            f"static inline int sel_{snake(row.name)}_{question.name}(uint32_t value)",
            "{",
            f"    return {holds};",
            "}",
        ]
    return "\n".join(lines)


def _types(table: Table) -> str:
    lines = ["/* Type bytes; to one that travels both ways SEL_TO_HOST is added on the way to the host. */", "enum {"]
    lines += [f"    SEL_TYPE_{row.name} = 0x{row.type_ids[0]:02X}," for row in table.messages]
    return "\n".join([*lines, "};"])


def _delivery(table: Table) -> str:
    lines = ["/* How a message gets through; NONE is an unknown type. */", "enum sel_delivery {"]
    lines += ["    SEL_DELIVERY_NONE,"]
    lines += [f"    SEL_DELIVERY_{name.upper()}," for name in _DELIVERIES]
    lines += ["};", "", "/* By the whole type byte, the bit of the direction included. */"]
    lines += ["static inline enum sel_delivery sel_delivery_of(uint8_t type)", "{", "    switch (type) {"]
    for name in _DELIVERIES:
        labels = [line for row in table.messages if row.delivery == name for line in _cases(row, "")]
        lines += [*labels, f"        return SEL_DELIVERY_{name.upper()};"] if labels else []
    return "\n".join([*lines, "    default:", "        return SEL_DELIVERY_NONE;", "    }", "}"])


def _config(table: Table) -> str:
    lines = ["/* Value after power-on and inclusive limits of each key, in ascending order of keys. */"]
    lines += ["struct sel_config_row {", "    uint16_t key;", "    uint32_t initial, low, high;", "};", ""]
    lines += [f"#define SEL_CONFIG_COUNT {len(table.config)}u", ""]
    lines += ["static const struct sel_config_row SEL_CONFIG[SEL_CONFIG_COUNT] = {"]
    for name, row in table.config.items():
        lines.append(f"    {{SEL_CONFIG_KEY_{name}, {row.default}u, {row.low}u, {row.high}u}},")
    return "\n".join([*lines, "};"])


def _item(table: Table, row: ItemRow) -> str:
    name = snake(row.name)
    return "\n".join(
        [
            f"/* {row.doc} */",
            *_struct(name, row.fields),
            "",
            *_valid(table, name, row.fields, ()),
            "",
            f"static inline void sel_get_{name}(struct sel_{name} *m, const uint8_t *p)",
            "{",
            *_get_lines(row.fields, "p"),
            "}",
            "",
            f"static inline void sel_put_{name}(uint8_t *p, const struct sel_{name} *m)",
            "{",
            *_put_lines(row.fields, "p"),
            "}",
        ]
    )


def _message(table: Table, row: MessageRow) -> str:
    name = row.name.lower()
    return "\n".join(
        [
            f"/* {row.doc} */",
            *_struct(name, row.fields),
            "",
            *_valid(table, name, row.fields, row.rules),
            "",
            f"static inline size_t sel_pack_{name}(uint8_t *out, const struct sel_{name} *m)",
            "{",
            *_pack(table, name, row),
            "}",
            "",
            f"static inline int sel_unpack_{name}(struct sel_{name} *m, const uint8_t *payload, size_t n)",
            "{",
            *_unpack(table, name, row),
            "}",
        ]
    )


def _struct(name: str, fields: Iterable[Field]) -> list[str]:
    lines = [f"struct sel_{name} {{"]
    for field in sorted(fields, key=lambda field: field.base == "items"):
        match field.base:
            case "valves":
                lines += ["    uint16_t first_valve;", "    uint8_t valve_count;"]
            case "items":
                lines.append(f"    uint8_t {field.name}_n;")
                lines.append(f"    struct sel_{snake(field.ref)} {field.name}[{field.high}];")
            case "rest":
                lines += [f"    const uint8_t *{field.name};", f"    uint16_t {field.name}_len;"]
            case "bytes12" | "bytes16":
                lines.append(f"    uint8_t {field.name}[{field.size_b}];")
            case _:
                comment = f" /* enum sel_{snake(field.ref)} */" if field.ref else ""
                lines.append(f"    {_C_TYPES[field.base]} {field.name};{comment}")
    return [*lines, "};"]


def _valid(table: Table, name: str, fields: Iterable[Field], rules: Iterable[str]) -> list[str]:
    """Return the function that knows ranges and rules; nothing where every value is allowed."""
    conditions = _limits(table, fields, rules)
    items = next((field for field in fields if field.base == "items"), None)
    lines = [f"static inline int sel_is_valid_{name}(const struct sel_{name} *m)", "{"]
    lines += ["    size_t i;", ""] if items else []
    if not conditions:
        lines.append("    (void)m; /* every value is allowed */")
    lines += [line for condition in conditions for line in (f"    if (!({condition}))", "        return 0;")]
    if items is not None:
        lines += [f"    for (i = 0; i < m->{items.name}_n; i++)"]
        lines += [f"        if (!sel_is_valid_{snake(items.ref)}(&m->{items.name}[i]))", "            return 0;"]
    return [*lines, "    return 1;", "}"]


def _limits(table: Table, fields: Iterable[Field], rules: Iterable[str]) -> list[str]:
    conditions = [condition for field in fields for condition in _conditions(table, field)]
    return conditions + [rule_as_c(rule, "m") for rule in rules]


def _conditions(table: Table, field: Field) -> Iterator[str]:
    """Yield what the C type of a field does not refuse itself."""
    match field.base:
        case "valves":
            yield "m->first_valve <= 4095u"
            yield "m->valve_count >= 1u && m->valve_count <= 16u"
        case "items":
            yield _between(f"m->{field.name}_n", field, 0, 255)
        case "rest":
            yield _between(f"m->{field.name}_len", field, 0, 2**16 - 1)
        case base if base in _C_TYPES:
            bits = 8 * field.size_b
            lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if base[0] == "i" else (0, 2**bits - 1)
            if field.is_limited:
                yield _between(f"m->{field.name}", field, lowest, highest)
            enum = table.enum(field.ref)
            if enum is not None:
                yield from _member(field, enum)


def _between(value: str, field: Field, lowest: int, highest: int) -> str:
    """Return the condition without the half that always holds, of which a compiler would warn."""
    suffix = "" if lowest < 0 else "u"
    low = [f"{value} >= {field.low}{suffix}"] if field.low > lowest else []
    high = [f"{value} <= {field.high}{suffix}"] if field.high < highest else []
    return " && ".join(low + high)


def _member(field: Field, enum: EnumRow) -> Iterator[str]:
    """Yield what the range of the field does not refuse before."""
    value, numbers = f"m->{field.name}", sorted(one.number for one in enum.values)
    if set(numbers).issuperset(range(field.low, field.high + 1)):
        return
    if numbers != list(range(numbers[0], numbers[-1] + 1)):
        yield " || ".join(f"{value} == {number}u" for number in numbers)
    else:
        low = [f"{value} >= {numbers[0]}u"] if numbers[0] else []
        yield " && ".join([*low, f"{value} <= {numbers[-1]}u"])


def _pack(table: Table, name: str, row: MessageRow) -> list[str]:
    tail = row.tail
    lines = ["    size_t i;", ""] if tail is not None and tail.base == "items" else []
    if _limits(table, row.fields, row.rules):  # else the refusal could never be reached
        lines += [f"    if (!sel_is_valid_{name}(m))", "        return 0;"]
    lines += _put_lines(row.fields, "out")
    if tail is None:
        return [*lines, f"    return {row.head_b}u;"]
    if tail.base == "rest":
        copy = f"memcpy(out + {row.head_b}, m->{tail.name}, m->{tail.name}_len);"
        lines += [f"    {copy}"] if tail.low else [f"    if (m->{tail.name}_len != 0)", f"        {copy}"]
        return [*lines, f"    return (size_t){row.head_b}u + m->{tail.name}_len;"]
    item_b = table.item(tail.ref).size_b
    lines += [f"    for (i = 0; i < m->{tail.name}_n; i++)"]
    lines += [f"        sel_put_{snake(tail.ref)}(out + {row.head_b}u + {item_b}u * i, &m->{tail.name}[i]);"]
    return [*lines, f"    return {row.head_b}u + {item_b}u * (size_t)m->{tail.name}_n;"]


def _unpack(table: Table, name: str, row: MessageRow) -> list[str]:
    tail = row.tail
    end = f"    return sel_is_valid_{name}(m);"
    if tail is None:
        return [f"    if (n != {row.head_b}u)", "        return 0;", *_get_lines(row.fields, "payload"), end]
    if tail.base == "rest":
        low = f"n < {row.head_b + tail.low}u"
        lines = [f"    if ({low} || n > {row.head_b + tail.high}u)", "        return 0;"]
        lines += _get_lines(row.fields, "payload")
        lines += [f"    m->{tail.name} = payload + {row.head_b};"]
        return [*lines, f"    m->{tail.name}_len = (uint16_t)(n - {row.head_b}u);", end]
    item_b = table.item(tail.ref).size_b
    count = f"m->{tail.name}_n"
    lines = ["    size_t i;", "", f"    if (n < {row.head_b}u)", "        return 0;"]
    lines += _get_lines(row.fields, "payload")
    lines += [f"    if ({count} > {tail.high}u || n != {row.head_b}u + {item_b}u * (size_t){count})"]
    lines += ["        return 0;"]
    lines += [f"    for (i = 0; i < {count}; i++)"]
    lines += [f"        sel_get_{snake(tail.ref)}(&m->{tail.name}[i], payload + {row.head_b}u + {item_b}u * i);"]
    return [*lines, end]


def _get_lines(fields: Iterable[Field], source: str) -> Iterator[str]:
    at = 0
    for field in fields:
        place = f"{source} + {at}" if at else source
        match field.base:
            case "valves":
                yield f"    m->first_valve = (uint16_t)(sel_get_u16({place}) & 0xFFFu);"
                yield f"    m->valve_count = (uint8_t)((sel_get_u16({place}) >> 12) + 1u);"
            case "items":
                yield f"    m->{field.name}_n = {source}[{at}];"
            case "rest":
                pass
            case "bytes12" | "bytes16":
                yield f"    memcpy(m->{field.name}, {place}, {field.size_b});"
            case "u8":
                yield f"    m->{field.name} = {source}[{at}];"
            case "i8":
                yield f"    m->{field.name} = (int8_t){source}[{at}];"
            case "i16":
                yield f"    m->{field.name} = (int16_t)sel_get_u16({place});"
            case base:
                yield f"    m->{field.name} = sel_get_{base}({place});"
        at += field.size_b


def _put_lines(fields: Iterable[Field], target: str) -> Iterator[str]:
    at = 0
    for field in fields:
        place = f"{target} + {at}" if at else target
        match field.base:
            case "valves":
                yield f"    sel_put_u16({place}, (uint16_t)(m->first_valve | (m->valve_count - 1u) << 12));"
            case "items":
                yield f"    {target}[{at}] = m->{field.name}_n;"
            case "rest":
                pass
            case "bytes12" | "bytes16":
                yield f"    memcpy({place}, m->{field.name}, {field.size_b});"
            case "u8":
                yield f"    {target}[{at}] = m->{field.name};"
            case "i8":
                yield f"    {target}[{at}] = (uint8_t)m->{field.name};"
            case "i16":
                yield f"    sel_put_u16({place}, (uint16_t)m->{field.name});"
            case base:
                yield f"    sel_put_{base}({place}, m->{field.name});"
        at += field.size_b


def _verdict(table: Table) -> str:
    lines = ["/* Returns 1 when the payload is one of that type, 0 when it is refused, -1 when the type is unknown. */"]
    lines += ["static inline int sel_payload_verdict(uint8_t type, const uint8_t *payload, size_t n)", "{"]
    lines += ["    union {"]
    lines += [f"        struct sel_{row.name.lower()} {row.name.lower()};" for row in table.messages]
    lines += ["    } u;", "", "    switch (type) {"]
    for row in table.messages:
        lines += _cases(row, f"return sel_unpack_{row.name.lower()}(&u.{row.name.lower()}, payload, n);")
    return "\n".join([*lines, "    default:", "        return -1;", "    }", "}"])


def _cases(row: MessageRow, action: str) -> list[str]:
    labels = [f"    case SEL_TYPE_{row.name}:"]
    labels += [f"    case SEL_TYPE_{row.name} | SEL_TO_HOST:"] if len(row.type_ids) > 1 else []
    return [*labels, f"        {action}"] if action else labels


def _largest(table: Table, row: MessageRow) -> int:
    tail = row.tail
    if tail is None:
        return row.head_b
    return row.head_b + tail.high * (table.item(tail.ref).size_b if tail.base == "items" else 1)
