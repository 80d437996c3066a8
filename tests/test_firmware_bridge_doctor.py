"""The doctor's rules: every trouble has its finding, every finding its words in both languages, worst comes first."""

import re
from string import Formatter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.clock_watch import RttFigures
from firmware_bridge.doctor import DoctorLimits, Severity, diagnose
from firmware_bridge.doctor_facts import (
    AnswerFacts,
    BoardFacts,
    DictionaryState,
    DoctorFacts,
    FindingCode,
    ForeignFault,
    LineFacts,
    PortFacts,
    PortKind,
)
from firmware_bridge.doctor_texts import TEXTS
from firmware_bridge.explanations import DOWN_REASONS, FAULTS
from firmware_bridge.link_events import DownReason
from firmware_bridge.messages import FaultCode
from firmware_bridge.phrase import LANGUAGES
from firmware_bridge.port_facts import PortTrouble
from firmware_bridge.reports_doctor import doctor_report, doctor_text

SERIAL = PortFacts(port="/dev/ttyUSB0", kind=PortKind.SERIAL, device_name="ttyUSB0", group="dialout")
ANSWERED = AnswerFacts(waited_s=0.4, heard_b=200, good_frames=4, is_connected=True)
GOOD_LINE = LineFacts(measured_s=3.4, pings=200, rtt=RttFigures(200, 90.0, 120.0, 400.0, 900.0))
GOOD_BOARD = BoardFacts(
    uid="73656c",
    protocol=1,
    firmware="0.1.0+00000000",
    n_valves=256,
    slots=1024,
    state="IDLE",
    uptime_s=3600.0,
    air_kpa=600,
    supply_mv=24_000,
    temp_c=25,
)
HEALTHY = DoctorFacts(port=SERIAL, answer=ANSWERED, line=GOOD_LINE, board=GOOD_BOARD)


def changed(part: str, **values: Any) -> DoctorFacts:
    """Return healthy facts but for these values of one part."""
    old = getattr(HEALTHY, part)
    return msgspec.structs.replace(HEALTHY, **{part: msgspec.structs.replace(old, **values)})


def codes(facts: DoctorFacts) -> dict[str, str]:
    return {finding.code.value: finding.severity.name for finding in diagnose(facts, DoctorLimits())}


def unanswered(**values: Any) -> DoctorFacts:
    return DoctorFacts(port=SERIAL, answer=AnswerFacts(waited_s=2.4, **values))


def test_a_healthy_line_gets_one_ok() -> None:
    assert codes(HEALTHY) == {"healthy": "OK"}


