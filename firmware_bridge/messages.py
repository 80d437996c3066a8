# Made from sel1.toml by `python -m firmware_bridge.generate`; do not edit.
"""The messages of SEL/1 as values: what they mean, not how they are laid out (that is layouts.py).

Ticks are the controller's, 1 MHz unless IDENT says otherwise, and u32 ticks are compared modulo 2**32.
wire-protocol.md section 4 describes every field.

>>> FeederSet(permille=750)
FeederSet(permille=750)
>>> Heartbeat(host_ms=50, cfg_crc=0, flags=HeartbeatFlag.ARMED_WANTED).flags.name
'ARMED_WANTED'
"""

from enum import IntEnum, IntFlag
from typing import Final

import msgspec

__all__ = [
    "MAX_BLOCK_B",
    "MAX_EVENTS_PER_BATCH",
    "MAX_EVENTS_PER_MASK_BATCH",
    "MAX_REPORTS_PER_FRAME",
    "MAX_VALVES",
    "MAX_VALVES_PER_EVENT",
    "PROTOCOL_VERSION",
    "WINDOW_EVENTS",
    "BatchFlag",
    "BoardState",
    "CapabilityFlag",
    "CfgSet",
    "CfgVal",
    "ClockReq",
    "ClockRsp",
    "ConfigKey",
    "CtrlAck",
    "DictData",
    "DictRead",
    "EjectAck",
    "EjectBatch",
    "EjectCancel",
    "EjectExc",
    "EjectItem",
    "EjectMask",
    "EjectReason",
    "EjectReport",
    "ErrorCode",
    "ErrorReport",
    "Fault",
    "FaultCode",
    "FeederSet",
    "Heartbeat",
    "HeartbeatFlag",
    "Hello",
    "Ident",
    "Log",
    "LogLevel",
    "MaskItem",
    "Message",
    "Selftest",
    "SelftestFlag",
    "SelftestMode",
    "SelftestRes",
    "SetState",
    "StateReason",
    "Status",
    "TransferKind",
    "TransferStatus",
    "TriggerStamp",
    "Verdict",
    "VerdictSource",
    "XferAck",
    "XferData",
    "XferDone",
    "XferOpen",
]

PROTOCOL_VERSION: Final = 1
MAX_VALVES: Final = 4096  # 12 bits of the valve field
MAX_VALVES_PER_EVENT: Final = 16  # 4 bits of the valve field
MAX_EVENTS_PER_BATCH: Final = 39  # 10 + 6 * 39 + 8 = 252 B: one COBS group
MAX_EVENTS_PER_MASK_BATCH: Final = 23  # 10 + 10 * 23 + 8 = 248 B: one COBS group
MAX_REPORTS_PER_FRAME: Final = 35  # 1 + 7 * 35 + 8 = 254 B: one COBS group
MAX_BLOCK_B: Final = 234  # 12 + 234 + 8 = 254 B: a bulk frame beside ejections is one COBS group
WINDOW_EVENTS: Final = 1024  # event ids the controller remembers


class BoardState(IntEnum):
    """What the controller allows itself to do."""

    BOOT = 0  # power is on, nothing else
    SAFE = 1  # valves off, feeder off; latched until a HELLO with a new epoch
    IDLE = 2  # in session, does not fire
    ARMED = 3  # fires
    DEGRADED = 4  # armed, but too many events come late


class StateReason(IntEnum):
    """Why the host asks for a state; the controller only records it."""

    UNSPECIFIED = 0
    OPERATOR = 1
    SHUTDOWN = 2
    FAULT = 3


class EjectReason(IntEnum):
    """What was not normal about an event; LATE_FIRED, PULSE_CLAMPED and MERGED did fire."""

    LATE_DROPPED = 1  # came after its time: dropped
    LATE_FIRED = 2  # came late within the tolerance: fired at once
    TOO_FAR = 3  # farther ahead than the horizon
    BAD_VALVE = 4  # such a valve does not exist
    PULSE_CLAMPED = 5  # fired, but no longer than the limit
    MERGED = 6  # met another pulse on one of its valves
    DUTY_LIMIT = 7  # too many valves open, or a valve open too much of the time
    NOT_ARMED = 8  # the controller was not armed
    QUEUE_FULL = 9  # no room for another event
    CANCELLED = 10  # accepted, then cut before its time by SAFE or on the host's wish
    UNSUPPORTED = 11  # encoder counts on a controller without them

    @property
    def has_fired(self) -> bool:
        """Tell whether the valve was opened for this event all the same."""
        return self in {EjectReason.LATE_FIRED, EjectReason.PULSE_CLAMPED, EjectReason.MERGED}


