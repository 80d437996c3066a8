"""TOML files to frozen structs, with errors that name file, line, key and the nearest valid key.

Precedence: default < file < --set key=value. Knows no particular settings: the structs carry types and ranges.

>>> import msgspec
>>> class Belt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
...     speed_mm_s: float = 2000.0
>>> decode_settings({"speed_mm_s": 1500.0}, Belt, "belt.toml").speed_mm_s
1500.0
"""

import copy
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from edge_runtime.errors import ConfigError

__all__ = [
    "apply_overrides",
    "decode_settings",
    "load_settings",
    "override_settings",
    "read_toml",
    "settings_faults",
    "to_toml",
]

_Settings = TypeVar("_Settings", bound=msgspec.Struct)
_Keys = tuple[
    str, ...
]  # from the root to a value; entries of an array of tables by their number: ("class", "0", "name")
_FIELD: Final = re.compile(r"(?P<what>unknown|missing required) field `(?P<key>[^`]+)`")
_PATH: Final = re.compile(r" - at `\$(?P<path>[^`]*)`")
_PATH_PART: Final = re.compile(r"[^.\[\]]+")
_HEADER: Final = re.compile(r"\s*(?P<open>\[\[?)\s*(?P<names>[^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY: Final = re.compile(r"\s*(?P<names>[\w.\- \"']+?)\s*=")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML; the message has the line.
    """
    return _parse(_read_text(path), str(path))


def apply_overrides(tables: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `tables` with `key=value` texts applied; values are TOML, bare words are strings.

    Raises:
        ConfigError: a text has no "=", or its key runs through something that is not a table.

    >>> apply_overrides({"belt": {"speed": 1}}, ["belt.speed=2.5", "name=rice"])
    {'belt': {'speed': 2.5}, 'name': 'rice'}
    """
    result = copy.deepcopy(dict(tables))
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
        ConfigError: an unknown key (with the nearest valid one), a missing key, a wrong type, a value out of range,
            infinite or not a number.
    """
    return _convert(tables, kind, lambda _: name)


def load_settings(path: Path | None, kind: type[_Settings], overrides: Iterable[str] = ()) -> _Settings:
    """Read settings from a TOML file, overridden by `key=value` texts.

    Args:
        path: the file, None for the defaults.
        kind: struct with a default for every key that the file may leave out.
        overrides: texts such as "fit.steps=500".

    Raises:
        ConfigError: the file or an override is wrong; see `read_toml`, `apply_overrides` and `decode_settings`. The
            message names the line of the file, or the override.
    """
    text, overrides = "" if path is None else _read_text(path), tuple(overrides)
    name = str(path or "defaults")

    def place(keys: _Keys) -> str:
        line = _line_of(text, keys)
        override = _override_of(overrides, keys, is_in_file=line is not None)
        return f"--set {override}" if override else f"{name}, line {line}" if line else name

    return _convert(apply_overrides(_parse(text, name), overrides), kind, place)


def settings_faults(path: Path, kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return what is wrong with a settings file, one fault a table, so that they can be mended in one go.

    Args:
        path: the file.
        kind: struct of the file.

    Returns:
        Messages as `load_settings` would raise them, in the order of the file's tables, then those of keys outside of
        tables; none where `load_settings` takes the file.
    """
    try:
        text = _read_text(path)
        tables = _parse(text, str(path))
    except ConfigError as error:
        return (str(error),)

    def place(keys: _Keys) -> str:
        line = _line_of(text, keys)
        return f"{path}, line {line}" if line else str(path)

    faults: list[str] = []
    sound = dict(tables)
    for prefix in _tables_of(tables, kind):
        try:
            _convert(tables, kind, place, prefix)
        except ConfigError as error:
            faults.append(str(error))
            sound.pop(prefix[0], None)
    try:
        _convert(sound, kind, place)
    except ConfigError as error:
        message, dropped = str(error), tables.keys() - sound.keys()
        is_of_a_key = "unknown key " in message or ": key " in message  # what keys say together needs all of them
        if not dropped or (is_of_a_key and not any(f"key {name} is missing" in message for name in dropped)):
            faults.append(message)
    return tuple(faults)


def override_settings(settings: _Settings, overrides: Iterable[str]) -> _Settings:
    """Return settings with some keys changed by `key=value` texts.

    Raises:
        ConfigError: an override is wrong; the message names it.
    """
    texts = tuple(overrides)

    def place(keys: _Keys) -> str:
        override = _override_of(texts, keys, is_in_file=False)
        return f"--set {override}" if override else "settings"

    return _convert(apply_overrides(msgspec.to_builtins(settings), texts), type(settings), place)


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


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not valid TOML: {error}") from error


def _convert(
    tables: Mapping[str, Any], kind: type[_Settings], place: Callable[[_Keys], str], prefix: _Keys = ()
) -> _Settings:
    """Return the settings, or with a prefix those of the table there.

    Raises:
        ConfigError: a key of that table is wrong.
    """
    own = _value_at(tables, prefix)
    for keys, value in _floats(own, prefix):
        if not math.isfinite(value):
            raise ConfigError(f"{place(keys)}: key {_dotted(keys)} is {value}: give a finite number")
    try:
        converted: _Settings = msgspec.convert(own, _type_at(kind, prefix))
    except msgspec.ValidationError as error:
        keys, message = _explain(str(error), kind, tables, prefix)
        raise ConfigError(f"{place(keys)}: {message}") from error
    return converted


def _tables_of(tables: Mapping[str, Any], kind: type[msgspec.Struct]) -> Iterator[_Keys]:
    """Yield where each table lies whose keys a struct of its own describes."""
    for key, value in tables.items():
        if isinstance(value, dict) and _fields(_type_at(kind, (key,))):
            yield (key,)
        elif isinstance(value, list) and _fields(_type_at(kind, (key, "0"))):
            yield from ((key, str(number)) for number, item in enumerate(value) if isinstance(item, dict))


def _floats(value: Any, keys: _Keys) -> Iterator[tuple[_Keys, float]]:
    """Yield every float below a value."""
    match value:
        case float():
            yield keys, value
        case Mapping():
            for key, item in value.items():
                yield from _floats(item, (*keys, key))
        case list() | tuple():
            for number, item in enumerate(value):
                yield from _floats(item, (*keys, str(number)))
        case _:
            pass


def _explain(message: str, kind: type[msgspec.Struct], tables: Mapping[str, Any], prefix: _Keys) -> tuple[_Keys, str]:
    """Return where the fault is and what it is, from msgspec's message about the table at the prefix."""
    path = _PATH.search(message)
    keys = (*prefix, *(_PATH_PART.findall(path["path"]) if path else ()))
    fault = _FIELD.search(message)
    if fault is None:
        expected = message.partition(" - at ")[0]
        value, choices = _value_at(tables, keys), get_args(_type_at(kind, keys))
        hint = f": one of {', '.join(map(str, choices))}" if get_origin(_type_at(kind, keys)) is Literal else ""
        if isinstance(value, Mapping | list):  # its keys are right one by one, or it should be none
            return keys, f"{_dotted(keys)}: {expected}" if keys else expected
        return keys, f"key {_dotted(keys)} = {value!r}: {expected}{hint}"
    if fault["what"] == "missing required":
        return keys, f"key {_dotted((*keys, fault['key']))} is missing"
    keys = (*keys, fault["key"])
    return keys, f"unknown key {_dotted(keys)}{_nearest(keys, kind)}"


def _nearest(keys: _Keys, kind: type[msgspec.Struct]) -> str:
    """Return the valid key that is most like an unknown one: of its own table, else of any."""
    import difflib  # noqa: PLC0415 - only a wrong key needs it

    home = _type_at(kind, keys[:-1])
    own = {name: name for name in (_fields(home) if isinstance(home, type) else {})}
    for names in (own, dict(_all_keys(kind, ""))):
        near = difflib.get_close_matches(keys[-1], sorted(names), n=1)
        if near:
            return f"; did you mean {names[near[0]]}?"
    return f"; known keys: {', '.join(sorted(own))}"


def _fields(kind: Any) -> dict[str, Any]:
    """Return the types of a struct's keys, {} for any other type."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return {}
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _type_at(kind: Any, keys: _Keys) -> Any:
    """Return the type that a path leads to, None where it leads out of the structs."""
    for key in keys:
        arguments = get_args(kind)
        kind = arguments[0] if key.isdigit() and arguments else _fields(kind).get(key)
    return kind


def _all_keys(kind: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield every key below a struct with its dotted path."""
    for key, field_type in _fields(kind).items():
        yield key, prefix + key
        for part in (field_type, *get_args(field_type)):
            yield from _all_keys(part, f"{prefix}{key}.")


def _value_at(tables: Any, keys: _Keys) -> Any:
    for key in keys:
        tables = tables[int(key)] if isinstance(tables, list | tuple) else tables[key]
    return tables


def _dotted(keys: _Keys) -> str:
    return ".".join(f"[{key}]" if key.isdigit() else key for key in keys).replace(".[", "[")


def _override_of(overrides: Sequence[str], keys: _Keys, *, is_in_file: bool) -> str | None:
    """Return the last override that sets a key or a table around it; or one below it, where the file has none."""
    found = None
    for override in overrides:
        path = tuple(override.partition("=")[0].strip().split("."))
        if keys[: len(path)] == path or (not is_in_file and keys and path[: len(keys)] == keys):
            found = override
    return found


def _line_of(text: str, keys: _Keys) -> int | None:
    """Return the line where a key is set, else the line of the innermost table around it that has a header."""
    tables: Counter[str] = Counter()  # headers of each array of tables so far
    here: _Keys = ()
    found = None
    for number, line in enumerate(text.splitlines(), start=1):
        header, entry = _HEADER.match(line), _ENTRY.match(line)
        if header:
            names = _names(header)
            if header["open"] == "[[":
                tables[names[0]] += 1
            here = (names[0], str(tables[names[0]] - 1), *names[1:]) if tables[names[0]] else names
            found = number if here == keys[: len(here)] else found
        elif entry and (*here, *_names(entry)) == keys[: len(here) + len(_names(entry))]:
            return number
    return found


def _names(match: re.Match[str]) -> _Keys:
    return tuple(name.strip().strip("\"'") for name in match["names"].split("."))


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
