"""What the commands of `sortloop-link` print with --json: one struct each, versioned, never changed in place."""

import msgspec

from firmware_bridge.messages import Ident

__all__ = [
    "BoardReport",
    "EventReport",
    "FireReport",
    "IdentReport",
    "PingReport",
    "PortReport",
    "PortsReport",
    "ident_report",
]


class PortReport(msgspec.Struct, frozen=True):
    """One serial port of this computer."""

    path: str
    description: str
    hardware_id: str


class PortsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `ports`."""

    schema_version: int = 1
    ports: tuple[PortReport, ...]


class IdentReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `identify`."""

    schema_version: int = 1
    port: str
    protocol: int
    uid: str
    boot_id: int
    firmware: str
    tick_hz: int
    n_valves: int
    slots: int
    max_pulse_us: int
    min_off_us: int
    cfg_crc: int
    state: str


class PingReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `ping`: round-trip times in milliseconds."""

    schema_version: int = 1
    port: str
    count: int
    min_ms: float
    median_ms: float
    p99_ms: float
    max_ms: float


class FireReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `fire`."""

    schema_version: int = 1
    port: str
    evid: int
    has_fired: bool
    outcome: str
    reason: str | None
    lateness_us: int


class EventReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `monitor`."""

    schema_version: int = 1
    time_utc: str
    kind: str
    text: str


class BoardReport(msgspec.Struct, frozen=True, kw_only=True):
    """First line of `board`: where the virtual board can be reached."""

    schema_version: int = 1
    path: str
    n_valves: int


def ident_report(port: str, ident: Ident) -> IdentReport:
    """Return the report of a controller's identity."""
    return IdentReport(
        port=port,
        protocol=ident.proto,
        uid=ident.uid.hex(),
        boot_id=ident.boot_id,
        firmware=f"{ident.fw_major}.{ident.fw_minor}.{ident.fw_patch}+{ident.fw_git:08x}",
        tick_hz=ident.tick_hz,
        n_valves=ident.n_valves,
        slots=ident.slots,
        max_pulse_us=ident.max_pulse_us,
        min_off_us=ident.min_off_us,
        cfg_crc=ident.cfg_crc,
        state=ident.state.name,
    )
