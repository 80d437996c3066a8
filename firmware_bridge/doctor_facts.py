"""What `doctor` measures and what it can find: plain values for rules and reports. `doctor_probe` gathers them.

>>> DoctorFacts(port=PortFacts(port="virtual", kind=PortKind.VIRTUAL)).answer is None
True
"""

from enum import Enum

import msgspec

from firmware_bridge.clock_watch import RttFigures
from firmware_bridge.histogram import RttClass
from firmware_bridge.link_events import DownReason
from firmware_bridge.port_facts import PortFacts, PortKind, PortTrouble

__all__ = [
    "AnswerFacts",
    "BoardFacts",
    "DictionaryState",
    "DoctorFacts",
    "FindingCode",
    "ForeignFault",
    "LineFacts",
    "PortFacts",
    "PortKind",
]


class DictionaryState(Enum):
    """The controller's description of itself, compared with this program's."""

    SAME = "same"
    OTHER = "other"
    NONE = "none"
    UNREAD = "unread"
    DAMAGED = "damaged"


class FindingCode(Enum):
    """Everything that can be found; `doctor_texts` says what it means."""

    PORT_MISSING = "port_missing"
    PORT_DENIED = "port_denied"
    PORT_BUSY = "port_busy"
    PORT_NO_TERMINAL = "port_no_terminal"
    PORT_UNREACHABLE = "port_unreachable"
    PORT_FAILED = "port_failed"
    NAME_UNSTABLE = "name_unstable"
    LATENCY_TIMER = "latency_timer"
    SILENCE = "silence"
    NOISE = "noise"
    ECHO = "echo"
    ONE_WAY = "one_way"
    WRONG_VERSION = "wrong_version"
    LINE_DOWN = "line_down"
    PINGS_LOST = "pings_lost"
    SLOW_LINE = "slow_line"
    BUSY_HOST = "busy_host"
    DAMAGED_HERE = "damaged_here"
    DAMAGED_THERE = "damaged_there"
    OVERRUN = "overrun"
    GAPS = "gaps"
    UNEVEN_CLOCK = "uneven_clock"
    DRIFT = "drift"
    FAULT = "fault"
    FAULT_BEFORE = "fault_before"
    FAULT_FOREIGN = "fault_foreign"
    STOPPED_BEFORE = "stopped_before"
    JUST_STARTED = "just_started"
    QUEUE_FULL = "queue_full"
    CONFIG_KEPT = "config_kept"
    DICTIONARY_NONE = "dictionary_none"
    DICTIONARY_OTHER = "dictionary_other"
    DICTIONARY_DAMAGED = "dictionary_damaged"
    NO_SELFTEST = "no_selftest"
    SUPPLY_LOW = "supply_low"
    SUPPLY_HIGH = "supply_high"
    AIR_LOW = "air_low"
    AIR_HIGH = "air_high"
    TOO_HOT = "too_hot"
    TOO_COLD = "too_cold"
    NOT_MEASURED = "not_measured"
    HEALTHY = "healthy"


class AnswerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What came back from an open port until the session was up or given up.

    Attributes:
        waited_s: how long.
        heard_b: bytes that came.
        good_frames: intact frames of a controller.
        echoed_frames: intact frames of a host: our own, come back.
        damaged: pieces that are no intact frame.
        is_connected: a session came up.
        their_version: protocol of a controller that has none in common with us.
        state_before: what the controller said of itself before it was asked, None where it said nothing.
        faults_before: likewise: a new session clears them.
        down: why the attempt to connect ended early.
    """

    waited_s: float
    heard_b: int = 0
    good_frames: int = 0
    echoed_frames: int = 0
    damaged: int = 0
    is_connected: bool = False
    their_version: int | None = None
    state_before: str | None = None
    faults_before: int = 0
    down: DownReason | None = None


class LineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How the line did while it was measured.

    Attributes:
        measured_s: how long.
        pings: requests sent.
        pings_lost: of them, those without an answer in time.
        rtt: round trips of those that were asked one by one.
        histogram: of the same.
        damaged_here: pieces from the controller that are no intact frame.
        damaged_there: those that the controller counted.
        overruns: bytes that the controller had no room for.
        gaps: telemetry frames that never came.
        longest_pause_us: longest time in which this program did not get to run.
        residual_us: scatter of the controller's clock on ours.
        drift_ppm: how much faster it runs.
        down: why the session ended meanwhile.
    """

    measured_s: float
    pings: int = 0
    pings_lost: int = 0
    rtt: RttFigures | None = None
    histogram: tuple[RttClass, ...] = ()
    damaged_here: int = 0
    damaged_there: int = 0
    overruns: int = 0
    gaps: int = 0
    longest_pause_us: int = 0
    residual_us: float | None = None
    drift_ppm: float | None = None
    down: DownReason | None = None


class ForeignFault(msgspec.Struct, frozen=True):
    """A fault that this program does not know, in the controller's own words."""

    bit: int
    text: str


class BoardFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the controller says of itself; 0 in a sensor's field is a sensor that it does not have."""

    uid: str
    protocol: int
    firmware: str
    n_valves: int
    slots: int
    state: str
    uptime_s: float
    faults: int = 0
    queue_high: int = 0
    air_kpa: int = 0
    supply_mv: int = 0
    temp_c: int = 0
    cfg_crc: int = 0
    is_default_config: bool = True
    dict_crc: int = 0
    dictionary: DictionaryState = DictionaryState.SAME
    has_selftest: bool = True
    foreign_faults: tuple[ForeignFault, ...] = ()  # bits that only the controller's own dictionary explains


class DoctorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; a part that could not be measured is None.

    Attributes:
        port: before it was opened.
        baud: line rate that was asked for.
        trouble: why it cannot be opened.
        trouble_text: the system's words about that.
        holders: other programs that have it open.
        answer: what came back.
        line: how the line does in a session.
        board: what the controller says of itself.
    """

    port: PortFacts
    baud: int = 921_600
    trouble: PortTrouble | None = None
    trouble_text: str = ""
    holders: tuple[str, ...] = ()
    answer: AnswerFacts | None = None
    line: LineFacts | None = None
    board: BoardFacts | None = None
