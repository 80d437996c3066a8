"""TOML files to frozen structs, with errors that name file, key and the nearest valid key.

Precedence: default < file < --set key=value. Knows no particular settings: the structs carry types and ranges.

>>> import msgspec
>>> class Belt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
...     speed_mm_s: float = 2000.0
>>> decode_settings({"speed_mm_s": 1500.0}, Belt, "belt.toml").speed_mm_s
1500.0
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_runtime.errors import ConfigError

__all__ = ["apply_overrides", "decode_settings", "load_settings", "read_toml", "to_toml"]

_Settings = TypeVar("_Settings", bound=msgspec.Struct)
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]+)`(?: - at `\$(?P<path>[^`]*)`)?")
_PATH = re.compile(r"`\$(?P<path>[^`]*)`")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML; the message has the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def apply_overrides(tables: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `tables` with `key=value` texts applied; values are TOML, bare words are strings.

    Raises:
        ConfigError: a text has no "=", or its key runs through something that is not a table.

    >>> apply_overrides({"belt": {"speed": 1}}, ["belt.speed=2.5", "name=rice"])
    {'belt': {'speed': 2.5}, 'name': 'rice'}
    """
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in tables.items()}
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {text!r} is not key=value: write for example --set segment.threshold=80")
        table: Any = result
        *parents, last = key.strip().split(".")
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {text!r}: {parent} is a value, not a table")
        table[last] = _parse_value(value.strip())
    return result


def decode_settings(tables: Mapping[str, Any], kind: type[_Settings], name: str) -> _Settings:
    """Turn tables into settings.

    Args:
        tables: keys as in the file.
        kind: the struct to fill.
        name: what to call the source in messages, usually its path.

    Raises:
        ConfigError: an unknown key (with the nearest valid one), a wrong type, or a value out of range.
    """
    try:
        return msgspec.convert(tables, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_explain(str(error), kind)}") from error


def load_settings(path: Path, kind: type[_Settings], overrides: Iterable[str] = ()) -> _Settings:
    """Read settings from a TOML file, overridden by `key=value` texts.

    Raises:
        ConfigError: the file or an override is wrong; see `read_toml`, `apply_overrides` and `decode_settings`.
    """
    return decode_settings(apply_overrides(read_toml(path), overrides), kind, str(path))


def to_toml(settings: msgspec.Struct) -> str:
    """Return settings as TOML text that `decode_settings` reads back equal; keys in the order of the struct.

    >>> from edge_runtime.crop import CropSpec
    >>> print(to_toml(CropSpec(side_px=32)))
    side_px = 32
    reduction = 1
    channels = 3
    <BLANKLINE>
    """
    return _toml_table(msgspec.to_builtins(settings), ())


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(message: str, kind: type[msgspec.Struct]) -> str:
    unknown = _UNKNOWN.search(message)
    if unknown is None:
        where = _PATH.search(message)
        key = where["path"].lstrip(".") if where else ""
        return f"key {key}: {message.split(' - at ', maxsplit=1)[0]}" if key else message
    path = (unknown["path"] or "").lstrip(".")
    near = difflib.get_close_matches(unknown["key"], sorted(_all_keys(kind)), n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(sorted(_all_keys(kind)))}"
    return f"unknown key {path + '.' if path else ''}{unknown['key']}{hint}"


def _all_keys(kind: type[msgspec.Struct]) -> set[str]:
    keys = set()
    for field in msgspec.structs.fields(kind):
        keys.add(field.encode_name)
        for part in (field.type, *getattr(field.type, "__args__", ())):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                keys |= _all_keys(part)
    return keys


def _toml_table(table: Mapping[str, Any], path: tuple[str, ...]) -> str:
    plain, nested = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            nested.append(f"\n[{'.'.join((*path, key))}]\n{_toml_table(value, (*path, key))}")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            nested += [f"\n[[{'.'.join((*path, key))}]]\n{_toml_table(item, (*path, key))}" for item in value]
        elif value is not None:
            plain.append(f"{key} = {_toml_value(value)}\n")
    return "".join(plain + nested)


def _toml_value(value: bool | float | str | list[Any]) -> str:
    # A JSON scalar or list of scalars is also TOML, but for characters that JSON may leave bare.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
