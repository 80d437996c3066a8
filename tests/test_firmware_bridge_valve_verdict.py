"""The verdict on a valve, and how a self-test reads: pure rules over every measured value."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.messages import Selftest, SelftestFlag, SelftestMode, SelftestRes
from firmware_bridge.phrase import LANGUAGES
from firmware_bridge.reports import selftest_report
from firmware_bridge.selftest_text import selftest_text, valve_ranges
from firmware_bridge.valve_verdict import ADVICE, ValveLimits, ValveVerdict, judge_valve

LIMITS = ValveLimits(coil_ma_low=80, coil_ma_high=420, open_us_max=3000)
FIRE, MEASURE = SelftestMode.FIRE, SelftestMode.MEASURE
ANSWERS = st.builds(
    SelftestRes,
    valve=st.integers(0, 4095),
    coil_ma=st.integers(0, 65_535),
    open_us=st.integers(0, 65_535),
    flags=st.sampled_from([SelftestFlag.NONE, SelftestFlag.LAST, SelftestFlag.NO_SENSE]),
)


def verdict(
    coil_ma: int, open_us: int, mode: SelftestMode = FIRE, flags: SelftestFlag = SelftestFlag.NONE
) -> ValveVerdict:
    return judge_valve(SelftestRes(7, coil_ma, open_us, flags), mode, LIMITS)


@pytest.mark.parametrize(
    ("coil_ma", "open_us", "expected"),
    [
        (79, 900, ValveVerdict.NO_COIL),
        (80, 900, ValveVerdict.OK),
        (420, 900, ValveVerdict.OK),
        (421, 900, ValveVerdict.SHORT),
        (180, 0, ValveVerdict.STUCK),
        (180, 1, ValveVerdict.OK),
        (180, 3000, ValveVerdict.OK),
        (180, 3001, ValveVerdict.SLOW),
        (0, 0, ValveVerdict.NO_COIL),  # a coil without current cannot open anything: the cause, not the effect
        (65_535, 0, ValveVerdict.SHORT),
    ],
)
def test_limits_are_inclusive_and_the_cause_comes_before_the_effect(
    coil_ma: int, open_us: int, expected: ValveVerdict
) -> None:
    assert verdict(coil_ma, open_us) is expected


@given(ANSWERS)
def test_measuring_says_nothing_about_opening(answer: SelftestRes) -> None:
    assert judge_valve(answer, MEASURE, LIMITS) not in {ValveVerdict.SLOW, ValveVerdict.STUCK}


@given(st.integers(0, 65_535), st.integers(0, 65_535), st.sampled_from(SelftestMode))
def test_without_sensing_nothing_is_ok(coil_ma: int, open_us: int, mode: SelftestMode) -> None:
    assert verdict(coil_ma, open_us, mode, SelftestFlag.NO_SENSE) is ValveVerdict.NO_SENSE


@given(ANSWERS, st.integers(0, 500))
def test_a_wider_limit_never_makes_a_good_valve_bad(answer: SelftestRes, more: int) -> None:
    wide = ValveLimits(coil_ma_low=max(0, 80 - more), coil_ma_high=420 + more, open_us_max=3000 + more)
    if judge_valve(answer, FIRE, LIMITS) is ValveVerdict.OK:
        assert judge_valve(answer, FIRE, wide) is ValveVerdict.OK


@pytest.mark.parametrize("kind", ValveVerdict)
def test_every_verdict_has_advice_in_both_languages(kind: ValveVerdict) -> None:
    advice = ADVICE[kind]
    for phrase in (advice.what, advice.why, advice.remedy):
        assert re.search(r"[\u4e00-\u9fff]", phrase.text("zh-CN"))
        assert not re.search(r"[\u3000-\u9fff]", phrase.text("en"))


# ----- the text


def text_of(answers: list[SelftestRes], mode: SelftestMode = FIRE, language: str = "en") -> str:
    report = selftest_report("virtual", Selftest(0, 4095, 5000, mode), answers, limits=LIMITS)
    return selftest_text(report, next(one for one in LANGUAGES if one == language))


def answer(valve: int, coil_ma: int = 180, open_us: int = 900) -> SelftestRes:
    return SelftestRes(valve, coil_ma, open_us, SelftestFlag.NONE)


@given(st.sets(st.integers(0, 4095)))
def test_ranges_name_every_valve_once(valves: set[int]) -> None:
    named: list[int] = []
    for part in filter(None, valve_ranges(sorted(valves)).split(", ")):
        ends = [int(end) for end in part.split("..")]
        named += range(ends[0], ends[-1] + 1)
    assert named == sorted(valves)


def test_good_valves_are_only_counted() -> None:
    assert text_of([answer(0), answer(1)]) == "2 valves tried (fire, 5000 us): 2 ok, 0 not ok"


def test_measuring_says_that_opening_is_unknown() -> None:
    assert text_of([answer(0)], MEASURE).endswith("--mode fire also tells whether the valves open.")


def test_one_cause_for_all_is_looked_for_first() -> None:
    alike = [answer(valve, coil_ma=0) for valve in range(4)]
    assert "All valves alike" in text_of(alike)
    assert "All valves alike" not in text_of([*alike, answer(4)])
    assert "All valves alike" not in text_of([*alike, answer(4, coil_ma=900)])
    assert "All valves alike" not in text_of(alike[:1])


def test_figures_of_many_valves_are_cut_but_their_ranges_are_whole() -> None:
    text = text_of([answer(valve, coil_ma=0) for valve in range(100)])
    assert "NO_COIL  valves 0..99" in text
    assert text.count("valve 7:") == 1
    assert "valve 8:" not in text


@given(st.lists(ANSWERS, max_size=20), st.sampled_from(SelftestMode), st.sampled_from(LANGUAGES))
def test_any_result_reads_whole(answers: list[SelftestRes], mode: SelftestMode, language: str) -> None:
    text = text_of(answers, mode, language)
    assert not re.search(r"\{[a-z]+\}", text)
    assert str(len(answers)) in text
