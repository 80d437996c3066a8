"""The result of a self-test for the person at the machine: which valves, what is wrong, what to do.

>>> valve_ranges([3, 5, 6, 7])
'3, 5..7'
"""

from collections.abc import Iterable
from typing import Final

from firmware_bridge.phrase import Language, Phrase
from firmware_bridge.reports import SelftestReport, ValveReport
from firmware_bridge.valve_verdict import ADVICE, ValveVerdict

__all__ = ["selftest_text", "valve_ranges"]

_SUMMARY: Final = Phrase(
    "{count} valves tried ({mode}, {pulse} us): {ok} ok, {bad} not ok",
    "已测 {count} 个喷阀（{mode}，{pulse} us）：{ok} 个正常，{bad} 个异常",
)
_VALVES: Final = Phrase("valves {ranges}", "喷阀 {ranges}")
_FIGURES: Final = Phrase(
    "valve {valve}: coil {coil} mA, opens after {open} us", "喷阀 {valve}：线圈 {coil} mA，{open} us 后打开"
)
_COIL_ONLY: Final = Phrase("valve {valve}: coil {coil} mA", "喷阀 {valve}：线圈 {coil} mA")
_ALL_ALIKE: Final = Phrase(
    "All valves alike: look for one common cause first, such as supply, air or a connector.",
    "所有喷阀情况相同：先查找共同原因，例如电源、气源或接插件。",
)
_NO_AIR: Final = Phrase(
    "Only the coils were measured; --mode fire also tells whether the valves open.",
    "仅测量了线圈；--mode fire 还能判断喷阀是否打开。",
)
_MAX_FIGURES: Final = 8  # of one verdict; the ranges name all


def selftest_text(report: SelftestReport, language: Language) -> str:
    """Return the whole text: each verdict that is not good with its valves, figures and advice, then the summary."""
    lines: list[str] = []
    bad = [valve for valve in report.valves if valve.verdict is not ValveVerdict.OK]
    for verdict in ValveVerdict:
        of_kind = [valve for valve in bad if valve.verdict is verdict]
        if of_kind:
            lines += [*_verdict_lines(verdict, of_kind, report.mode, language), ""]
    if len(bad) > 1 and len(bad) == len(report.valves) and len({valve.verdict for valve in bad}) == 1:
        lines += [_ALL_ALIKE.text(language), ""]
    summary = _SUMMARY.filled(
        count=len(report.valves), mode=report.mode, pulse=report.pulse_us, ok=report.ok_count, bad=len(bad)
    )
    lines.append(summary.text(language))
    if report.mode == "measure" and report.ok_count:
        lines.append(_NO_AIR.text(language))
    return "\n".join(lines)


def valve_ranges(valves: Iterable[int]) -> str:
    """Return ascending valves in short, neighbours as a range."""
    parts: list[list[int]] = []
    for valve in valves:
        if parts and valve == parts[-1][-1] + 1:
            parts[-1][1:] = [valve]
        else:
            parts.append([valve])
    return ", ".join("..".join(map(str, part)) for part in parts)


def _verdict_lines(verdict: ValveVerdict, valves: list[ValveReport], mode: str, language: Language) -> list[str]:
    advice = ADVICE[verdict]
    where = _VALVES.filled(ranges=valve_ranges(valve.valve for valve in valves)).text(language)
    lines = [f"{verdict.name}  {where}"]
    lines += [f"  {text.text(language)}" for text in (advice.what, advice.why, advice.remedy)]
    if verdict is not ValveVerdict.NO_SENSE:
        figures = _FIGURES if mode == "fire" else _COIL_ONLY
        lines += [
            f"    {figures.filled(valve=valve.valve, coil=valve.coil_ma, open=valve.open_us).text(language)}"
            for valve in valves[:_MAX_FIGURES]
        ]
        if len(valves) > _MAX_FIGURES:
            lines.append("    ...")
    return lines
