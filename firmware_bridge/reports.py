"""What the commands of `sortloop-link` print with --json: one struct each, versioned, never changed in place.

The larger commands have their own: reports_chaos, reports_doctor, reports_bench.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from firmware_bridge.dictionary import DICTIONARY_CRC
from firmware_bridge.messages import CapabilityFlag, Ident, Selftest, SelftestRes
from firmware_bridge.traffic import TrafficLine
from firmware_bridge.traffic_file import TrafficKind
from firmware_bridge.valve_verdict import ValveLimits, ValveVerdict, judge_valve

__all__ = [
    "BoardReport",
    "EventReport",
    "FireReport",
    "IdentReport",
    "PingReport",
    "PortReport",
    "PortsReport",
    "SelftestReport",
    "TrafficReport",
    "ValveReport",
    "ident_report",
    "selftest_report",
    "traffic_report",
]


class PortReport(msgspec.Struct, frozen=True, kw_only=True):
    """One serial port of this computer; `by_id` is its name that stays the same after a replug."""

    path: str
    by_id: str | None
    description: str
    hardware_id: str


class PortsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `ports`."""

    schema_version: int = 2
    ports: tuple[PortReport, ...]


class IdentReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `identify`; `dictionary` is same, other or none, compared with this program's."""

    schema_version: int = 2
    port: str
    protocol: int
    uid: str
    boot_id: int
    firmware: str
    tick_hz: int
    n_valves: int
    slots: int
    rx_window_b: int
    max_body_b: int
    max_pulse_us: int
    min_off_us: int
    caps: tuple[str, ...]
    dict_crc: int
    dictionary: str
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


class TrafficReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `replay`: a frame; `epoch8` and `seq` are null where it is damaged, `name` is ? where unknown."""

    schema_version: int = 1
    time_utc: str
    t_ns: int
    to_board: bool
    name: str
    epoch8: int | None
    seq: int | None
    is_understood: bool
    text: str


class ValveReport(msgspec.Struct, frozen=True, kw_only=True):
    """One valve of a self-test."""

    valve: int
    verdict: ValveVerdict
    coil_ma: int
    open_us: int


class SelftestReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `selftest`."""

    schema_version: int = 1
    port: str
    mode: str
    pulse_us: int
    limits: ValveLimits
    ok_count: int
    valves: tuple[ValveReport, ...]


def ident_report(port: str, ident: Ident) -> IdentReport:
    """Return the report of a controller's identity."""
    dictionaries = {0: "none", DICTIONARY_CRC: "same"}
    return IdentReport(
        port=port,
        protocol=ident.proto,
        uid=ident.uid.hex(),
        boot_id=ident.boot_id,
        firmware=f"{ident.fw_major}.{ident.fw_minor}.{ident.fw_patch}+{ident.fw_git:08x}",
        tick_hz=ident.tick_hz,
        n_valves=ident.n_valves,
        slots=ident.slots,
        rx_window_b=ident.rx_window,
        max_body_b=ident.max_body,
        max_pulse_us=ident.max_pulse_us,
        min_off_us=ident.min_off_us,
        caps=tuple(flag.name for flag in CapabilityFlag if flag and flag in ident.caps and flag.name),
        dict_crc=ident.dict_crc,
        dictionary=dictionaries.get(ident.dict_crc, "other"),
        cfg_crc=ident.cfg_crc,
        state=ident.state.name,
    )


def traffic_report(frame: TrafficLine, at: datetime) -> TrafficReport:
    """Return the report of one recorded frame.

    Args:
        frame: what it is.
        at: when it passed, by the wall clock.
    """
    return TrafficReport(
        time_utc=at.isoformat(),
        t_ns=frame.t_ns,
        to_board=frame.kind is TrafficKind.TO_BOARD,
        name=frame.name,
        epoch8=frame.epoch8,
        seq=frame.seq,
        is_understood=frame.message is not None,
        text=frame.text,
    )


def selftest_report(
    port: str, wish: Selftest, answers: Sequence[SelftestRes], *, limits: ValveLimits
) -> SelftestReport:
    """Return the report of a whole self-test: the verdict on each valve."""
    valves = tuple(
        ValveReport(
            valve=answer.valve,
            verdict=judge_valve(answer, wish.mode, limits),
            coil_ma=answer.coil_ma,
            open_us=answer.open_us,
        )
        for answer in answers
    )
    return SelftestReport(
        port=port,
        mode=wish.mode.name.lower(),
        pulse_us=wish.pulse_us,
        limits=limits,
        ok_count=sum(valve.verdict is ValveVerdict.OK for valve in valves),
        valves=valves,
    )
