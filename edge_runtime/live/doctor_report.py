"""What `sortloop-edge doctor` prints: one versioned struct with --json, and the same for people."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from edge_runtime.live.doctor import Check, Verdict
from firmware_bridge.phrase import Language, Phrase

__all__ = ["LiveDoctorReport", "PreconditionReport", "live_doctor_report", "live_doctor_text"]

_VERDICTS: Final = {
    Verdict.OK: Phrase("ok", "正常"),
    Verdict.DOUBTFUL: Phrase("DOUBTFUL", "可疑"),
    Verdict.WRONG: Phrase("WRONG", "错误"),
}
_DO: Final = Phrase("do: ", "处理：")
_WIDTH: Final = {"en": 10, "zh-CN": 6}


class PreconditionReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One precondition; verdict is ok, doubtful or wrong."""

    code: str
    verdict: str
    what: str
    remedy: str


class LiveDoctorReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Result of `sortloop-edge doctor`: every precondition of a live run; `worst` is the worst verdict."""

    machine: str
    language: str
    worst: str
    checks: tuple[PreconditionReport, ...]
    schema_version: Literal[1] = 1


def live_doctor_report(machine: str, checks: Sequence[Check], language: Language) -> LiveDoctorReport:
    """Return the report of one examination; there is at least one check."""
    return LiveDoctorReport(
        machine,
        language,
        max(check.verdict for check in checks).name.lower(),
        tuple(
            PreconditionReport(
                check.code, check.verdict.name.lower(), check.what.text(language), check.remedy.text(language)
            )
            for check in checks
        ),
    )


def live_doctor_text(checks: Sequence[Check], language: Language) -> str:
    """Return a line a check, with what to do below it, and a last line that counts."""
    width = _WIDTH[language]
    lines: list[str] = []
    for check in checks:
        label = _VERDICTS[check.verdict].text(language)
        blank = width - len(label) * (1 if language == "en" else 2)  # a Chinese character fills two columns
        lines.append(label + " " * blank + check.what.text(language))
        if check.remedy.en:
            lines.append(" " * width + _DO.text(language) + check.remedy.text(language))
    counts = [sum(check.verdict is verdict for check in checks) for verdict in reversed(Verdict)]
    total = Phrase("{} wrong, {} doubtful, {} ok", "{} 项错误，{} 项可疑，{} 项正常").text(language)
    return "\n".join([*lines, total.format(*counts)])
