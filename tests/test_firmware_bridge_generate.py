"""What follows from sel1.toml is current, wrong tables are refused with the place, and C and Python say the same."""

import ctypes
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from bridge_messages import MESSAGES, golden_messages
from c_programs import compile_c, needs_compiler
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import messages as m
from firmware_bridge.codec import MESSAGE_TABLE, Delivery, decode_payload, encode_payload
from firmware_bridge.config_keys import CONFIG_RANGES, DEFAULT_CONFIG
from firmware_bridge.dictionary import DICTIONARY, DICTIONARY_CRC
from firmware_bridge.errors import MessageError, TableError
from firmware_bridge.generate import PACKAGE, generated, main, stale
from firmware_bridge.generate_dictionary import description, dictionary_py
from firmware_bridge.generate_python import snake
from firmware_bridge.message_table import INTEGERS, TABLE_PATH, Field, MessageRow, parse_table, read_table

TEXT: Final = TABLE_PATH.read_text(encoding="utf-8")
TABLE: Final = read_table(TABLE_PATH)
ROWS: Final = {row.class_name: row for row in TABLE.messages}
NAMES: Final = sorted(str(path.relative_to(PACKAGE.parent)) for path in generated(TABLE, PACKAGE))
C_TYPES: Final[dict[str, Any]] = {
    "u8": ctypes.c_uint8,
    "u16": ctypes.c_uint16,
    "u32": ctypes.c_uint32,
    "u64": ctypes.c_uint64,
    "i8": ctypes.c_int8,
    "i16": ctypes.c_int16,
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of the package's table and of everything made from it."""
    for name in (*NAMES, "firmware_bridge/sel1.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE.parent / name, tmp_path / name)
    return tmp_path / "firmware_bridge"


# ---- files ----


def test_everything_made_from_the_table_is_current() -> None:
    """If this fails, run `python -m firmware_bridge.generate`."""
    assert [path.name for path in stale(generated(TABLE, PACKAGE))] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_file_is_named_and_written_again(
    package: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = package.parent / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("| 0x01 |", "| 0x1 |") if name.endswith(".md") else text + "\n", encoding="utf-8")
    assert main(["--check", "--package", str(package)]) == 1
    assert capsys.readouterr().out == f"stale: {name}\n"
    assert main(["--package", str(package)]) == 0
    assert path.read_text(encoding="utf-8") == text


def test_a_changed_table_makes_every_file_that_speaks_of_it_stale(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = TEXT.replace('"came after its time: dropped"', '"too late"')
    (package / "sel1.toml").write_text(changed, encoding="utf-8")
    assert main(["--check", "--package", str(package)]) == 1
    names = ("c/sel_dict.h", "c/sel_msgs.h", "dictionary.py", "messages.py")
    expected = ["docs/wire-protocol.md", *(f"firmware_bridge/{name}" for name in names)]
    assert [line.removeprefix("stale: ") for line in capsys.readouterr().out.splitlines()] == expected


def test_an_installed_package_has_no_document_and_needs_none(package: Path) -> None:
    shutil.rmtree(package.parent / "docs")
    assert main(["--check", "--package", str(package)]) == 0
    assert not (package.parent / "docs").exists()


def test_the_document_keeps_what_stands_around_its_tables(package: Path) -> None:
    page = package.parent / "docs" / "wire-protocol.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(f"before {text} behind \\1", encoding="utf-8")
    assert main(["--package", str(package)]) == 0
    assert page.read_text(encoding="utf-8") == f"before {text} behind \\1"
    assert text.count(" -->") == text.count("<!-- ") == 2 * text.count("<!-- end of ") > 0


def test_a_missing_file_is_written(package: Path) -> None:
    shutil.rmtree(package / "c")
    assert main(["--package", str(package)]) == 0
    assert main(["--check", "--package", str(package)]) == 0


def test_another_compression_of_the_same_dictionary_is_kept(package: Path) -> None:
    other = zlib.compress(zlib.decompress(DICTIONARY), 1)
    (package / "dictionary.py").write_text(dictionary_py(other), encoding="utf-8")
    assert main(["--package", str(package)]) == 0
    assert dictionary_py(other) == (package / "dictionary.py").read_text(encoding="utf-8")
    assert f"SEL_DICTIONARY_B {len(other)}u" in (package / "c" / "sel_dict.h").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "DICTIONARY = bytes.fromhex(", "bytes.fromhex('0g')", "bytes.fromhex(x)"])
def test_a_damaged_dictionary_is_made_anew(package: Path, text: str) -> None:
    (package / "dictionary.py").write_text(text, encoding="utf-8")
    assert main(["--package", str(package)]) == 0
    expected = dictionary_py(zlib.compress(description(TABLE), 9))
    assert expected == (package / "dictionary.py").read_text(encoding="utf-8")


def test_a_wrong_table_ends_with_exit_code_3_and_writes_nothing(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (package / "sel1.toml").write_text(TEXT.replace('to = "both"', 'to = "all"'), encoding="utf-8")
    assert main(["--package", str(package)]) == 3
    assert "Invalid enum value 'all'" in capsys.readouterr().err
    after = {name: (package.parent / name).read_bytes() for name in NAMES}
    assert {name: (PACKAGE.parent / name).read_bytes() for name in NAMES} == after


def test_a_missing_table_is_an_error_of_the_table(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"sel1\.toml"):
        read_table(tmp_path / "sel1.toml")


# ---- wrong tables ----


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("[[message]]\ntype = 0x01", "[[message]\ntype = 0x01", "sel1.toml"),
        ("protocol = 1", "protocol = 1\nspare = 2", "unknown field `spare`"),
        ("type = 0x01", "type = 0x02", "type 0x02 twice"),
        ("type = 0x01", "type = 0x00", "`int` >= 1"),
        ("type = 0x01", "type = 0xB1", "type 0xb1 does not travel to controller"),
        ('name = "HELLO"', 'name = "DICT_READ"', "DictRead twice"),
        ('name = "HELLO"', 'name = "hello"', "Expected `str` matching"),
        ('class = "session"', 'class = "express"', "Invalid enum value 'express'"),
        ('["wd_ms", "u16"], ["flags"', '["proto_min", "u16"], ["flags"', "HELLO: field proto_min twice"),
        ('["proto_min", "u8"]', '["protoMin", "u8"]', "HELLO.protoMin: a field's name is lower_case"),
        ('["proto_min", "u8"]', '["proto_min", "u9"]', "HELLO.proto_min: no type 'u9'"),
        ('["proto_min", "u8"]', '["proto_min", "u8:Nothing"]', "HELLO.proto_min: u8:Nothing refers to nothing"),
        ('["proto_min", "u8"]', '["proto_min", "u64:BoardState"]', "refers to nothing that fits"),
        ('["proto_min", "u8"]', '["proto_min", "u8", "1-2"]', "HELLO.proto_min: range '1-2' is not 'low..high'"),
        ('["proto_min", "u8"]', '["proto_min", "u8", "0..256"]', "range 0..256 is not within 0..255"),
        ('["proto_min", "u8"]', '["proto_min", "u8", "3..2"]', "range 3..2 is not within"),
        ('["proto_min", "u8"]', '["valve", "valves"]', "HELLO: valves belongs into an item"),
        ('["proto_min", "u8"]', '["data", "rest", "0..4"]', "HELLO: rest must be the last field"),
        ('["data", "rest", "0..240"]', '["data", "rest"]', "DICT_DATA.data: rest needs a range"),
        ('["flags", "u8:BatchFlag"]', '["more", "rest", "0..2"]', "EJECT_BATCH: more than one field of variable"),
        ('"items:EjectItem"', '"items:BoardState"', "EJECT_BATCH.items: items:BoardState refers to nothing"),
        ('["pulse_us", "u16", "1..65535"]]', '["rest", "rest", "0..4"]]', "EjectItem: an item has a fixed length"),
        ("defaults = { flags = 0 }", "defaults = { flag = 0 }", "HELLO: a default for no field: flag"),
        ("defaults = { flags = 0 }", "defaults = { wd_ms = 0 }", "fields with a default must be the last ones"),
        ("defaults = { flags = 0 }", "defaults = { flags = 256 }", "HELLO.flags: default 256 is out of range"),
        ("defaults = { flags = 0 }", 'defaults = { flags = "NONE" }', "HELLO.flags: default 'NONE' is neither"),
        ('reason = "UNSPECIFIED"', 'reason = "WHIM"', "SET_STATE.reason: default 'WHIM' is neither"),
        ('"proto_min <= proto_max"', '"proto_min <= proto_top"', "proto_top is no field that a rule may use"),
        ('"proto_min <= proto_max"', '"proto_min"', "a rule is a comparison"),
        ('"proto_min <= proto_max"', '"proto_min <="', "no expression"),
        ('"proto_min <= proto_max"', '"exit() < proto_max"', "is not allowed in a rule|no field"),
        ('"proto_min <= proto_max"', '"proto_min.real < 5"', "Attribute is not allowed in a rule"),
        ('"proto_min <= proto_max"', '"proto_min < 4294967296"', "4294967296 is longer than 32 bits"),
        ('"proto_min <= proto_max"', '"proto_min < 1.5"', "Constant is not allowed in a rule"),
        ('["SAFE", 1,', '["BOOT", 1,', "BoardState: value BOOT twice"),
        ('["SAFE", 1,', '["SAFE", 0,', "BoardState: number 0 twice"),
        ('name = "BoardState"', 'name = "StateReason"', "refers to nothing that fits|twice"),
        ('"PULSE_CLAMPED", "MERGED"] }', '"PULSE_CLAMPED", "GONE"] }', "a property names GONE"),
        ("WD_MS = { default = 250, low = 20", "WD_S = { default = 250, low = 20", "[config] has"),
        ("WD_MS = { default = 250, low = 20", "WD_MS = { default = 250, low = 300", "WD_MS: not 0 <= low"),
        ('doc = "What the controller allows itself to do."', 'doc = "no sentence"', "Expected `str` matching"),
    ],
)
def test_a_wrong_table_says_what_is_wrong_and_where(old: str, new: str, error: str) -> None:
    assert TEXT.count(old) >= 1
    with pytest.raises(TableError) as caught:
        parse_table(TEXT.replace(old, new, 1))
    assert any(part in str(caught.value) for part in error.split("|")), str(caught.value)


