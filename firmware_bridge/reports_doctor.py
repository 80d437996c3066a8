"""What `sortloop-link doctor` prints: one versioned struct with --json, and the same for people."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from firmware_bridge.doctor import Finding, Severity
from firmware_bridge.doctor_facts import BoardFacts, DoctorFacts, LineFacts
from firmware_bridge.histogram import histogram_rows
from firmware_bridge.phrase import Explanation, Language, Phrase

__all__ = [
    "DoctorReport",
    "ExplainReport",
    "FindingReport",
    "doctor_report",
    "doctor_text",
    "explain_report",
    "explanation_text",
]

_INDENT: Final = 10
_WHY: Final = Phrase("Why: ", "原因：")
_REMEDY: Final = Phrase("Do:  ", "处理：")
_SEVERITIES: Final = {
    Severity.OK: Phrase("OK", "正常"),
    Severity.INFO: Phrase("NOTE", "提示"),
    Severity.WARNING: Phrase("WARNING", "警告"),
    Severity.ERROR: Phrase("ERROR", "错误"),
}


class FindingReport(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found; severity is ok, info, warning or error."""

    code: str
    severity: str
    what: str
    why: str
    remedy: str


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `doctor`, worst finding first; `worst` is its severity."""

    schema_version: int = 1
    port: str
    language: str
    is_answering: bool
    worst: str
    findings: tuple[FindingReport, ...]
    facts: DoctorFacts


class ExplainReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `doctor --explain`."""

    schema_version: int = 1
    name: str
    language: str
    what: str
    why: str
    remedy: str


def doctor_report(facts: DoctorFacts, findings: Sequence[Finding], language: Language) -> DoctorReport:
    """Return the report of one examination; `findings` is not empty and has the worst first."""
    return DoctorReport(
        port=facts.port.port,
        language=language,
        is_answering=facts.answer is not None and facts.answer.is_connected,
        worst=findings[0].severity.name.lower(),
        findings=tuple(
            FindingReport(
                code=finding.code.value,
                severity=finding.severity.name.lower(),
                what=finding.explanation.what.text(language),
                why=finding.explanation.why.text(language),
                remedy=finding.explanation.remedy.text(language),
            )
            for finding in findings
        ),
        facts=facts,
    )


def explain_report(name: str, said: Explanation, language: Language) -> ExplainReport:
    """Return what a code means."""
    what, why, remedy = (text.text(language) for text in (said.what, said.why, said.remedy))
    return ExplainReport(name=name, language=language, what=what, why=why, remedy=remedy)


def doctor_text(facts: DoctorFacts, findings: Iterable[Finding], language: Language, width: int) -> str:
    """Return the whole text: what was measured, then each finding with its reason and remedy.

    Args:
        facts: what was measured.
        findings: what it means.
        language: of the findings; figures stand in English terms.
        width: columns to fill.
    """
    rows = [f"{'port':<{_INDENT + 2}}{facts.port.port}"]
    if facts.board is not None:
        rows += _board_rows(facts.board)
    if facts.line is not None:
        rows += _line_rows(facts.line)
    for finding in findings:
        rows += ["", *_finding_rows(_SEVERITIES[finding.severity].text(language), finding.explanation, language, width)]
    return "\n".join(rows)


def explanation_text(name: str, said: Explanation, language: Language, width: int) -> str:
    """Return what a code means, as a finding looks."""
    return "\n".join([name, *_finding_rows("", said, language, width)])


def _finding_rows(label: str, said: Explanation, language: Language, width: int) -> list[str]:
    paragraphs = (
        said.what.text(language),
        _WHY.text(language) + said.why.text(language),
        _REMEDY.text(language) + said.remedy.text(language),
    )
    indent, hanging = " " * _INDENT, " " * (_INDENT + 5)
    rows: list[str] = []
    for number, text in enumerate(paragraphs):
        first = f"{label:<{_INDENT}}" if number == 0 else indent
        if language == "en":
            wrapper = textwrap.TextWrapper(
                width=width,
                initial_indent=first,
                subsequent_indent=indent if number == 0 else hanging,
                break_long_words=False,
                break_on_hyphens=False,
            )
            rows += wrapper.wrap(text)
        else:  # without blanks, and two columns a character: the terminal breaks it well enough
            rows.append(first + text)
    return rows


def _board_rows(board: BoardFacts) -> list[str]:
    supply = f"{board.supply_mv / 1000:.1f} V" if board.supply_mv else "-"
    air = f"{board.air_kpa} kPa" if board.air_kpa else "-"
    pairs = (
        ("controller", f"{board.uid}, firmware {board.firmware}, protocol {board.protocol}"),
        ("", f"{board.n_valves} valves, {board.slots} slots, running for {board.uptime_s:.0f} s, {board.state}"),
        ("checksums", f"settings 0x{board.cfg_crc:08x}, dictionary 0x{board.dict_crc:08x} ({board.dictionary.value})"),
        ("sensors", f"supply {supply}, air {air}, {board.temp_c} C"),
    )
    return [f"{label:<{_INDENT + 2}}{text}" for label, text in pairs]


def _line_rows(line: LineFacts) -> list[str]:
    damaged = f"{line.damaged_here} damaged here, {line.damaged_there} at the controller"
    pairs = [("errors", f"{damaged}, {line.overruns} overrun, {line.gaps} missing, in {line.measured_s:.1f} s")]
    if line.rtt is not None:
        answered = f"{line.pings - line.pings_lost} of {line.pings} answered"
        times = f"median {line.rtt.median_us / 1000:.2f} ms, 99 % within {line.rtt.p99_us / 1000:.2f} ms"
        pairs.append(("round trips", f"{answered}, {times}"))
    rows = [f"{label:<{_INDENT + 2}}{text}" for label, text in pairs]
    return [*rows, *(" " * (_INDENT + 2) + row for row in histogram_rows(line.histogram))]
