"""What `sortloop-link bench` prints with --json: one versioned struct."""

import msgspec

from firmware_bridge.histogram import RttClass
from firmware_bridge.link_bench import Figure

__all__ = ["BenchReport"]


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `bench`; without a port the codec, with one the line.

    Attributes:
        port: what was measured, null for this computer's codec.
        has_native: the C codec can be compiled here.
        rows: the figures.
        histogram: round trips by upper limit in ms, null for the rest.
        lost: requests and events that were never answered.
    """

    schema_version: int = 1
    port: str | None
    has_native: bool
    rows: tuple[Figure, ...]
    histogram: tuple[RttClass, ...] = ()
    lost: int = 0
