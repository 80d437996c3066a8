"""When so many events are late that the controller says so."""

import pytest

from firmware_bridge.late_rate import LateRate, LateVerdict

SECOND = 1_000_000  # ticks


def counted(rate: LateRate, events: int, late: int) -> LateRate:
    for number in range(events):
        rate.add(is_late=number < late)
    return rate


@pytest.mark.parametrize(
    ("events", "late", "verdict"),
    [
        (0, 0, LateVerdict.GOOD),
        (1000, 0, LateVerdict.GOOD),
        (19, 19, LateVerdict.UNDECIDED),
        (20, 1, LateVerdict.POOR),
        (20, 4, LateVerdict.POOR),
        (20, 5, LateVerdict.HOPELESS),
        (100, 1, LateVerdict.UNDECIDED),
        (100, 2, LateVerdict.POOR),
        (100, 20, LateVerdict.POOR),
        (100, 21, LateVerdict.HOPELESS),
        (199, 2, LateVerdict.POOR),
        (200, 2, LateVerdict.UNDECIDED),
        (1000, 10, LateVerdict.UNDECIDED),
        (1000, 11, LateVerdict.POOR),
        (1000, 200, LateVerdict.POOR),
        (1000, 201, LateVerdict.HOPELESS),
    ],
)
def test_a_second_is_judged_at_its_exact_limits(events: int, late: int, verdict: LateVerdict) -> None:
    rate = counted(LateRate(500), events, late)
    assert rate.judge(500 + SECOND - 1) is LateVerdict.UNDECIDED
    assert verdict is rate.judge(500 + SECOND)


def test_each_second_is_judged_by_itself_and_begins_when_the_last_was_judged() -> None:
    rate = counted(LateRate(0), 100, 50)
    assert rate.judge(SECOND + 300) is LateVerdict.HOPELESS
    counted(rate, 100, 2)
    assert rate.judge(2 * SECOND + 299) is LateVerdict.UNDECIDED
    assert rate.judge(2 * SECOND + 300) is LateVerdict.POOR
    counted(rate, 100, 0)
    assert rate.judge(3 * SECOND + 300) is LateVerdict.GOOD
