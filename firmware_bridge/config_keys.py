"""Configuration keys of the controller: numbers, defaults, ranges, and the checksum over all of them.

>>> config_crc(DEFAULT_CONFIG) == config_crc(dict(reversed(DEFAULT_CONFIG.items())))
True
"""

import struct
import zlib
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

__all__ = ["CONFIG_RANGES", "DEFAULT_CONFIG", "ConfigKey", "config_crc"]


class ConfigKey(IntEnum):
    """Keys of CFG_SET; a number never changes its meaning."""

    MAX_PULSE_US = 1  # a longer pulse is clamped, a valve open longer is cut
    MIN_OFF_US = 2  # a valve stays closed at least this long
    LATE_TOL_US = 3  # an event this late may still fire when its batch allows it
    HORIZON_US = 4  # an event farther ahead is refused
    WD_MS = 5  # host silence that leads to SAFE


DEFAULT_CONFIG: Final[Mapping[ConfigKey, int]] = MappingProxyType(
    {
        ConfigKey.MAX_PULSE_US: 20_000,
        ConfigKey.MIN_OFF_US: 500,
        ConfigKey.LATE_TOL_US: 150,
        ConfigKey.HORIZON_US: 2_000_000,
        ConfigKey.WD_MS: 250,
    }
)

# Inclusive. The horizon stays far below half the circle of u32 ticks; the watchdog is never off.
CONFIG_RANGES: Final[Mapping[ConfigKey, tuple[int, int]]] = MappingProxyType(
    {
        ConfigKey.MAX_PULSE_US: (50, 65_535),
        ConfigKey.MIN_OFF_US: (0, 65_535),
        ConfigKey.LATE_TOL_US: (0, 10_000),
        ConfigKey.HORIZON_US: (10_000, 60_000_000),
        ConfigKey.WD_MS: (20, 5_000),
    }
)


def config_crc(values: Mapping[ConfigKey, int]) -> int:
    """Return CRC-32 over (key u16, value u32) of all keys in ascending order, little-endian."""
    return zlib.crc32(b"".join(struct.pack("<HI", key, values[key]) for key in sorted(values)))
