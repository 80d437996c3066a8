"""Write the dictionary: the message table as compressed JSON, for Python and for C.

>>> "static const uint8_t SEL_DICTIONARY[SEL_DICTIONARY_B]" in dict_h(b"...")
True
"""

import json
import zlib
from collections.abc import Sequence
from typing import Final

from firmware_bridge.generate_python import MADE_BY
from firmware_bridge.message_table import EnumRow, Field, Table, Value

__all__ = ["description", "dict_h", "dictionary_py"]

_HEX_PER_LINE: Final = 100
_BYTES_PER_LINE: Final = 19
_HEAD: Final = '''\
"""What a controller says about itself when it is asked with DICT_READ: messages, texts and limits, compressed.

>>> read_dictionary(DICTIONARY).config["WD_MS"].high
5000
"""

from typing import Final

from firmware_bridge.dictionary_format import read_dictionary

__all__ = ["DICTIONARY", "DICTIONARY_CRC", "read_dictionary"]
'''


def dictionary_py(dictionary: bytes) -> str:
    """Return the text of dictionary.py for these compressed bytes."""
    digits = dictionary.hex()
    lines = [digits[at : at + _HEX_PER_LINE] for at in range(0, len(digits), _HEX_PER_LINE)]
    return (
        f"# {MADE_BY}\n{_HEAD}\nDICTIONARY: Final = bytes.fromhex(\n"
        + "".join(f'    "{line}"\n' for line in lines)
        + f")\nDICTIONARY_CRC: Final = 0x{zlib.crc32(dictionary):08X}\n"
    )


def dict_h(dictionary: bytes) -> str:
    """Return the text of sel_dict.h for these compressed bytes."""
    rows = [dictionary[at : at + _BYTES_PER_LINE] for at in range(0, len(dictionary), _BYTES_PER_LINE)]
    return "\n".join(
        [
            f"/* {MADE_BY}",
            " *",
            " * The dictionary: this protocol's messages, texts and limits as JSON, compressed with zlib. A controller",
            " * only hands the bytes out (DICT_READ, DICT_DATA) and must not look into them. */",
            "#ifndef SEL_DICT_H",
            "#define SEL_DICT_H",
            "",
            "#include <stdint.h>",
            "",
            f"#define SEL_DICTIONARY_B {len(dictionary)}u",
            f"#define SEL_DICTIONARY_CRC 0x{zlib.crc32(dictionary):08X}u /* CRC-32 of the compressed bytes */",
            "",
            "static const uint8_t SEL_DICTIONARY[SEL_DICTIONARY_B] = {",
            *("    " + " ".join(f"0x{byte:02X}," for byte in row) for row in rows),
            "};",
            "",
            "#endif",
            "",
        ]
    )


def description(table: Table) -> bytes:
    """Return the table as canonical JSON: what is compressed into the dictionary."""
    whole = {
        "protocol": table.protocol,
        "constants": {name: row.value for name, row in table.constants.items()},
        "enums": {row.name: _values(row) for row in table.enums},
        "flags": {row.name: _values(row) for row in table.flags},
        "items": {row.name: [_described(field) for field in row.fields] for row in table.items},
        "messages": [
            {
                "types": list(row.type_ids),
                "name": row.name,
                "class": row.delivery,
                "fields": [_described(field) for field in row.fields],
                "rules": list(row.rules),
            }
            for row in table.messages
        ],
        "config": {
            value.name: {"key": value.number, "default": row.default, "low": row.low, "high": row.high}
            for value, row in zip(_config_keys(table), table.config.values(), strict=True)
        },
    }
    return json.dumps(whole, separators=(",", ":"), sort_keys=True, ensure_ascii=True).encode("ascii")


def _config_keys(table: Table) -> Sequence[Value]:
    keys = table.enum("ConfigKey")
    assert keys is not None  # the table was checked
    return keys.values


def _values(row: EnumRow) -> dict[str, list[int | str]]:
    return {value.name: [value.number, value.doc] for value in row.values}


def _described(field: Field) -> list[str | int]:
    return [field.name, f"{field.base}:{field.ref}" if field.ref else field.base, field.low, field.high]
