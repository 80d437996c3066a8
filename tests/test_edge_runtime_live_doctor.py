"""Every precondition of a live run, judged from facts."""

import string
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inline import desk_machine
from edge_runtime.live.doctor import Check, Verdict, checks_of
from edge_runtime.live.doctor_facts import (
    CameraFacts,
    ComputerFacts,
    LiveFacts,
    ModelFacts,
    SourceState,
    StateFacts,
)
from edge_runtime.live.doctor_report import live_doctor_report, live_doctor_text
from edge_runtime.live.doctor_texts import TEXTS
from edge_runtime.live_settings import LiveSettings
from firmware_bridge.doctor_facts import DoctorFacts, PortFacts, PortKind
from firmware_bridge.port_facts import PortTrouble

MB: Final = 1 << 20
MACHINE: Final = msgspec.structs.replace(desk_machine(1024), port="virtual")
COMPUTER: Final = ComputerFacts(
    cores=(0, 1, 2, 3),
    memory_b=8192 * MB,
    lockable_b=None,
    priority_refused="",
    clock_source="tsc",
    governors=("performance",),
    videos=("/dev/video0",),
)
GOOD: Final = LiveFacts(
    "machine.toml",
    machine=MACHINE,
    model=ModelFacts("model", model_id="ab" * 32, is_tuned=True, form="int8 by onnxruntime: tuned: fastest"),
    cameras=(CameraFacts(MACHINE.cameras[0], "there", ""),),
    state=StateFacts("state", 50_000 * MB, is_writable=True),
    computer=COMPUTER,
)


def with_machine(**changes: object) -> LiveFacts:
    machine = msgspec.structs.replace(MACHINE, **changes)
    return msgspec.structs.replace(GOOD, machine=machine)


def with_live(**changes: object) -> LiveFacts:
    return with_machine(live=msgspec.structs.replace(LiveSettings(), **changes))


def with_computer(**changes: object) -> LiveFacts:
    return msgspec.structs.replace(GOOD, computer=msgspec.structs.replace(COMPUTER, **changes))


def with_state(free_mb: int, *, is_writable: bool = True) -> LiveFacts:
    return msgspec.structs.replace(GOOD, state=StateFacts("state", free_mb * MB, is_writable))


def with_camera(state: SourceState, references: str = "") -> LiveFacts:
    return msgspec.structs.replace(GOOD, cameras=(CameraFacts(MACHINE.cameras[0], state, references),))


def verdicts(facts: LiveFacts) -> dict[str, Verdict]:
    return {check.code: check.verdict for check in checks_of(facts)}


def test_good_machine_has_nothing_to_be_done() -> None:
    checks = checks_of(GOOD)
    assert {check.verdict for check in checks} == {Verdict.OK}
    assert all(check.remedy.en == "" for check in checks)
    assert [check.code for check in checks] == [
        "machine_ok",
        "model_ok",
        "camera_ok",
        "calibration_ok",
        "flight_ok",
        "priority_ok",
        "memory_ok",
        "memlock_ok",
        "cores_ok",
        "clock_ok",
        "governor_ok",
        "state_ok",
        "metrics_ok",
    ]


