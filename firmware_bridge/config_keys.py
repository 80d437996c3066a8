"""Configuration keys of the controller: numbers, defaults, ranges, and the checksum over all of them.

>>> config_crc(DEFAULT_CONFIG) == config_crc(dict(reversed(DEFAULT_CONFIG.items())))
True
"""

import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from firmware_bridge.layouts import CONFIG
from firmware_bridge.messages import ConfigKey

__all__ = ["CONFIG_RANGES", "DEFAULT_CONFIG", "ConfigKey", "config_crc"]

DEFAULT_CONFIG: Final[Mapping[ConfigKey, int]] = MappingProxyType({key: initial for key, initial, _, _ in CONFIG})
CONFIG_RANGES: Final[Mapping[ConfigKey, tuple[int, int]]] = MappingProxyType(
    {key: (low, high) for key, _, low, high in CONFIG}  # both inclusive
)


def config_crc(values: Mapping[ConfigKey, int]) -> int:
    """Return CRC-32 over (key u16, value u32) of all keys in ascending order, little-endian."""
    return zlib.crc32(b"".join(struct.pack("<HI", key, values[key]) for key in sorted(values)))
