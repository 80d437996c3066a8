"""The self-test of the controller: one valve after another, each answered once, refused where one runs."""

from firmware_bridge.board_selftest import BoardSelftest, ValveReading
from firmware_bridge.messages import Selftest, SelftestFlag, SelftestMode, SelftestRes

REST_US = 10_000
REFUSED = SelftestFlag.REFUSED | SelftestFlag.LAST


def selftest() -> BoardSelftest:
    return BoardSelftest(lambda valve: ValveReading(coil_ma=100 + valve, open_us=900 + valve))


def started(first: int, last: int, mode: SelftestMode = SelftestMode.FIRE, *, now: int = 500) -> BoardSelftest:
    test = selftest()
    test.start(Selftest(first, last, 1000, mode), now=now, is_allowed=True)
    return test


def test_nothing_runs_before_it_is_asked_for() -> None:
    test = selftest()
    assert (test.is_running, test.take_pulse(), test.take(10**9)) == (False, None, None)
    test.abort()
    assert test.take(10**9) is None


def test_each_valve_is_opened_once_and_answered_after_its_pulse_and_its_rest() -> None:
    test = started(3, 4)
    assert test.is_running
    assert [test.take_pulse(), test.take_pulse()] == [(3, 1000), None]
    assert test.take(500 + 1000 + REST_US - 1) is None
    assert test.take(500 + 1000 + REST_US) == SelftestRes(3, 103, 903, SelftestFlag(0))
    assert [test.take_pulse(), test.take_pulse()] == [(4, 1000), None]
    assert test.take(20_000 - 1) is None  # the second one is counted from the answer
    assert test.take(11_500 + 1000 + REST_US - 1) is None
    assert test.is_running
    assert test.take(11_500 + 1000 + REST_US) == SelftestRes(4, 104, 904, SelftestFlag.LAST)
    assert (test.is_running, test.take_pulse(), test.take(10**9)) == (False, None, None)


def test_measuring_opens_nothing() -> None:
    test = started(7, 7, SelftestMode.MEASURE)
    assert test.take_pulse() is None
    assert test.take(500 + 1000 + REST_US) == SelftestRes(7, 107, 0, SelftestFlag.LAST)


def test_what_is_not_allowed_is_refused_with_its_first_valve() -> None:
    test = selftest()
    test.start(Selftest(5, 9, 1000, SelftestMode.FIRE), now=0, is_allowed=False)
    assert (test.is_running, test.take_pulse()) == (False, None)
    assert [test.take(0), test.take(10**9)] == [SelftestRes(5, 0, 0, REFUSED), None]


def test_a_second_one_is_refused_and_the_first_goes_on() -> None:
    test = started(3, 3)
    test.start(Selftest(5, 9, 1000, SelftestMode.FIRE), now=600, is_allowed=True)
    assert test.take(700) == SelftestRes(5, 0, 0, REFUSED)
    assert test.take(500 + 1000 + REST_US) == SelftestRes(3, 103, 903, SelftestFlag.LAST)


def test_a_refusal_of_valve_0_is_told_as_well() -> None:
    test = selftest()
    test.start(Selftest(0, 9, 1000, SelftestMode.FIRE), now=0, is_allowed=False)
    assert test.take(0) == SelftestRes(0, 0, 0, REFUSED)


def test_one_that_is_ended_answers_for_the_valve_it_was_at() -> None:
    test = started(3, 9)
    test.take(500 + 1000 + REST_US)
    test.abort()
    assert (test.is_running, test.take_pulse()) == (False, None)
    assert [test.take(20_000), test.take(10**9)] == [SelftestRes(4, 0, 0, REFUSED), None]


def test_one_whose_host_is_gone_answers_nothing() -> None:
    test = started(3, 9)
    test.start(Selftest(5, 9, 1000, SelftestMode.FIRE), now=600, is_allowed=True)
    test.forget()
    assert (test.is_running, test.take_pulse(), test.take(10**9)) == (False, None, None)


def test_the_next_one_begins_as_the_first_did() -> None:
    test = started(3, 3)
    test.take_pulse()
    test.take(500 + 1000 + REST_US)
    test.start(Selftest(2, 2, 700, SelftestMode.FIRE), now=50_000, is_allowed=True)
    assert test.take_pulse() == (2, 700)
    assert test.take(50_000 + 700 + REST_US - 1) is None
    assert test.take(50_000 + 700 + REST_US) == SelftestRes(2, 102, 902, SelftestFlag.LAST)
