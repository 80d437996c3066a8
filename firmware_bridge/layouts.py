# Made from sel1.toml by `python -m firmware_bridge.generate`; do not edit.
"""The layout of every message, its ranges and rules, and the configuration keys: data, for codec.py and config_keys.py.

>>> next(row for row in LAYOUTS if row.cls is m.FeederSet).rules
('0 <= permille <= 1000',)
"""

from collections.abc import Iterable
from typing import Final

from firmware_bridge import messages as m
from firmware_bridge.wire_layout import Delivery, ItemLayout, Layout

__all__ = ["CONFIG", "LAYOUTS"]


def _pack_eject_items(items: Iterable[m.EjectItem]) -> list[int]:
    codes: list[int] = []
    for x in items:
        if not (0 <= x.first_valve <= 4095 and 1 <= x.valve_count <= 16 and 1 <= x.pulse_us <= 65535):
            raise ValueError(f"{x} breaks 0 <= first_valve <= 4095, 1 <= valve_count <= 16, 1 <= pulse_us <= 65535")
        codes += (x.dt_ticks, x.first_valve | (x.valve_count - 1) << 12, x.pulse_us)
    return codes


def _unpack_eject_items(rows: Iterable[tuple[int, int, int]]) -> tuple[m.EjectItem, ...]:
    items = tuple(
        [m.EjectItem(dt_ticks, valve & 0xFFF, (valve >> 12) + 1, pulse_us) for dt_ticks, valve, pulse_us in rows]
    )
    for x in items:
        if not (1 <= x.pulse_us <= 65535):
            raise ValueError(f"{x} breaks 1 <= pulse_us <= 65535")
    return items


def _pack_mask_items(items: Iterable[m.MaskItem]) -> list[int]:
    codes: list[int] = []
    for x in items:
        if not (0 <= x.first_valve <= 4095 and 1 <= x.mask <= 4294967295 and 1 <= x.pulse_us <= 65535):
            raise ValueError(f"{x} breaks 0 <= first_valve <= 4095, 1 <= mask <= 4294967295, 1 <= pulse_us <= 65535")
        codes += (x.dt_ticks, x.first_valve, x.mask, x.pulse_us)
    return codes


def _unpack_mask_items(rows: Iterable[tuple[int, int, int, int]]) -> tuple[m.MaskItem, ...]:
    items = tuple([m.MaskItem(dt_ticks, first_valve, mask, pulse_us) for dt_ticks, first_valve, mask, pulse_us in rows])
    for x in items:
        if not (0 <= x.first_valve <= 4095 and 1 <= x.mask <= 4294967295 and 1 <= x.pulse_us <= 65535):
            raise ValueError(f"{x} breaks 0 <= first_valve <= 4095, 1 <= mask <= 4294967295, 1 <= pulse_us <= 65535")
    return items


def _pack_eject_reports(items: Iterable[m.EjectReport]) -> list[int]:
    codes: list[int] = []
    for x in items:
        if not (1 <= x.reason <= 11):
            raise ValueError(f"{x} breaks 1 <= reason <= 11")
        codes += (x.evid, x.reason, x.lateness_10us)
    return codes


def _unpack_eject_reports(rows: Iterable[tuple[int, int, int]]) -> tuple[m.EjectReport, ...]:
    return tuple([m.EjectReport(evid, m.EjectReason(reason), lateness_10us) for evid, reason, lateness_10us in rows])


def _hello_holds(x: m.Hello) -> bool:
    return x.proto_min <= x.proto_max and (x.host_epoch & 0xFF) != 0


def _ident_holds(x: m.Ident) -> bool:
    return len(x.uid) == 12 and 1 <= x.tick_hz <= 4294967295 and 0 <= x.state <= 4


def _dict_read_holds(x: m.DictRead) -> bool:
    return 1 <= x.length <= 240


def _dict_data_holds(x: m.DictData) -> bool:
    return 0 <= len(x.data) <= 240


def _eject_batch_holds(x: m.EjectBatch) -> bool:
    return 1 <= len(x.items) <= 39


def _eject_mask_holds(x: m.EjectMask) -> bool:
    return 1 <= len(x.items) <= 23


def _eject_cancel_holds(x: m.EjectCancel) -> bool:
    return 1 <= ((x.to_evid - x.from_evid) & 0xFFFFFFFF) <= 1024


def _eject_exc_holds(x: m.EjectExc) -> bool:
    return 1 <= len(x.reports) <= 35


def _status_holds(x: m.Status) -> bool:
    return 0 <= x.state <= 4