@pytest.mark.parametrize(
    ("constant", "message", "room_b"),
    [
        (m.MAX_EVENTS_PER_BATCH, "EjectBatch", 254),
        (m.MAX_EVENTS_PER_MASK_BATCH, "EjectMask", 254),
        (m.MAX_REPORTS_PER_FRAME, "EjectExc", 254),
    ],
)
def test_the_longest_list_is_the_constant_and_fills_one_group(constant: int, message: str, room_b: int) -> None:
    """One COBS group is 254 bytes of body: header, payload and CRC. One item more and there would be two."""
    row = ROWS[message]
    assert row.tail is not None
    item_b = TABLE.item(row.tail.ref).size_b
    body_b = 8 + row.head_b + constant * item_b
    assert (constant, True, True) == (row.tail.high, body_b <= room_b, body_b + item_b > room_b)


def test_a_bulk_block_beside_ejections_fills_one_group_exactly() -> None:
    assert 8 + ROWS["XferData"].head_b + m.MAX_BLOCK_B == 254


# ---- C ----


def structure(name: str, fields: tuple[Field, ...]) -> type[ctypes.Structure]:
    """Return what the header declares, derived from the table alone."""
    members: list[tuple[str, Any]] = []
    for field in sorted(fields, key=lambda field: field.base == "items"):
        match field.base:
            case "valves":
                members += [("first_valve", ctypes.c_uint16), ("valve_count", ctypes.c_uint8)]
            case "items":
                item = structure(field.ref, TABLE.item(field.ref).fields)
                members += [(f"{field.name}_n", ctypes.c_uint8), (field.name, item * field.high)]
            case "rest":
                members += [(field.name, ctypes.c_char_p), (f"{field.name}_len", ctypes.c_uint16)]
            case "bytes12" | "bytes16":
                members.append((field.name, ctypes.c_uint8 * field.size_b))
            case base:
                members.append((field.name, C_TYPES[base]))
    return type(name, (ctypes.Structure,), {"_fields_": members})


