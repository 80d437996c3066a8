"""Which faults a chaos proxy puts on its two directions: named profiles, changed by key=value texts.

>>> lines = change_lines(PROFILES["921600"], ["to_host.frame_drop_rate=0.01", "delay_us=200"])
>>> lines.to_board.frame_drop_rate, lines.to_host.frame_drop_rate, lines.to_board.delay_us, lines.to_host.baud
(0.0, 0.01, 200, 921600)
>>> change_lines(lines, ["to_host.frame_drop=0.01"])
Traceback (most recent call last):
ValueError: --set to_host.frame_drop=0.01: unknown key to_host.frame_drop; did you mean to_host.frame_drop_rate?
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from firmware_bridge.line_faults import FaultSettings

__all__ = ["PROFILES", "SETTING_DEFAULTS", "ChaosLines", "change_lines"]


class ChaosLines(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The faults of both directions.

    Attributes:
        to_board: from the host to the controller.
        to_host: from the controller to the host.
    """

    to_board: FaultSettings = FaultSettings()
    to_host: FaultSettings = FaultSettings()


_FIELD_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(FaultSettings)}
_DIRECTIONS: Final = ("to_board", "to_host")
SETTING_DEFAULTS: Final = msgspec.structs.asdict(FaultSettings())  # key of a --set: value of a line without faults

# A UART behind the buffer of its driver: it blocks the writer, as a terminal does.
_UART: Final = {"baud": 921_600, "buffer_b": 4096, "blocks": True}


def change_lines(lines: ChaosLines, texts: Iterable[str]) -> ChaosLines:
    """Return `lines` with key=value texts applied in order.

    Args:
        lines: where to begin.
        texts: "key=value" for both directions, "to_board.key=value" or "to_host.key=value" for one. Values are TOML;
            none takes a limit away.

    Raises:
        ValueError: a text has no "=", a key is unknown (with the nearest valid one), a value has the wrong type or is
            out of range, or the values do not fit together.
    """
    tables = {name: msgspec.structs.asdict(getattr(lines, name)) for name in _DIRECTIONS}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"--set {text} is not key=value: write for example --set to_host.frame_drop_rate=0.01")
        direction, _, name = key.strip().rpartition(".")
        if name not in _FIELD_TYPES or direction not in {"", *_DIRECTIONS}:
            raise ValueError(f"--set {text}: unknown key {key.strip()}{_nearest(key.strip())}")
        for direction_name in (direction,) if direction else _DIRECTIONS:
            tables[direction_name][name] = _value(name, value.strip(), text)
    try:
        return msgspec.convert(tables, ChaosLines)
    except msgspec.ValidationError as error:
        raise ValueError(f"--set: {error}") from error


def _value(name: str, value: str, text: str) -> object:
    try:
        parsed = None if value == "none" else tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value  # a bare word is a string
    try:
        return msgspec.convert(parsed, _FIELD_TYPES[name])
    except msgspec.ValidationError as error:
        raise ValueError(f"--set {text}: {error}") from error


def _nearest(key: str) -> str:
    known = [*_FIELD_TYPES, *(f"{direction}.{name}" for direction in _DIRECTIONS for name in _FIELD_TYPES)]
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(_FIELD_TYPES)}"


def _both(**values: object) -> ChaosLines:
    return msgspec.convert(dict.fromkeys(_DIRECTIONS, values), ChaosLines)


PROFILES: Final[Mapping[str, ChaosLines]] = {
    "clean": ChaosLines(),
    # A USB adapter with its factory setting: the host hears each answer up to 16 ms late.
    "usb-serial-16ms": ChaosLines(
        to_board=FaultSettings(baud=921_600, buffer_b=4096, blocks=True, delay_us=250, delay_jitter_us=1000),
        to_host=FaultSettings(baud=921_600, buffer_b=4096, blocks=True, latency_timer_ms=16),
    ),
    # One frame of 140 B in ninety is hit; now and then a motor starts beside the cable.
    "noisy-rs422": _both(**_UART, bit_error_rate=1e-5, burst_rate=1e-6, burst_length_b=8),
    "bad-cable": _both(
        **_UART, bit_error_rate=1e-4, byte_drop_rate=1e-4, byte_insert_rate=1e-5, burst_rate=1e-5, burst_length_b=32
    ),
    "921600": _both(**_UART),
    # The plug falls out for half a second, every five.
    "flapping": _both(hang_up_every_ms=5000, hang_up_ms=500),
}
