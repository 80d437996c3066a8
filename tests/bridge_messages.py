"""Messages of every kind, drawn at random and fixed, that several test modules of the bridge use."""

from collections.abc import Iterator

from hypothesis import strategies as st

from firmware_bridge import messages as m
from firmware_bridge.codec import encode_payload, message_type
from firmware_bridge.framing import encode_frame

__all__ = ["MESSAGES", "golden_messages", "golden_rows"]

U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
STATES = st.sampled_from(m.BoardState)
VALVES, PULSES = st.integers(0, 4095), st.integers(1, 65_535)
ITEMS = st.builds(m.EjectItem, U16, VALVES, st.integers(1, 16), PULSES)
MASKS = st.builds(m.MaskItem, U16, VALVES, U32.filter(bool), PULSES)
REPORTS = st.builds(m.EjectReport, U32, st.sampled_from(m.EjectReason), st.integers(-32_768, 32_767))
FLAGS = st.integers(0, 255).map(m.BatchFlag)
HASHES = st.binary(min_size=16, max_size=16)

MESSAGES: dict[type[m.Message], st.SearchStrategy[m.Message]] = {
    m.Hello: st.builds(m.Hello, st.just(1), U8.filter(bool), U32.filter(lambda epoch: epoch & 0xFF != 0), U16, U8),
    m.Ident: st.builds(
        m.Ident, U8, U32, st.binary(min_size=12, max_size=12), U8, U8, U8, U32, U32.filter(bool), U16, U16, U16, U16,
        U16, U16, U32.map(m.CapabilityFlag), U32, U32, STATES, U16, U32,
    ),
    m.DictRead: st.builds(m.DictRead, U16, st.integers(1, 240)),
    m.DictData: st.builds(m.DictData, U16, st.binary(max_size=240)),
    m.ClockReq: st.builds(m.ClockReq, U32),
    m.ClockRsp: st.builds(m.ClockRsp, U32, U64, U64, U32),
    m.TriggerStamp: st.builds(m.TriggerStamp, U32, U32, U32),
    m.CtrlAck: st.builds(m.CtrlAck, U16, U8),
    m.EjectBatch: st.builds(m.EjectBatch, U32, U32, FLAGS, st.lists(ITEMS, min_size=1, max_size=39).map(tuple)),
    m.EjectMask: st.builds(m.EjectMask, U32, U32, FLAGS, st.lists(MASKS, min_size=1, max_size=23).map(tuple)),
    m.EjectCancel: st.builds(
        lambda start, count: m.EjectCancel(start, (start + count) % 2**32), U32, st.integers(1, 1024)
    ),
    m.EjectAck: st.builds(m.EjectAck, U32, U64, U16, U16, U32),
    m.EjectExc: st.builds(m.EjectExc, st.lists(REPORTS, min_size=1, max_size=35).map(tuple)),
    m.Heartbeat: st.builds(m.Heartbeat, U32, U32, U8.map(m.HeartbeatFlag)),
    m.Status: st.builds(
        m.Status, U64, U32, STATES, U32, U16, U16, U32, U16, U16, U16, U16, U16, U16, U16, U16, U16,
        st.integers(-128, 127), U32,
    ),
    m.Fault: st.builds(m.Fault, U16, U16, U32, U32),
    m.SetState: st.builds(
        m.SetState,
        st.sampled_from([m.BoardState.SAFE, m.BoardState.IDLE, m.BoardState.ARMED]),
        st.sampled_from(m.StateReason),
    ),
    m.CfgSet: st.builds(m.CfgSet, U16, U32),
    m.CfgVal: st.builds(m.CfgVal, U16, U32, U32),
    m.Selftest: st.builds(
        lambda ends, pulse_us, mode: m.Selftest(min(ends), max(ends), pulse_us, mode),
        st.tuples(VALVES, VALVES), PULSES, st.sampled_from(m.SelftestMode),
    ),
    m.SelftestRes: st.builds(m.SelftestRes, U16, U16, U16, U8.map(m.SelftestFlag)),
    m.FeederSet: st.builds(m.FeederSet, st.integers(0, 1000)),
    m.Verdict: st.builds(m.Verdict, U32, U16, U8, st.sampled_from(m.VerdictSource), U32),
    m.XferOpen: st.builds(
        m.XferOpen, U32, U64, HASHES, st.sampled_from(m.TransferKind), st.integers(1, 234), st.binary(max_size=64)
    ),
    m.XferData: st.builds(m.XferData, U32, U64, st.binary(min_size=1, max_size=300)),
    m.XferAck: st.builds(m.XferAck, U32, U64, U32),
    m.XferDone: st.builds(m.XferDone, U32, st.sampled_from(m.TransferStatus), HASHES),
    m.Log: st.builds(m.Log, st.sampled_from(m.LogLevel), st.binary(max_size=200)),
    m.ErrorReport: st.builds(m.ErrorReport, U8, U16, st.sampled_from(m.ErrorCode)),
}  # fmt: skip


def golden_messages() -> dict[str, tuple[bool, int, int, m.Message]]:
    """Name -> (to host, epoch8, seq, message): one of every row of the table, and the vectors of the specification."""
    return {name: (to_host, epoch8, seq, message) for name, to_host, epoch8, seq, message in _golden()}


def golden_rows() -> list[dict[str, str]]:
    rows = []
    for name, (to_host, epoch8, seq, message) in golden_messages().items():
        wire = encode_frame(message_type(message, to_host=to_host), epoch8, seq, encode_payload(message))
        rows.append({"name": name, "message": repr(message), "wire_hex": wire.hex()})
    return rows


