"""The rules of `doctor`: measured facts in, findings with their remedies out. Pure.

>>> from firmware_bridge.port_facts import PortFacts, PortKind, PortTrouble
>>> facts = DoctorFacts(port=PortFacts(port="/dev/ttyACM0", kind=PortKind.SERIAL), trouble=PortTrouble.MISSING)
>>> [(finding.code.value, finding.severity.name) for finding in diagnose(facts, DoctorLimits())]
[('port_missing', 'ERROR')]
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, assert_never

import msgspec

from firmware_bridge.doctor_facts import AnswerFacts, BoardFacts, DictionaryState, DoctorFacts, FindingCode, LineFacts
from firmware_bridge.doctor_texts import TEXTS
from firmware_bridge.explanations import DOWN_REASONS, FAULTS
from firmware_bridge.messages import PROTOCOL_VERSION, BoardState, FaultCode
from firmware_bridge.phrase import Explanation, Phrase
from firmware_bridge.port_facts import PortKind, PortTrouble

__all__ = ["DoctorLimits", "Finding", "Severity", "diagnose"]

_GOOD_LATENCY_MS: Final = 1
_TROUBLES: Final = {
    PortTrouble.MISSING: FindingCode.PORT_MISSING,
    PortTrouble.DENIED: FindingCode.PORT_DENIED,
    PortTrouble.BUSY: FindingCode.PORT_BUSY,
    PortTrouble.NO_TERMINAL: FindingCode.PORT_NO_TERMINAL,
    PortTrouble.UNREACHABLE: FindingCode.PORT_UNREACHABLE,
    PortTrouble.OTHER: FindingCode.PORT_FAILED,
}
_LONG_ENOUGH_S: Final = 10.0  # for a drift: the jitter of a millisecond is 100 ppm of it
_UNKNOWN_HOLDER: Final = Phrase("one that this user may not see", "当前用户无权查看的程序")
_UNKNOWN_GROUP: Final = "dialout"  # its usual name on Debian and Ubuntu


class Severity(IntEnum):
    """How much a finding matters; with an ERROR the machine cannot sort, or will soon not."""

    OK = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found, with its explanation filled in."""

    code: FindingCode
    severity: Severity
    explanation: Explanation


class DoctorLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Between which figures all is well. A machine with other valves or air has others.

    Attributes:
        rtt_p99_ms: a fire command that leaves 10 ms ahead can then still be repeated once.
        pause_ms: of this program; the heartbeat's period, five of which stop the machine.
        residual_us: as for arming.
        drift_ppm: two poor crystals; the link's own estimate ends at 200.
        supply_low_v: 24 V valves, 10 % below.
        supply_high_v: the same above.
        air_low_kpa: below that, jets are too soft.
        air_high_kpa: above that, hoses and good pieces suffer.
        temp_low_c: below that, valves get slow.
        temp_high_c: above that, electronics age quickly.
        young_s: a controller that has run for less has just started.
    """

    rtt_p99_ms: float = 5.0
    pause_ms: float = 50.0
    residual_us: float = 200.0
    drift_ppm: float = 150.0
    supply_low_v: float = 21.6
    supply_high_v: float = 26.4
    air_low_kpa: int = 300
    air_high_kpa: int = 900
    temp_low_c: int = 0
    temp_high_c: int = 70
    young_s: float = 30.0


def diagnose(facts: DoctorFacts, limits: DoctorLimits) -> tuple[Finding, ...]:
    """Return what was found, worst first; a single OK where there is nothing to complain of."""
    found = [*_port_findings(facts)]
    if facts.answer is not None:
        found += _answer_findings(facts.answer, facts)
    if facts.line is not None:
        found += _line_findings(facts.line, facts.baud, limits)
    if facts.board is not None:
        found += _board_findings(facts.board, limits)
    if facts.line is not None and all(finding.severity <= Severity.INFO for finding in found):
        found.append(_healthy(facts.line))
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def _finding(code: FindingCode, severity: Severity, **values: str | int | float | Phrase) -> Finding:
    return Finding(code, severity, TEXTS[code].filled(**values))


def _quoted(code: FindingCode, severity: Severity, said: Explanation, **values: str) -> Finding:
    """Return a finding that quotes the explanation of something else."""
    return _finding(code, severity, what=said.what, why=said.why, remedy=said.remedy, **values)


# ----- the port


def _port_findings(facts: DoctorFacts) -> Iterator[Finding]:
    port = facts.port
    if facts.trouble is not None:
        yield _finding(
            _TROUBLES[facts.trouble],
            Severity.ERROR,
            port=port.port,
            group=port.group or _UNKNOWN_GROUP,
            holders=", ".join(facts.holders) or _UNKNOWN_HOLDER,
            text=facts.trouble_text,
        )
    if not port.is_stable and port.stable_name is not None:
        yield _finding(FindingCode.NAME_UNSTABLE, Severity.INFO, port=port.port, name=port.stable_name)
    if port.latency_timer_ms is not None and port.latency_timer_ms > _GOOD_LATENCY_MS:
        yield _finding(FindingCode.LATENCY_TIMER, Severity.WARNING, ms=port.latency_timer_ms, tty=port.device_name)


def _answer_findings(answer: AnswerFacts, facts: DoctorFacts) -> Iterator[Finding]:
    if answer.echoed_frames:
        yield _finding(FindingCode.ECHO, Severity.ERROR, frames=answer.echoed_frames)
    if answer.is_connected:
        yield from _before_findings(answer)
    elif answer.down is not None:
        yield _quoted(FindingCode.LINE_DOWN, Severity.ERROR, DOWN_REASONS[answer.down])
    elif answer.their_version is not None:
        yield _finding(FindingCode.WRONG_VERSION, Severity.ERROR, theirs=answer.their_version, ours=PROTOCOL_VERSION)
    elif answer.good_frames:
        yield _finding(FindingCode.ONE_WAY, Severity.ERROR, frames=answer.good_frames)
        yield from _before_findings(answer)
    elif answer.echoed_frames:
        return
    elif answer.heard_b:
        yield _finding(FindingCode.NOISE, Severity.ERROR, bytes=answer.heard_b, baud=_baud_text(facts))
    else:
        yield _finding(FindingCode.SILENCE, Severity.ERROR, seconds=f"{answer.waited_s:.1f}", baud=_baud_text(facts))


def _before_findings(answer: AnswerFacts) -> Iterator[Finding]:
    """Tell what the controller held against the host before: a new session has cleared it."""
    for code in FaultCode:
        if answer.faults_before >> code & 1:
            # Every program that ends leaves silence behind: a reason to look only where one should be running.
            severity = Severity.INFO if code is FaultCode.HOST_SILENT else Severity.WARNING
            yield _quoted(FindingCode.FAULT_BEFORE, severity, FAULTS[code], name=code.name)
    if answer.state_before == BoardState.SAFE.name and not answer.faults_before:
        yield _finding(FindingCode.STOPPED_BEFORE, Severity.INFO)


def _baud_text(facts: DoctorFacts) -> str:
    return str(facts.baud) if facts.port.kind is PortKind.SERIAL else "-"


# ----- the line


def _line_findings(line: LineFacts, baud: int, limits: DoctorLimits) -> Iterator[Finding]:
    if line.down is not None:
        yield _quoted(FindingCode.LINE_DOWN, Severity.ERROR, DOWN_REASONS[line.down])
    if line.pings_lost:
        severity = Severity.ERROR if line.pings_lost * 20 > line.pings else Severity.WARNING
        yield _finding(FindingCode.PINGS_LOST, severity, lost=line.pings_lost, count=line.pings)
    if line.rtt is not None and line.rtt.p99_us > limits.rtt_p99_ms * 1000:
        yield _finding(
            FindingCode.SLOW_LINE,
            Severity.WARNING,
            median=f"{line.rtt.median_us / 1000:.1f}",
            p99=f"{line.rtt.p99_us / 1000:.1f}",
            limit=f"{limits.rtt_p99_ms:g}",
        )
    if line.longest_pause_us > limits.pause_ms * 1000:
        yield _finding(FindingCode.BUSY_HOST, Severity.WARNING, ms=line.longest_pause_us // 1000)
    yield from _damage_findings(line, baud)
    if line.residual_us is not None and line.residual_us > limits.residual_us:
        yield _finding(FindingCode.UNEVEN_CLOCK, Severity.WARNING, us=round(line.residual_us))
    # A short line through uneven points has any slope: do not blame the crystal for the scatter.
    elif line.drift_ppm is not None and abs(line.drift_ppm) > limits.drift_ppm and line.measured_s >= _LONG_ENOUGH_S:
        yield _finding(FindingCode.DRIFT, Severity.WARNING, ppm=f"{line.drift_ppm:+.0f}")


def _damage_findings(line: LineFacts, baud: int) -> Iterator[Finding]:
    seconds = f"{line.measured_s:.1f}"
    if line.damaged_here:
        yield _finding(FindingCode.DAMAGED_HERE, Severity.WARNING, count=line.damaged_here, seconds=seconds, baud=baud)
    if line.damaged_there:
        yield _finding(
            FindingCode.DAMAGED_THERE, Severity.WARNING, count=line.damaged_there, seconds=seconds, baud=baud
        )
    if line.overruns:
        yield _finding(FindingCode.OVERRUN, Severity.WARNING, count=line.overruns)
    if line.gaps:
        yield _finding(FindingCode.GAPS, Severity.INFO, count=line.gaps)


def _healthy(line: LineFacts) -> Finding:
    p99 = "-" if line.rtt is None else f"{line.rtt.p99_us / 1000:.2f}"
    return _finding(FindingCode.HEALTHY, Severity.OK, pings=line.pings, p99=p99, seconds=f"{line.measured_s:.1f}")


# ----- the controller


def _board_findings(board: BoardFacts, limits: DoctorLimits) -> Iterator[Finding]:
    for code in FaultCode:
        if board.faults >> code & 1:
            yield _quoted(FindingCode.FAULT, Severity.ERROR, FAULTS[code], name=code.name)
    known = {int(code) for code in FaultCode}
    texts = {fault.bit: fault.text for fault in board.foreign_faults}
    for bit in (bit for bit in range(32) if board.faults >> bit & 1 and bit not in known):
        yield _finding(FindingCode.FAULT_FOREIGN, Severity.ERROR, bit=bit, text=texts.get(bit, "-"))
    if board.uptime_s < limits.young_s:
        yield _finding(FindingCode.JUST_STARTED, Severity.INFO, seconds=f"{board.uptime_s:.0f}")
    if board.slots and board.queue_high >= board.slots:
        yield _finding(FindingCode.QUEUE_FULL, Severity.WARNING, high=board.queue_high, slots=board.slots)
    if not board.is_default_config:
        yield _finding(FindingCode.CONFIG_KEPT, Severity.INFO, crc=f"{board.cfg_crc:08x}")
    if not board.has_selftest:
        yield _finding(FindingCode.NO_SELFTEST, Severity.INFO)
    yield from _dictionary_findings(board)
    yield from _sensor_findings(board, limits)


def _dictionary_findings(board: BoardFacts) -> Iterator[Finding]:
    match board.dictionary:
        case DictionaryState.NONE:
            yield _finding(FindingCode.DICTIONARY_NONE, Severity.INFO)
        case DictionaryState.OTHER:
            yield _finding(FindingCode.DICTIONARY_OTHER, Severity.WARNING, crc=f"{board.dict_crc:08x}")
        case DictionaryState.DAMAGED | DictionaryState.UNREAD:
            yield _finding(FindingCode.DICTIONARY_DAMAGED, Severity.WARNING)
        case DictionaryState.SAME:
            return
        case never:
            assert_never(never)


def _sensor_findings(board: BoardFacts, limits: DoctorLimits) -> Iterator[Finding]:
    missing: list[Phrase] = []
    volt, low_v, high_v = board.supply_mv / 1000, f"{limits.supply_low_v:g}", f"{limits.supply_high_v:g}"
    if board.supply_mv == 0:
        missing.append(Phrase("valve supply", "喷阀电源"))
    elif volt < limits.supply_low_v:
        yield _finding(FindingCode.SUPPLY_LOW, Severity.WARNING, volt=f"{volt:.1f}", low=low_v, high=high_v)
    elif volt > limits.supply_high_v:
        yield _finding(FindingCode.SUPPLY_HIGH, Severity.ERROR, volt=f"{volt:.1f}", low=low_v, high=high_v)
    air = {"kpa": board.air_kpa, "low": limits.air_low_kpa, "high": limits.air_high_kpa}
    if board.air_kpa == 0:
        missing.append(Phrase("air pressure", "气压"))
    elif board.air_kpa < limits.air_low_kpa:
        yield _finding(FindingCode.AIR_LOW, Severity.WARNING, **air)
    elif board.air_kpa > limits.air_high_kpa:
        yield _finding(FindingCode.AIR_HIGH, Severity.WARNING, **air)
    if board.temp_c > limits.temp_high_c:
        yield _finding(FindingCode.TOO_HOT, Severity.WARNING, temp=board.temp_c, high=limits.temp_high_c)
    elif board.temp_c < limits.temp_low_c:
        yield _finding(FindingCode.TOO_COLD, Severity.WARNING, temp=board.temp_c, low=limits.temp_low_c)
    if missing:
        what = Phrase(", ".join(text.en for text in missing), "、".join(text.zh_cn for text in missing))
        yield _finding(FindingCode.NOT_MEASURED, Severity.INFO, what=what)