STRUCTURES: Final = {row.class_name: structure(row.class_name, row.fields) for row in TABLE.messages}


def fill(target: ctypes.Structure, message: m.Message) -> None:
    """Write the values of a message into the struct, whatever they are."""
    for field in msgspec.structs.fields(type(message)):
        value = getattr(message, field.name)
        if isinstance(value, tuple):
            setattr(target, f"{field.name}_n", len(value))
            for place, item in zip(getattr(target, field.name), value, strict=False):
                fill(place, item)
        elif isinstance(value, bytes) and isinstance(getattr(target, field.name), ctypes.Array):
            getattr(target, field.name)[:] = value
        elif isinstance(value, bytes):
            setattr(target, field.name, value)
            setattr(target, f"{field.name}_len", len(value))
        else:
            setattr(target, field.name, int(value))


def library_source() -> Iterator[str]:
    yield '#include "sel_repack.h"\n#include "sel_dict.h"\n'
    for row in TABLE.messages:
        name = row.name.lower()
        yield f"size_t t_pack_{name}(uint8_t *o, const struct sel_{name} *m) {{ return sel_pack_{name}(o, m); }}\n"
        yield f"int t_unpack_{name}(struct sel_{name} *m, const uint8_t *p, size_t n)\n"
        yield f"{{ return sel_unpack_{name}(m, p, n); }}\n"
    yield "size_t t_repack(uint8_t t, const uint8_t *p, size_t n, uint8_t *o) { return sel_repack(t, p, n, o); }\n"
    yield "int t_verdict(uint8_t t, const uint8_t *p, size_t n) { return sel_payload_verdict(t, p, n); }\n"
    yield "int t_delivery(uint8_t t) { return (int)sel_delivery_of(t); }\n"
    yield "int t_has_fired(uint32_t reason) { return sel_eject_reason_has_fired(reason); }\n"
    yield "uint32_t t_config(size_t i, int c) { const struct sel_config_row *r = &SEL_CONFIG[i];\n"
    yield "return c == 0 ? r->key : c == 1 ? r->initial : c == 2 ? r->low : r->high; }\n"
    yield "size_t t_config_count(void) { return SEL_CONFIG_COUNT; }\n"
    yield "const uint8_t *t_dictionary(size_t *n, uint32_t *crc)\n"
    yield "{ *n = SEL_DICTIONARY_B; *crc = SEL_DICTIONARY_CRC; return SEL_DICTIONARY; }\n"
    for row in TABLE.messages:
        yield f"size_t t_size_{row.name.lower()}(void) {{ return sizeof(struct sel_{row.name.lower()}); }}\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("library")
    (folder / "messages.c").write_text("".join(library_source()), encoding="ascii")
    flags = ("-pedantic", "-Wsign-conversion", "-shared", "-fPIC")
    return ctypes.CDLL(str(compile_c(folder / "messages.c", folder / "messages.so", *flags)))