def _set_state_holds(x: m.SetState) -> bool:
    return 1 <= x.state <= 3 and 0 <= x.reason <= 3


def _selftest_holds(x: m.Selftest) -> bool:
    return (
        0 <= x.first_valve <= 4095
        and 0 <= x.last_valve <= 4095
        and 1 <= x.pulse_us <= 65535
        and 0 <= x.mode <= 1
        and x.first_valve <= x.last_valve
    )


def _feeder_set_holds(x: m.FeederSet) -> bool:
    return 0 <= x.permille <= 1000


def _verdict_holds(x: m.Verdict) -> bool:
    return 1 <= x.source <= 3


def _xfer_open_holds(x: m.XferOpen) -> bool:
    return len(x.sha256_16) == 16 and 0 <= x.kind <= 2 and 1 <= x.block_b <= 234 and 0 <= len(x.name) <= 64


def _xfer_data_holds(x: m.XferData) -> bool:
    return 1 <= len(x.data) <= 1012


def _xfer_done_holds(x: m.XferDone) -> bool:
    return 0 <= x.status <= 3 and len(x.sha256_16) == 16


def _log_holds(x: m.Log) -> bool:
    return 0 <= x.level <= 3 and 0 <= len(x.text) <= 200


def _error_holds(x: m.ErrorReport) -> bool:
    return 1 <= x.code <= 1


_EJECT_ITEM: Final = ItemLayout(m.EjectItem, "HHH", _pack_eject_items, _unpack_eject_items, valves_at=1)
_MASK_ITEM: Final = ItemLayout(m.MaskItem, "HHIH", _pack_mask_items, _unpack_mask_items)
_EJECT_REPORT: Final = ItemLayout(m.EjectReport, "IBh", _pack_eject_reports, _unpack_eject_reports)