def _golden() -> Iterator[tuple[str, bool, int, int, m.Message]]:
    item, wide = m.EjectItem(0, 17, 3, 1500), m.EjectItem(250, 256, 1, 900)
    ident = m.Ident(
        1, 2, bytes(range(12)), 0, 1, 0, 0xABCDEF01, 1_000_000, 256, 1024, 4096, 264, 20_000, 500,
        m.CapabilityFlag.NONE, 0, 0xDEADBEEF, m.BoardState.IDLE, 3, 1000,
    )  # fmt: skip
    status = m.Status(
        2**33, 5, m.BoardState.ARMED, 2, 10, 1014, 123_456, 7, 8, 9, 10, 11, 0, 42, 600, 24_000, -5, 0xDEADBEEF
    )
    reports = (
        m.EjectReport(1000, m.EjectReason.LATE_DROPPED, 120),
        m.EjectReport(1001, m.EjectReason.TOO_FAR, -32_768),
    )
    mask = m.MaskItem(100, 4064, 0x8000_0001, 1500)
    yield "HELLO", False, 0, 0x1234, m.Hello(1, 1, 0x1234565A, 250, 0)
    yield "IDENT", True, 0, 0x1234, ident
    yield "CLOCK_REQ", False, 0x5A, 2, m.ClockReq(0x01020304)
    yield "CLOCK_RSP", True, 0x5A, 2, m.ClockRsp(0x01020304, 2**32 + 1, 2**32 + 9, 77)
    yield "TRIGGER_STAMP", True, 0x5A, 4, m.TriggerStamp(12, 0xFFFFFFFF, 4000)
    yield "CTRL_ACK to controller", False, 0x5A, 5, m.CtrlAck(9, 8)
    yield "CTRL_ACK to host", True, 0x5A, 5, m.CtrlAck(9, 8)
    yield "EJECT_BATCH", False, 0x5A, 3, m.EjectBatch(1000, 0x00F42400, m.BatchFlag.NONE, (item, wide))
    yield "EJECT_BATCH of 39", False, 0x5A, 4, m.EjectBatch(2**32 - 1, 0, m.BatchFlag.REPEAT, (wide,) * 39)
    yield "EJECT_ACK", True, 0x5A, 3, m.EjectAck(1000, 0b11, 1022, 3, 0x00F42300)
    yield "EJECT_EXC", True, 0x5A, 6, m.EjectExc(reports)
    yield "HEARTBEAT", False, 0x5A, 1, m.Heartbeat(123_456, 0xDEADBEEF, m.HeartbeatFlag.ARMED_WANTED)
    yield "STATUS", True, 0x5A, 7, status
    yield "FAULT", True, 0x5A, 8, m.Fault(m.FaultCode.HOST_SILENT, 0, 99, 0)
    yield "SET_STATE", False, 0x5A, 9, m.SetState(m.BoardState.ARMED, m.StateReason.OPERATOR)
    yield "CFG_SET", False, 0x5A, 10, m.CfgSet(1, 20_000)
    yield "CFG_VAL", True, 0x5A, 10, m.CfgVal(1, 20_000, 0xDEADBEEF)
    yield "FEEDER_SET", False, 0x5A, 11, m.FeederSet(750)
    for to_host, way in ((False, "controller"), (True, "host")):
        verdict = m.Verdict(77, 3, 255, m.VerdictSource.INSPECTION_REJECT, 0x00F42400)
        yield f"VERDICT to {way}", to_host, 0x5A, 12, verdict
    yield "DICT_READ", False, 0x5A, 13, m.DictRead(240, 240)
    yield "DICT_DATA", True, 0x5A, 13, m.DictData(240, bytes.fromhex("78da0001ff"))
    yield "DICT_DATA at the end", True, 0x5A, 14, m.DictData(480, b"")
    yield "EJECT_MASK", False, 0x5A, 14, m.EjectMask(1002, 0x00F42400, m.BatchFlag.ALLOW_LATE, (mask,))
    yield "EJECT_MASK of 23", False, 0x5A, 15, m.EjectMask(1003, 0x00F42400, m.BatchFlag.NONE, (mask,) * 23)
    yield "EJECT_CANCEL", False, 0x5A, 16, m.EjectCancel(0xFFFFFFFF, 3)
    yield "SELFTEST", False, 0x5A, 17, m.Selftest(0, 255, 1500, m.SelftestMode.FIRE)
    yield "SELFTEST_RES", True, 0x5A, 17, m.SelftestRes(255, 412, 380, m.SelftestFlag.LAST)
    yield from _golden_both_ways()


def _golden_both_ways() -> Iterator[tuple[str, bool, int, int, m.Message]]:
    digest = bytes.fromhex("00112233445566778899aabbccddeeff")
    both: dict[str, tuple[int, m.Message]] = {
        "XFER_OPEN": (0, m.XferOpen(7, 2_000, digest, m.TransferKind.RESIDUAL, 234, "Ähre.slrx".encode())),
        "XFER_DATA": (1, m.XferData(7, 234, bytes(range(234)))),
        "XFER_ACK": (2, m.XferAck(7, 468, 0b101)),
        "XFER_DONE": (3, m.XferDone(7, m.TransferStatus.OK, digest)),
        "LOG": (18, m.Log(m.LogLevel.WARNING, b"valve 17 opens late")),
        "ERROR": (19, m.ErrorReport(0x6B, 4, m.ErrorCode.UNKNOWN_TYPE)),
    }
    for name, (seq, message) in both.items():
        yield f"{name} to controller", False, 0x5A, seq, message
        yield f"{name} to host", True, 0x5A, seq, message