def c_pack(library: ctypes.CDLL, row: MessageRow, filled: ctypes.Structure) -> bytes | None:
    out = ctypes.create_string_buffer(2048)
    size_b = library[f"t_pack_{row.name.lower()}"](out, ctypes.byref(filled))
    return out.raw[:size_b] if size_b else None


def python_pack(message: m.Message) -> bytes | None:
    try:
        return encode_payload(message)
    except MessageError:
        return None


def near(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers of that width, more of them where limits are."""
    edges = {low, low + 1, high, high - 1, 0, 1, 3, 4, 5, 11, 12, 234, 235, 240, 1000, 1001, 4095, 4096}
    return st.sampled_from(sorted(edge for edge in edges if low <= edge <= high)) | st.integers(low, high)


def any_value(field: Field) -> st.SearchStrategy[Any]:
    """Values that the C struct can hold, allowed or not."""
    match field.base:
        case "items":
            item = TABLE.item(field.ref)
            return st.lists(any_message(getattr(m, item.name), item.fields), max_size=field.high + 1).map(tuple)
        case "rest":
            return st.binary(max_size=field.high + 2) if field.high < 1000 else st.binary(max_size=40)
        case "bytes12" | "bytes16":
            return st.binary(min_size=field.size_b, max_size=field.size_b)
        case base:
            bits = 8 * field.size_b
            return near(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if base[0] == "i" else near(0, 2**bits - 1)


def any_message(cls: type[m.Message], fields: tuple[Field, ...]) -> st.SearchStrategy[m.Message]:
    values: list[st.SearchStrategy[Any]] = []
    for field in sorted(fields, key=lambda field: field.base == "items"):
        values += [near(0, 2**16 - 1), near(0, 255)] if field.base == "valves" else [any_value(field)]
    return st.builds(cls, *values)


@needs_compiler
def test_structs_are_the_tables(library: ctypes.CDLL) -> None:
    sizes = {name: library[f"t_size_{ROWS[name].name.lower()}"]() for name in STRUCTURES}
    assert {name: ctypes.sizeof(struct) for name, struct in STRUCTURES.items()} == sizes


def edges(field: Field) -> set[int]:
    """Return the values at and beside both limits of a field, and the ends of its type."""
    _, lowest, highest = INTEGERS[field.base]
    near_limits = {field.low - 1, field.low, field.high, field.high + 1, lowest, highest}
    enum = TABLE.enum(field.ref)
    numbers = [value.number for value in enum.values] if enum is not None else [field.low]
    return {n for n in near_limits | {min(numbers) - 1, max(numbers) + 1} if lowest <= n <= highest}


def at_edges(message: m.Message, fields: tuple[Field, ...]) -> Iterator[m.Message]:
    """Yield copies of a message in which one integer stands at an edge."""
    for field in fields:
        if field.base == "valves":
            yield from (msgspec.structs.replace(message, first_valve=n) for n in (0, 4095, 4096, 65_535))
            yield from (msgspec.structs.replace(message, valve_count=n) for n in (0, 1, 16, 17, 255))
        elif field.base in INTEGERS:
            yield from (msgspec.structs.replace(message, **{field.name: n}) for n in edges(field))
        elif field.base == "items":
            items = getattr(message, field.name)
            for item in at_edges(items[-1], TABLE.item(field.ref).fields):
                yield msgspec.structs.replace(message, **{field.name: (*items[:-1], item)})
        elif field.base == "rest":
            sizes = (max(0, field.low - 1), field.low, field.high, field.high + 1)
            yield from (msgspec.structs.replace(message, **{field.name: bytes(n)}) for n in sizes)


@needs_compiler
def test_c_and_python_draw_every_limit_at_the_same_value(library: ctypes.CDLL) -> None:
    refused = 0
    for _, _, _, message in golden_messages().values():
        row = ROWS[type(message).__name__]
        for changed in at_edges(message, row.fields):
            filled = STRUCTURES[row.class_name]()
            fill(filled, changed)
            assert (changed, python_pack(changed)) == (changed, c_pack(library, row, filled))
            refused += python_pack(changed) is None
    assert refused >= 50


@needs_compiler
@given(st.data())
def test_c_packs_what_python_packs_and_refuses_what_python_refuses(library: ctypes.CDLL, data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(TABLE.messages))
    cls = getattr(m, row.class_name)
    message = data.draw(MESSAGES[cls] | any_message(cls, row.fields))
    filled = STRUCTURES[row.class_name]()
    fill(filled, message)
    assert python_pack(message) == c_pack(library, row, filled)


@needs_compiler
@given(st.data())
def test_c_unpacks_every_message_into_its_fields(library: ctypes.CDLL, data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(TABLE.messages))
    message = data.draw(MESSAGES[getattr(m, row.class_name)])
    payload = encode_payload(message)
    got, expected = STRUCTURES[row.class_name](), STRUCTURES[row.class_name]()
    fill(expected, message)
    assert library[f"t_unpack_{row.name.lower()}"](ctypes.byref(got), payload, ctypes.c_size_t(len(payload))) == 1
    assert values_of(expected) == values_of(got)


def values_of(filled: ctypes.Structure) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, *_ in filled._fields_:
        value = getattr(filled, name)
        count = getattr(filled, f"{name}_n", None)
        if count is not None:
            found[name] = [values_of(item) for item in value[:count]]
        elif isinstance(value, ctypes.Array):
            found[name] = list(value)
        elif not hasattr(filled, f"{name}_len"):  # bytes are where they were: the repacking below compares them
            found[name] = value
    return found


@needs_compiler
@given(st.data())
def test_c_takes_the_payloads_that_python_takes_and_no_others(library: ctypes.CDLL, data: st.DataObject) -> None:
    type_id = data.draw(st.sampled_from(sorted(MESSAGE_TABLE)) | st.integers(0, 255))
    payload = data.draw(payloads(type_id) | st.binary(max_size=70))
    out = ctypes.create_string_buffer(2048)
    size_b = library.t_repack(type_id, payload, ctypes.c_size_t(len(payload)), out)
    verdict = library.t_verdict(type_id, payload, ctypes.c_size_t(len(payload)))
    try:
        decode_payload(type_id, payload)
    except MessageError:
        assert (verdict, size_b) == (0 if type_id in MESSAGE_TABLE else -1, 0)
    else:
        assert (verdict, out.raw[:size_b]) == (1, payload)


@st.composite
def payloads(draw: st.DrawFn, type_id: int) -> bytes:
    """Payloads of that type, some of them cut, longer or with one byte changed."""
    if type_id not in MESSAGE_TABLE:
        return draw(st.binary(max_size=70))
    payload = bytearray(encode_payload(draw(MESSAGES[MESSAGE_TABLE[type_id].cls])))
    match draw(st.sampled_from(["whole", "cut", "longer", "changed"])):
        case "cut":
            del payload[draw(st.integers(0, len(payload))) :]
        case "longer":
            payload += draw(st.binary(min_size=1, max_size=7))
        case "changed":
            payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 255))
    return bytes(payload)


@needs_compiler
def test_c_knows_the_class_of_every_type_byte(library: ctypes.CDLL) -> None:
    order = [None, Delivery.SESSION, Delivery.CONTROL, Delivery.EJECT, Delivery.TELEMETRY, Delivery.BULK]
    expected = [MESSAGE_TABLE[type_id].delivery if type_id in MESSAGE_TABLE else None for type_id in range(256)]
    assert expected == [order[library.t_delivery(type_id)] for type_id in range(256)]


@needs_compiler
def test_c_has_the_same_configuration_dictionary_and_reasons(library: ctypes.CDLL) -> None:
    library.t_config.restype = ctypes.c_uint32
    rows = [tuple(library.t_config(ctypes.c_size_t(i), c) for c in range(4)) for i in range(library.t_config_count())]
    assert [(int(key), DEFAULT_CONFIG[key], *CONFIG_RANGES[key]) for key in sorted(DEFAULT_CONFIG)] == rows
    size_b, crc = ctypes.c_size_t(), ctypes.c_uint32()
    library.t_dictionary.restype = ctypes.c_void_p
    address = library.t_dictionary(ctypes.byref(size_b), ctypes.byref(crc))
    assert (ctypes.string_at(address, size_b.value), crc.value) == (DICTIONARY, DICTIONARY_CRC)
    fired = {reason: bool(library.t_has_fired(int(reason))) for reason in m.EjectReason}
    assert {reason: reason.has_fired for reason in m.EjectReason} == fired


def test_names_in_c_are_those_of_the_table() -> None:
    header = (PACKAGE / "c" / "sel_msgs.h").read_text(encoding="utf-8")
    enums = [row for rows in (TABLE.enums, TABLE.flags) for row in rows]
    values = [(f"SEL_{snake(row.name).upper()}_{value.name}", value.number) for row in enums for value in row.values]
    types = [(f"SEL_TYPE_{row.name}", f"0x{row.type_ids[0]:02X}") for row in TABLE.messages]
    assert [name for name, number in [*values, *types] if f"    {name} = {number}," not in header] == []