LAYOUTS: Final[tuple[Layout, ...]] = (
    Layout(
        (0x01,),
        "HELLO",
        Delivery.SESSION,
        m.Hello,
        "BBIHB",
        rules=("proto_min <= proto_max", "(host_epoch & 0xFF) != 0"),
        holds=_hello_holds,
    ),
    Layout(
        (0x81,),
        "IDENT",
        Delivery.SESSION,
        m.Ident,
        "BI12sBBBIIHHHHHHIIIBHI",
        rules=("len(uid) == 12", "1 <= tick_hz <= 4294967295", "0 <= state <= 4"),
        holds=_ident_holds,
    ),
    Layout(
        (0x02,),
        "DICT_READ",
        Delivery.CONTROL,
        m.DictRead,
        "HB",
        rules=("1 <= length <= 240",),
        holds=_dict_read_holds,
    ),
    Layout(
        (0x82,),
        "DICT_DATA",
        Delivery.CONTROL,
        m.DictData,
        "H",
        rules=("0 <= len(data) <= 240",),
        holds=_dict_data_holds,
        rest_b=(0, 240),
    ),
    Layout((0x03,), "CLOCK_REQ", Delivery.TELEMETRY, m.ClockReq, "I"),
    Layout((0x83,), "CLOCK_RSP", Delivery.TELEMETRY, m.ClockRsp, "IQQI"),
    Layout((0x84,), "TRIGGER_STAMP", Delivery.TELEMETRY, m.TriggerStamp, "III"),
    Layout((0x05, 0x85), "CTRL_ACK", Delivery.TELEMETRY, m.CtrlAck, "HB"),
    Layout(
        (0x10,),
        "EJECT_BATCH",
        Delivery.EJECT,
        m.EjectBatch,
        "IIBB",
        rules=("1 <= len(items) <= 39",),
        holds=_eject_batch_holds,
        item=_EJECT_ITEM,
        count_at=2,
    ),
    Layout(
        (0x11,),
        "EJECT_MASK",
        Delivery.EJECT,
        m.EjectMask,
        "IIBB",
        rules=("1 <= len(items) <= 23",),
        holds=_eject_mask_holds,
        item=_MASK_ITEM,
        count_at=2,
    ),
    Layout(
        (0x12,),
        "EJECT_CANCEL",
        Delivery.EJECT,
        m.EjectCancel,
        "II",
        rules=("1 <= ((to_evid - from_evid) & 0xFFFFFFFF) <= 1024",),
        holds=_eject_cancel_holds,
    ),
    Layout((0x90,), "EJECT_ACK", Delivery.EJECT, m.EjectAck, "IQHHI"),
    Layout(
        (0x91,),
        "EJECT_EXC",
        Delivery.CONTROL,
        m.EjectExc,
        "B",
        rules=("1 <= len(reports) <= 35",),
        holds=_eject_exc_holds,
        item=_EJECT_REPORT,
        count_at=0,
    ),
    Layout((0x20,), "HEARTBEAT", Delivery.TELEMETRY, m.Heartbeat, "IIB"),
    Layout(
        (0xA0,),
        "STATUS",
        Delivery.TELEMETRY,
        m.Status,
        "QIBIHHIHHHHHHHHHbI",
        rules=("0 <= state <= 4",),
        holds=_status_holds,
    ),
    Layout((0xA1,), "FAULT", Delivery.CONTROL, m.Fault, "HHII"),
    Layout(
        (0x21,),
        "SET_STATE",
        Delivery.CONTROL,
        m.SetState,
        "BB",
        rules=("1 <= state <= 3", "0 <= reason <= 3"),
        holds=_set_state_holds,
    ),
    Layout((0x22,), "CFG_SET", Delivery.CONTROL, m.CfgSet, "HI"),
    Layout((0xA2,), "CFG_VAL", Delivery.CONTROL, m.CfgVal, "HII"),
    Layout(
        (0x23,),
        "SELFTEST",
        Delivery.CONTROL,
        m.Selftest,
        "HHHB",
        rules=(
            "0 <= first_valve <= 4095",
            "0 <= last_valve <= 4095",
            "1 <= pulse_us <= 65535",
            "0 <= mode <= 1",
            "first_valve <= last_valve",
        ),
        holds=_selftest_holds,
    ),
    Layout((0xA3,), "SELFTEST_RES", Delivery.CONTROL, m.SelftestRes, "HHHB"),
    Layout(
        (0x24,),
        "FEEDER_SET",
        Delivery.CONTROL,
        m.FeederSet,
        "H",
        rules=("0 <= permille <= 1000",),
        holds=_feeder_set_holds,
    ),
    Layout(
        (0x30, 0xB0),
        "VERDICT",
        Delivery.CONTROL,
        m.Verdict,
        "IHBBI",
        rules=("1 <= source <= 3",),
        holds=_verdict_holds,
    ),
    Layout(
        (0x40, 0xC0),
        "XFER_OPEN",
        Delivery.BULK,
        m.XferOpen,
        "IQ16sBH",
        rules=("len(sha256_16) == 16", "0 <= kind <= 2", "1 <= block_b <= 234", "0 <= len(name) <= 64"),
        holds=_xfer_open_holds,
        rest_b=(0, 64),
    ),
    Layout(
        (0x41, 0xC1),
        "XFER_DATA",
        Delivery.BULK,
        m.XferData,
        "IQ",
        rules=("1 <= len(data) <= 1012",),
        holds=_xfer_data_holds,
        rest_b=(1, 1012),
    ),
    Layout((0x42, 0xC2), "XFER_ACK", Delivery.BULK, m.XferAck, "IQI"),
    Layout(
        (0x43, 0xC3),
        "XFER_DONE",
        Delivery.BULK,
        m.XferDone,
        "IB16s",
        rules=("0 <= status <= 3", "len(sha256_16) == 16"),
        holds=_xfer_done_holds,
    ),
    Layout(
        (0x50, 0xD0),
        "LOG",
        Delivery.TELEMETRY,
        m.Log,
        "B",
        rules=("0 <= level <= 3", "0 <= len(text) <= 200"),
        holds=_log_holds,
        rest_b=(0, 200),
    ),
    Layout(
        (0x7F, 0xFF),
        "ERROR",
        Delivery.TELEMETRY,
        m.ErrorReport,
        "BHB",
        rules=("1 <= code <= 1",),
        holds=_error_holds,
    ),
)

# Key, value after power-on, lowest and highest value.
CONFIG: Final[tuple[tuple[m.ConfigKey, int, int, int], ...]] = (
    (m.ConfigKey.MAX_PULSE_US, 20_000, 50, 65_535),
    (m.ConfigKey.MIN_OFF_US, 500, 0, 65_535),
    (m.ConfigKey.LATE_TOL_US, 150, 0, 10_000),
    (m.ConfigKey.HORIZON_US, 2_000_000, 10_000, 60_000_000),
    (m.ConfigKey.WD_MS, 250, 20, 5000),
    (m.ConfigKey.MAX_OPEN_VALVES, 4096, 1, 4096),
    (m.ConfigKey.MAX_DUTY_PERMILLE, 1000, 1, 1000),
)
