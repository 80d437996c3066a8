"""What `sortloop-link chaos` prints with --json: one struct each, versioned, never changed in place."""

import msgspec

from firmware_bridge.line_faults import FaultCounters, FaultSettings

__all__ = ["ChaosDirectionReport", "ChaosPortReport", "ChaosReport"]


class ChaosPortReport(msgspec.Struct, frozen=True, kw_only=True):
    """First line of `chaos`: what to open, and all it takes to repeat the run."""

    schema_version: int = 1
    path: str
    port: str
    profile: str
    seed: int
    to_board: FaultSettings
    to_host: FaultSettings


class ChaosDirectionReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one direction did.

    Attributes:
        counters: of the line.
        unclaimed_b: delivered to an end that was gone or did not take them.
    """

    counters: FaultCounters
    unclaimed_b: int


class ChaosReport(msgspec.Struct, frozen=True, kw_only=True):
    """Last line of `chaos`."""

    schema_version: int = 1
    elapsed_s: float
    to_board: ChaosDirectionReport
    to_host: ChaosDirectionReport