@pytest.mark.parametrize(
    ("facts", "code", "verdict"),
    [
        (LiveFacts("machine.toml", machine_error="line 3"), "machine_wrong", Verdict.WRONG),
        (msgspec.structs.replace(GOOD, model=ModelFacts("model", error="no card")), "model_wrong", Verdict.WRONG),
        (msgspec.structs.replace(GOOD, model=ModelFacts("model", "ab")), "model_untuned", Verdict.DOUBTFUL),
        (msgspec.structs.replace(GOOD, fallback=ModelFacts("quick", error="no card")), "model_wrong", Verdict.WRONG),
        (msgspec.structs.replace(GOOD, running="rice-1"), "run_answers", Verdict.OK),
        (with_camera("none"), "camera_none", Verdict.WRONG),
        (with_camera("unknown"), "camera_unknown", Verdict.WRONG),
        (with_camera("missing"), "camera_missing", Verdict.WRONG),
        (with_camera("denied"), "camera_denied", Verdict.WRONG),
        (with_camera("unasked"), "camera_unasked", Verdict.OK),
        (with_camera("there", "none"), "calibration_none", Verdict.DOUBTFUL),
        (with_camera("there", "damaged"), "calibration_wrong", Verdict.WRONG),
        (with_machine(port=""), "port_none", Verdict.WRONG),
        (with_live(priority=0), "priority_off", Verdict.DOUBTFUL),
        (with_computer(priority_refused="Operation not permitted"), "priority_refused", Verdict.DOUBTFUL),
        (with_computer(lockable_b=8 * MB), "memlock_low", Verdict.DOUBTFUL),
        (with_computer(lockable_b=8192 * MB), "memlock_ok", Verdict.OK),
        (with_computer(memory_b=25 * MB), "memory_low", Verdict.DOUBTFUL),
        (with_computer(memory_b=24 * MB), "memory_short", Verdict.WRONG),
        (with_computer(cores=(0, 1)), "cores_few", Verdict.DOUBTFUL),
        (with_computer(cores=(0, 1, 2)), "cores_ok", Verdict.OK),
        (with_live(vision_cores=(9,)), "cores_missing", Verdict.DOUBTFUL),
        (with_computer(clock_source="hpet"), "clock_slow", Verdict.DOUBTFUL),
        (with_computer(governors=("performance", "powersave")), "governor_slow", Verdict.DOUBTFUL),
        (with_computer(governors=()), "governor_ok", Verdict.OK),
        (with_state(1023), "state_low", Verdict.DOUBTFUL),
        (with_state(1024), "state_ok", Verdict.OK),
        (with_state(63), "state_full", Verdict.WRONG),
        (with_state(64), "state_low", Verdict.DOUBTFUL),
        (with_state(9000, is_writable=False), "state_denied", Verdict.WRONG),
        (with_live(metrics_port=0), "metrics_off", Verdict.OK),
        (msgspec.structs.replace(GOOD, metrics_trouble="in use"), "metrics_busy", Verdict.DOUBTFUL),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_is_found_and_judged(facts: LiveFacts, code: str, verdict: Verdict) -> None:
    assert verdicts(facts)[code] is verdict


def test_a_run_that_goes_on_has_taken_its_rings_already() -> None:
    facts = msgspec.structs.replace(with_computer(memory_b=24 * MB), running="rice-1")
    assert verdicts(facts)["memory_low"] is Verdict.DOUBTFUL
    facts = msgspec.structs.replace(with_computer(memory_b=25 * MB), running="rice-1")
    assert verdicts(facts)["memory_ok"] is Verdict.OK


def test_what_is_found_at_the_port_is_what_the_links_doctor_says() -> None:
    port = PortFacts(port="/dev/ttyACM0", kind=PortKind.SERIAL, group="dialout")
    facts = msgspec.structs.replace(GOOD, port=DoctorFacts(port=port, trouble=PortTrouble.DENIED))
    (check,) = [check for check in checks_of(facts) if check.code == "port_denied"]
    assert check.verdict is Verdict.WRONG
    assert check.what.en == "This user may not use /dev/ttyACM0."
    assert "usermod -aG dialout" in check.remedy.en


@given(to_valves_mm=st.floats(1, 1000), belt_mm_s=st.floats(100, 6000), min_lead_ms=st.floats(0, 50))
def test_room_to_sort_is_what_flight_block_and_lead_leave(
    to_valves_mm: float, belt_mm_s: float, min_lead_ms: float
) -> None:
    camera = msgspec.structs.replace(MACHINE.cameras[0], to_valves_mm=to_valves_mm)
    facts = msgspec.structs.replace(
        with_machine(cameras=(camera,), belt_mm_s=belt_mm_s, min_lead_ms=min_lead_ms),
        cameras=(CameraFacts(camera, "there", ""),),
    )
    block_ms = camera.frame_lines * camera.pixel_mm / belt_mm_s * 1000
    room_ms = to_valves_mm / belt_mm_s * 1000 - block_ms - min_lead_ms
    expected = "flight_short" if room_ms <= 0 else "flight_tight" if room_ms < 3 * block_ms else "flight_ok"
    assert expected in verdicts(facts)


def test_every_code_is_filled_in_both_languages() -> None:
    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for code, text in TEXTS.items():
        assert names(text.what.en) == names(text.what.zh_cn), code
        assert names(text.remedy.en) == names(text.remedy.zh_cn), code
        assert (
            bool(text.remedy.en)
            == bool(text.remedy.zh_cn)
            == (not code.endswith(("_ok", "unasked", "answers", "off")) or code == "priority_off")
        ), code


def test_text_and_report_say_the_same_in_both_languages() -> None:
    checks: tuple[Check, ...] = checks_of(with_state(10))
    english, chinese = live_doctor_text(checks, "en"), live_doctor_text(checks, "zh-CN")
    assert "WRONG     state: 10 MiB are free: nothing can be recorded.\n          do: Export" in english
    assert english.endswith("1 wrong, 0 doubtful, 12 ok")
    assert "错误  state：剩余 10 MiB，无法记录。\n      处理：导出" in chinese
    assert chinese.endswith("1 项错误，0 项可疑，12 项正常")
    report = live_doctor_report("machine.toml", checks, "zh-CN")
    assert (report.worst, len(report.checks)) == ("wrong", 13)
    assert [one.code for one in report.checks if one.verdict == "wrong"] == ["state_full"]