class FaultCode(IntEnum):
    """Conditions that the controller latches until the next new session; bit `code` of STATUS.faults."""

    HOST_SILENT = 1  # nothing heard from the host for longer than the watchdog allows
    CFG_MISMATCH = 2  # the host's checksum over the configuration is another one
    LATE_RATE = 3  # too many events came late within a second
    QUEUE_OVERRUN = 4  # events were refused because the queue was full


class VerdictSource(IntEnum):
    """Who tells the truth about a piece, and therefore what `object_id` holds."""

    OPERATOR_KEY = 1  # object_id is the host's object number
    INSPECTION_ACCEPT = 2  # object_id is the lane; tick is when the piece crossed the inspection line
    INSPECTION_REJECT = 3  # the same, seen on the reject side of the stream


class SelftestMode(IntEnum):
    """What the self-test does to each valve."""

    MEASURE = 0  # a pulse too short to let air through; coil only
    FIRE = 1  # a whole pulse


class TransferKind(IntEnum):
    """What a bulk transfer carries."""

    FILE = 0  # bytes with a name
    FIRMWARE = 1  # an image for the receiver
    RESIDUAL = 2  # a residual record


class TransferStatus(IntEnum):
    """How a bulk transfer ended."""

    OK = 0  # all bytes there and their SHA-256 right
    BAD_HASH = 1  # all bytes there, but not those that were announced
    NO_SPACE = 2  # longer than the receiver can keep
    REFUSED = 3  # the receiver does not take this kind


class ErrorCode(IntEnum):
    """Why a frame that must be understood was not."""

    UNKNOWN_TYPE = 1  # the receiver does not know this type


class LogLevel(IntEnum):
    """How much a log line matters."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class ConfigKey(IntEnum):
    """Keys of CFG_SET; a number never changes its meaning."""

    MAX_PULSE_US = 1  # a longer pulse is clamped, a valve open longer is cut
    MIN_OFF_US = 2  # a valve stays closed at least this long
    LATE_TOL_US = 3  # an event this late may still fire when its batch allows it
    HORIZON_US = 4  # an event farther ahead is refused
    WD_MS = 5  # host silence that leads to SAFE
    MAX_OPEN_VALVES = 6  # no more valves are open at the same time
    MAX_DUTY_PERMILLE = 7  # a valve is open no more of the last second than this


class BatchFlag(IntFlag):
    """Bits of EJECT_BATCH.flags and EJECT_MASK.flags."""

    NONE = 0
    ENCODER = 1  # times are encoder counts, not ticks
    REPEAT = 2  # sent before, byte for byte but for this bit and the frame's seq
    ALLOW_LATE = 4  # fire late within the tolerance rather than drop


class HeartbeatFlag(IntFlag):
    """Bits of HEARTBEAT.flags."""

    NONE = 0
    ARMED_WANTED = 1
    ENCODER_EXPECTED = 2


class CapabilityFlag(IntFlag):
    """Bits of IDENT.caps."""

    NONE = 0
    ENCODER_TIMES = 1  # fire times may be encoder counts
    SELFTEST = 2  # SELFTEST is answered with measured values
    BULK = 4  # takes bulk transfers


class SelftestFlag(IntFlag):
    """Bits of SELFTEST_RES.flags."""

    NONE = 0
    REFUSED = 1  # nothing was moved: not IDLE, the feeder runs, such a valve does not exist, or the pulse is too long
    LAST = 2  # no further answer follows
    NO_SENSE = 4  # the controller cannot measure; coil_ma and open_us are 0


class Message(msgspec.Struct, frozen=True):
    """Base of everything that travels in a frame."""


class EjectItem(Message, frozen=True):
    """One event of a batch: adjacent valves, opened `dt_ticks` after the batch's base tick."""

    dt_ticks: int
    first_valve: int
    valve_count: int
    pulse_us: int


class MaskItem(Message, frozen=True):
    """One event with any of 32 valves: bit i of `mask` is valve first_valve + i."""

    dt_ticks: int
    first_valve: int
    mask: int
    pulse_us: int


class EjectReport(Message, frozen=True):
    """One event that did not go normally; lateness in steps of 10 us, negative is early."""

    evid: int
    reason: EjectReason
    lateness_10us: int = 0


class Hello(Message, frozen=True):
    """Host opens a session; repeated with the same epoch until IDENT answers."""

    proto_min: int
    proto_max: int
    host_epoch: int
    wd_ms: int
    flags: int = 0


class Ident(Message, frozen=True):
    """Controller answers HELLO: who it is, its limits, and where event ids continue."""

    proto: int
    boot_id: int
    uid: bytes
    fw_major: int
    fw_minor: int
    fw_patch: int
    fw_git: int
    tick_hz: int
    n_valves: int
    slots: int
    rx_window: int
    max_body: int
    max_pulse_us: int
    min_off_us: int
    caps: CapabilityFlag
    dict_crc: int
    cfg_crc: int
    state: BoardState
    pending: int
    next_evid: int


