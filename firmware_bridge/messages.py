"""The messages of SEL/1 as values: what they mean, not how they are laid out (that is codec.py).

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
    "MAX_EVENTS_PER_BATCH",
    "MAX_REPORTS_PER_FRAME",
    "MAX_VALVES",
    "MAX_VALVES_PER_EVENT",
    "PROTOCOL_VERSION",
    "BatchFlag",
    "BoardState",
    "CfgSet",
    "CfgVal",
    "ClockReq",
    "ClockRsp",
    "CtrlAck",
    "EjectAck",
    "EjectBatch",
    "EjectExc",
    "EjectItem",
    "EjectReason",
    "EjectReport",
    "Fault",
    "FaultCode",
    "FeederSet",
    "Heartbeat",
    "HeartbeatFlag",
    "Hello",
    "Ident",
    "Message",
    "SetState",
    "StateReason",
    "Status",
    "TriggerStamp",
    "Verdict",
    "VerdictSource",
]

PROTOCOL_VERSION: Final = 1
MAX_VALVES: Final = 4096  # 12 bits of the valve field
MAX_VALVES_PER_EVENT: Final = 16  # 4 bits of the valve field
MAX_EVENTS_PER_BATCH: Final = 39  # 10 + 6 * 39 + 8 = 252 B: one COBS group
MAX_REPORTS_PER_FRAME: Final = 35  # 1 + 7 * 35 + 8 = 254 B: one COBS group


class BoardState(IntEnum):
    """What the controller allows itself to do."""

    BOOT = 0
    SAFE = 1  # valves off, feeder off; latched until a HELLO with a new epoch
    IDLE = 2  # in session, does not fire
    ARMED = 3
    DEGRADED = 4  # armed, but too many events come late


class StateReason(IntEnum):
    """Why the host asks for a state; the controller only records it."""

    UNSPECIFIED = 0
    OPERATOR = 1
    SHUTDOWN = 2
    FAULT = 3


class EjectReason(IntEnum):
    """What was not normal about an event; the second group did fire."""

    LATE_DROPPED = 1
    TOO_FAR = 3
    BAD_VALVE = 4
    DUTY_LIMIT = 7
    NOT_ARMED = 8
    QUEUE_FULL = 9
    CANCELLED = 10  # accepted, then cut by SAFE before its time
    UNSUPPORTED = 11  # encoder counts on a controller without them

    LATE_FIRED = 2
    PULSE_CLAMPED = 5
    MERGED = 6

    @property
    def has_fired(self) -> bool:
        """Tell whether the valve was opened for this event all the same."""
        return self in {EjectReason.LATE_FIRED, EjectReason.PULSE_CLAMPED, EjectReason.MERGED}


class FaultCode(IntEnum):
    """Conditions that the controller latches until the next new session; bit `code` of STATUS.faults."""

    HOST_SILENT = 1
    CFG_MISMATCH = 2
    LATE_RATE = 3
    QUEUE_OVERRUN = 4


class VerdictSource(IntEnum):
    """Who tells the truth about a piece, and therefore what `object_id` holds."""

    OPERATOR_KEY = 1  # object_id is the host's object number
    INSPECTION_ACCEPT = 2  # object_id is the lane; tick is when the piece crossed the inspection line
    INSPECTION_REJECT = 3  # the same, seen on the reject side of the stream


class BatchFlag(IntFlag):
    """Bits of EJECT_BATCH.flags."""

    NONE = 0
    ENCODER = 1  # times are encoder counts, not ticks
    REPEAT = 2  # sent before, byte for byte but for this bit and the frame's seq
    ALLOW_LATE = 4  # fire late within the tolerance rather than drop


class HeartbeatFlag(IntFlag):
    """Bits of HEARTBEAT.flags."""

    NONE = 0
    ARMED_WANTED = 1
    ENCODER_EXPECTED = 2


class Message(msgspec.Struct, frozen=True):
    """Base of everything that travels in a frame."""


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
    caps: int
    dict_crc: int
    cfg_crc: int
    state: BoardState
    pending: int  # accepted events that this HELLO cancelled
    next_evid: int


class CtrlAck(Message, frozen=True):
    """Cumulative acknowledgement of the control class: every seq before next_seq has arrived."""

    next_seq: int
    credit: int


class ClockReq(Message, frozen=True):
    """Host asks for the controller's time; the answer carries the same token."""

    token: int


class ClockRsp(Message, frozen=True):
    """Controller's ticks when the request came in and when this answer left."""

    token: int
    rx_tick: int
    tx_tick: int
    enc: int


class TriggerStamp(Message, frozen=True):
    """Tick and encoder latched at the camera trigger of one frame or line block."""

    frame_no: int
    tick: int
    enc: int


class EjectItem(Message, frozen=True):
    """One event of a batch: adjacent valves, opened `dt_ticks` after the batch's base tick."""

    dt_ticks: int
    first_valve: int
    valve_count: int
    pulse_us: int


class EjectBatch(Message, frozen=True):
    """Events with consecutive ids from base_evid on."""

    base_evid: int
    base_tick: int
    flags: BatchFlag
    items: tuple[EjectItem, ...]


class EjectAck(Message, frozen=True):
    """Bit i of `received` is set when event base_evid + i has arrived, scheduled or refused."""

    base_evid: int
    received: int
    free_slots: int
    seq_echo: int
    tick: int


class EjectReport(Message, frozen=True):
    """One event that did not go normally; lateness in steps of 10 us, negative is early."""

    evid: int
    reason: EjectReason
    lateness_10us: int = 0


class EjectExc(Message, frozen=True):
    """Reports about events; an acknowledged event without one fired as asked."""

    reports: tuple[EjectReport, ...]


class Heartbeat(Message, frozen=True):
    """Host is alive, what it believes the configuration to be, and whether it wants to be armed."""

    host_ms: int
    cfg_crc: int
    flags: HeartbeatFlag


class Status(Message, frozen=True):
    """Controller's state and counters; counters wrap or saturate at their width as wire-protocol.md says."""

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