@pytest.mark.parametrize("trouble", PortTrouble)
def test_every_trouble_with_the_port_is_an_error(trouble: PortTrouble) -> None:
    facts = DoctorFacts(port=SERIAL, trouble=trouble, trouble_text="it says why")
    assert list(codes(facts).values()) == ["ERROR"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (unanswered(), "silence"),
        (unanswered(heard_b=91, damaged=12), "noise"),
        (unanswered(heard_b=91, echoed_frames=40), "echo"),
        (unanswered(heard_b=500, good_frames=9), "one_way"),
        (unanswered(heard_b=80, good_frames=1, their_version=9), "wrong_version"),
        (unanswered(heard_b=80, down=DownReason.TRANSPORT), "line_down"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_without_a_session_what_came_back_tells_why(facts: DoctorFacts, code: str) -> None:
    assert codes(facts) == {code: "ERROR"}


@pytest.mark.parametrize(
    ("part", "values", "code", "severity"),
    [
        ("port", {"is_stable": False, "stable_name": "/dev/serial/by-id/usb-x"}, "name_unstable", "INFO"),
        ("port", {"latency_timer_ms": 16}, "latency_timer", "WARNING"),
        ("answer", {"echoed_frames": 1}, "echo", "ERROR"),
        ("answer", {"faults_before": 1 << FaultCode.LATE_RATE}, "fault_before", "WARNING"),
        ("answer", {"faults_before": 1 << FaultCode.HOST_SILENT}, "fault_before", "INFO"),
        ("answer", {"state_before": "SAFE"}, "stopped_before", "INFO"),
        ("line", {"down": DownReason.SILENT}, "line_down", "ERROR"),
        ("line", {"pings_lost": 1}, "pings_lost", "WARNING"),
        ("line", {"pings_lost": 11}, "pings_lost", "ERROR"),
        ("line", {"rtt": RttFigures(200, 90.0, 120.0, 5001.0, 9000.0)}, "slow_line", "WARNING"),
        ("line", {"longest_pause_us": 50_001}, "busy_host", "WARNING"),
        ("line", {"damaged_here": 1}, "damaged_here", "WARNING"),
        ("line", {"damaged_there": 1}, "damaged_there", "WARNING"),
        ("line", {"overruns": 1}, "overrun", "WARNING"),
        ("line", {"gaps": 1}, "gaps", "INFO"),
        ("line", {"residual_us": 200.5}, "uneven_clock", "WARNING"),
        ("line", {"drift_ppm": -151.0, "measured_s": 10.0}, "drift", "WARNING"),
        ("board", {"faults": 1 << FaultCode.CFG_MISMATCH}, "fault", "ERROR"),
        ("board", {"faults": 1 << 20, "foreign_faults": (ForeignFault(20, "lid open"),)}, "fault_foreign", "ERROR"),
        ("board", {"uptime_s": 29.9}, "just_started", "INFO"),
        ("board", {"queue_high": 1024}, "queue_full", "WARNING"),
        ("board", {"is_default_config": False}, "config_kept", "INFO"),
        ("board", {"has_selftest": False}, "no_selftest", "INFO"),
        ("board", {"dictionary": DictionaryState.NONE}, "dictionary_none", "INFO"),
        ("board", {"dictionary": DictionaryState.OTHER}, "dictionary_other", "WARNING"),
        ("board", {"dictionary": DictionaryState.DAMAGED}, "dictionary_damaged", "WARNING"),
        ("board", {"dictionary": DictionaryState.UNREAD}, "dictionary_damaged", "WARNING"),
        ("board", {"supply_mv": 21_599}, "supply_low", "WARNING"),
        ("board", {"supply_mv": 26_401}, "supply_high", "ERROR"),
        ("board", {"supply_mv": 0}, "not_measured", "INFO"),
        ("board", {"air_kpa": 299}, "air_low", "WARNING"),
        ("board", {"air_kpa": 901}, "air_high", "WARNING"),
        ("board", {"air_kpa": 0}, "not_measured", "INFO"),
        ("board", {"temp_c": 71}, "too_hot", "WARNING"),
        ("board", {"temp_c": -1}, "too_cold", "WARNING"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_thing_wrong_is_one_finding(part: str, values: dict[str, Any], code: str, severity: str) -> None:
    found = codes(changed(part, **values))
    found.pop("healthy", None)
    assert found == {code: severity}


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("port", {"latency_timer_ms": 1}),
        ("line", {"rtt": RttFigures(200, 90.0, 120.0, 5000.0, 9000.0)}),
        ("line", {"longest_pause_us": 50_000}),
        ("line", {"residual_us": 200.0}),
        ("line", {"drift_ppm": 150.0, "measured_s": 10.0}),
        ("line", {"drift_ppm": 199.0, "measured_s": 9.9}),  # too short a measurement to blame a crystal
        ("board", {"uptime_s": 30.0}),
        ("board", {"queue_high": 1023}),
        ("board", {"supply_mv": 21_600}),
        ("board", {"supply_mv": 26_400}),
        ("board", {"air_kpa": 300}),
        ("board", {"air_kpa": 900}),
        ("board", {"temp_c": 70}),
        ("board", {"temp_c": 0}),
    ],
    ids=str,
)
def test_at_its_limit_all_is_still_well(part: str, values: dict[str, Any]) -> None:
    assert codes(changed(part, **values)) == {"healthy": "OK"}


@pytest.mark.parametrize("fault", FaultCode)
def test_every_fault_is_explained_now_and_before(fault: FaultCode) -> None:
    now = diagnose(changed("board", faults=1 << fault), DoctorLimits())[0]
    before = next(
        finding
        for finding in diagnose(changed("answer", faults_before=1 << fault), DoctorLimits())
        if finding.code is FindingCode.FAULT_BEFORE
    )
    for finding in (now, before):
        assert fault.name in finding.explanation.what.en
        assert FAULTS[fault].what.en in finding.explanation.what.en
        assert finding.explanation.remedy == FAULTS[fault].remedy


@pytest.mark.parametrize("reason", DownReason)
def test_every_end_of_a_session_is_explained(reason: DownReason) -> None:
    finding = diagnose(changed("line", down=reason), DoctorLimits())[0]
    assert DOWN_REASONS[reason].what.en in finding.explanation.what.en


def test_a_fault_of_a_newer_firmware_gets_the_firmwares_own_words() -> None:
    facts = changed("board", faults=1 << 20 | 1 << 21, foreign_faults=(ForeignFault(20, "lid open"),))
    texts = [finding.explanation.what.en for finding in diagnose(facts, DoctorLimits())]
    assert texts == [
        "Fault 20, unknown to this program: lid open",
        "Fault 21, unknown to this program: -",
    ]


def test_a_busy_port_names_its_holder() -> None:
    facts = DoctorFacts(port=SERIAL, trouble=PortTrouble.BUSY, holders=("minicom (pid 7)",))
    assert "minicom (pid 7)" in diagnose(facts, DoctorLimits())[0].explanation.what.en


def test_a_forbidden_port_names_its_group() -> None:
    facts = DoctorFacts(port=SERIAL, trouble=PortTrouble.DENIED)
    assert "usermod -aG dialout" in diagnose(facts, DoctorLimits())[0].explanation.remedy.en


FACTS = st.builds(
    DoctorFacts,
    port=st.builds(
        PortFacts,
        port=st.just("/dev/ttyUSB0"),
        kind=st.sampled_from(PortKind),
        stable_name=st.none() | st.just("/dev/serial/by-id/usb-x"),
        is_stable=st.booleans(),
        latency_timer_ms=st.none() | st.integers(0, 255),
    ),
    trouble=st.none() | st.sampled_from(PortTrouble),
    answer=st.none()
    | st.builds(
        AnswerFacts,
        waited_s=st.floats(0, 10),
        heard_b=st.integers(0, 1000),
        good_frames=st.integers(0, 9),
        echoed_frames=st.integers(0, 9),
        is_connected=st.booleans(),
        their_version=st.none() | st.integers(0, 255),
        state_before=st.none() | st.sampled_from(["SAFE", "IDLE"]),
        faults_before=st.integers(0, 2**32 - 1),
        down=st.none() | st.sampled_from(DownReason),
    ),
    line=st.none()
    | st.builds(
        LineFacts,
        measured_s=st.floats(0, 100),
        pings=st.integers(0, 200),
        pings_lost=st.integers(0, 200),
        rtt=st.none() | st.just(RttFigures(1, 1.0, 1.0, 1e6, 1e6)),
        residual_us=st.none() | st.floats(0, 1e6),
        drift_ppm=st.none() | st.floats(-1e4, 1e4),
        down=st.none() | st.sampled_from(DownReason),
    ),
    board=st.none()
    | st.builds(
        BoardFacts,
        uid=st.just("73"),
        protocol=st.just(1),
        firmware=st.just("1"),
        n_valves=st.integers(0, 4096),
        slots=st.integers(0, 1024),
        state=st.just("IDLE"),
        uptime_s=st.floats(0, 1e9),
        faults=st.integers(0, 2**32 - 1),
        dictionary=st.sampled_from(DictionaryState),
        supply_mv=st.integers(0, 65_535),
        air_kpa=st.integers(0, 65_535),
        temp_c=st.integers(-128, 127),
    ),
)


@given(FACTS)
def test_whatever_was_measured_is_told_whole_and_worst_first(facts: DoctorFacts) -> None:
    findings = diagnose(facts, DoctorLimits())
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, reverse=True)
    for language in LANGUAGES:
        text = doctor_text(facts, findings, language, 80)
        assert not re.search(r"\{[a-z]+\}", text)  # every value was put in
        if findings:
            assert len(doctor_report(facts, findings, language).findings) == len(findings)


@given(FACTS)
def test_healthy_means_neither_warning_nor_error(facts: DoctorFacts) -> None:
    findings = diagnose(facts, DoctorLimits())
    is_ok = any(finding.code is FindingCode.HEALTHY for finding in findings)
    is_bad = any(finding.severity >= Severity.WARNING for finding in findings)
    assert not (is_ok and is_bad)


# ----- the catalogue


def test_every_finding_has_a_text() -> None:
    assert set(TEXTS) == set(FindingCode)


@pytest.mark.parametrize("code", FindingCode)
def test_texts_say_the_same_values_in_both_languages(code: FindingCode) -> None:
    for phrase in (TEXTS[code].what, TEXTS[code].why, TEXTS[code].remedy):
        names = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (phrase.en, phrase.zh_cn)]
        assert names[0] == names[1]
        assert phrase.en.strip()
        assert phrase.zh_cn == phrase.en or re.search(r"[\u4e00-\u9fff]", phrase.zh_cn)


def test_lines_of_the_text_keep_to_the_width() -> None:
    facts = changed("answer", faults_before=1 << FaultCode.HOST_SILENT)
    text = doctor_text(facts, diagnose(facts, DoctorLimits()), "en", 80)
    assert max(map(len, text.splitlines())) <= 80