class DictRead(Message, frozen=True):
    """Host asks for a piece of the dictionary, the controller's own description of its messages."""

    offset: int
    length: int


class DictData(Message, frozen=True):
    """A piece of the dictionary; shorter than asked for at its end."""

    offset: int
    data: bytes


class ClockReq(Message, frozen=True):
    """Host asks for the controller's time; the answer carries the same token."""

    token: int


class ClockRsp(Message, frozen=True):
    """Controller's ticks when the request came in and when this answer left; not cut to 32 bits."""

    token: int
    rx_tick: int
    tx_tick: int
    enc: int


class TriggerStamp(Message, frozen=True):
    """Tick and encoder latched at the camera trigger of one frame or line block."""

    frame_no: int
    tick: int
    enc: int


class CtrlAck(Message, frozen=True):
    """Cumulative acknowledgement of the control class: every seq before next_seq has arrived."""

    next_seq: int
    credit: int


class EjectBatch(Message, frozen=True):
    """Events with consecutive ids from base_evid on."""

    base_evid: int
    base_tick: int
    flags: BatchFlag
    items: tuple[EjectItem, ...]


class EjectMask(Message, frozen=True):
    """The same for events whose valves are not adjacent."""

    base_evid: int
    base_tick: int
    flags: BatchFlag
    items: tuple[MaskItem, ...]


class EjectCancel(Message, frozen=True):
    """Events from_evid up to but without to_evid shall not fire, whether they have arrived or not."""

    from_evid: int
    to_evid: int


class EjectAck(Message, frozen=True):
    """Bit i of `received` is set when event base_evid + i has arrived, scheduled or refused."""

    base_evid: int
    received: int
    free_slots: int
    seq_echo: int
    tick: int


class EjectExc(Message, frozen=True):
    """Reports about events; an acknowledged event without one fired as asked."""

    reports: tuple[EjectReport, ...]


class Heartbeat(Message, frozen=True):
    """Host is alive, what it believes the configuration to be, and whether it wants to be armed."""

    host_ms: int
    cfg_crc: int
    flags: HeartbeatFlag


class Status(Message, frozen=True):
    """Controller's state and counters; counters wrap at their width."""

    tick: int
    enc: int
    state: BoardState
    faults: int
    pending: int
    free: int
    fired: int
    late: int
    dup: int
    crc_err: int
    cobs_err: int
    len_err: int
    rx_over: int
    q_hwm: int
    air_kpa: int
    supply_mv: int
    temp_c: int
    cfg_crc: int


class Fault(Message, frozen=True):
    """A fault that has just been latched."""

    code: int
    sub: int
    tick: int
    arg: int


class SetState(Message, frozen=True):
    """Host asks for SAFE, IDLE or ARMED."""

    state: BoardState
    reason: StateReason = StateReason.UNSPECIFIED


class CfgSet(Message, frozen=True):
    """Host sets one configuration key."""

    key: int
    value: int


class CfgVal(Message, frozen=True):
    """The value a key has now, and the checksum over all keys."""

    key: int
    value: int
    cfg_crc: int


class Selftest(Message, frozen=True):
    """Host asks to try the valves first_valve..last_valve one after another."""

    first_valve: int
    last_valve: int
    pulse_us: int
    mode: SelftestMode


class SelftestRes(Message, frozen=True):
    """What one valve did: current of its coil and when it opened, measured from the start of the pulse."""

    valve: int
    coil_ma: int
    open_us: int
    flags: SelftestFlag


class FeederSet(Message, frozen=True):
    """Host sets the feeder's rate: 0 is off, 1000 is full."""

    permille: int


class Verdict(Message, frozen=True):
    """Truth about one piece: it was of class class_id. Confidence 255 is certain."""

    object_id: int
    class_id: int
    confidence_255: int
    source: VerdictSource
    tick: int


class XferOpen(Message, frozen=True):
    """Announce bytes: how many, their SHA-256 (first half), in which blocks they come."""

    transfer_id: int
    size_b: int
    sha256_16: bytes
    kind: TransferKind
    block_b: int
    name: bytes


class XferData(Message, frozen=True):
    """One or more whole consecutive blocks; only the last of the transfer may be shorter."""

    transfer_id: int
    offset: int
    data: bytes


class XferAck(Message, frozen=True):
    """All bytes before `cum` are there; bit i of `bitmap` is the block i + 1 behind the one at `cum`."""

    transfer_id: int
    cum: int
    bitmap: int


class XferDone(Message, frozen=True):
    """The receiver's verdict about the whole transfer."""

    transfer_id: int
    status: TransferStatus
    sha256_16: bytes


class Log(Message, frozen=True):
    """A line of text for people, UTF-8."""

    level: LogLevel
    text: bytes


class ErrorReport(Message, frozen=True):
    """A frame whose type has bit 6 set was not understood; never sent about an ERROR."""

    type: int
    seq: int
    code: ErrorCode
