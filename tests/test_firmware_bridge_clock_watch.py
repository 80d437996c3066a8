"""Questions about the controller's time: when they leave, which answer is theirs, whether the line is good enough."""

import pytest

from firmware_bridge.clock_watch import MAX_RESIDUAL_US, ClockPeriods, ClockWatch, rtt_figures
from firmware_bridge.errors import ArmRefusedError
from firmware_bridge.messages import ClockReq, ClockRsp

MS = 1_000_000


def started() -> ClockWatch:
    watch = ClockWatch(ClockPeriods(first_ms=50, arming_ms=100, armed_ms=984))
    watch.start(tick_hz=1_000_000, now_ns=0)
    return watch


def answer(request: ClockReq, at_ns: int) -> ClockRsp:
    return ClockRsp(request.token, at_ns // 1000, at_ns // 1000, 0)


def ask(watch: ClockWatch, at_ns: int, rtt_ns: int = MS, there_ns: int | None = None) -> None:
    watch.ask_now(at_ns)
    request = watch.due(at_ns, is_armed=False)
    assert request is not None
    way_ns = rtt_ns // 2 if there_ns is None else there_ns
    assert watch.on_answer(answer(request, at_ns + way_ns), at_ns + rtt_ns)


def question_times_ms(watch: ClockWatch, *, is_armed: bool, from_ms: int, for_ms: int) -> list[int]:
    """Let the time pass millisecond by millisecond with a controller that answers at once."""
    times = []
    for now_ms in range(from_ms, from_ms + for_ms):
        request = watch.due(now_ms * MS, is_armed=is_armed)
        if request is not None:
            times.append(now_ms)
            watch.on_answer(answer(request, now_ms * MS), now_ms * MS)
    return times


def test_quickly_at_first_then_ten_a_second_then_every_984_ms() -> None:
    watch = started()
    assert question_times_ms(watch, is_armed=False, from_ms=0, for_ms=500) == [0, 50, 100, 150, 200, 250, 350, 450]
    assert question_times_ms(watch, is_armed=True, from_ms=500, for_ms=2600)[-2:] == [2850, 2950]  # the 32nd and 33rd
    assert question_times_ms(watch, is_armed=True, from_ms=3100, for_ms=3000) == [3934, 4918, 5902]
    assert question_times_ms(watch, is_armed=False, from_ms=6100, for_ms=1000) == [6886, 6986, 7086]


def test_a_new_session_asks_quickly_again() -> None:
    watch = started()
    question_times_ms(watch, is_armed=False, from_ms=0, for_ms=5000)
    watch.start(tick_hz=1_000_000, now_ns=6000 * MS)
    assert watch.rtt is None
    assert watch.rtt_ns is None
    assert question_times_ms(watch, is_armed=True, from_ms=6000, for_ms=400) == [
        6000,
        6050,
        6100,
        6150,
        6200,
        6250,
        6350,
    ]


def test_an_unanswered_question_is_followed_by_another_and_a_late_answer_still_counts() -> None:
    watch = started()
    first, second = watch.due(0, is_armed=False), watch.due(50 * MS, is_armed=False)
    assert first is not None
    assert second is not None
    assert first.token != second.token
    assert watch.on_answer(answer(first, 30 * MS), 70 * MS)
    assert watch.rtt_ns == 70 * MS
    assert watch.on_answer(answer(second, 60 * MS), 71 * MS)
    assert watch.rtt_ns == 21 * MS


def test_doubled_foreign_and_forgotten_answers_are_not_taken() -> None:
    watch = started()
    requests = [watch.due(number * 50 * MS, is_armed=False) for number in range(20)]
    first, last = requests[0], requests[-1]
    assert first is not None
    assert last is not None
    assert not watch.on_answer(answer(first, 0), 1000 * MS)  # 16 are waited for
    assert watch.on_answer(answer(last, 999 * MS), 1000 * MS)
    assert not watch.on_answer(answer(last, 999 * MS), 1001 * MS)
    assert not watch.on_answer(ClockRsp(0xDEAD, 0, 0, 0), 1001 * MS)
    assert watch.answers == 1


@pytest.mark.parametrize(("count", "rank"), [(1, 1), (2, 2), (99, 99), (100, 99), (101, 100), (200, 198)])
def test_p99_is_the_nearest_rank(count: int, rank: int) -> None:
    figures = rtt_figures([number * 1000 for number in range(count, 0, -1)])
    assert (figures.count, figures.min_us, figures.p99_us, figures.max_us) == (count, 1.0, rank, count)


def test_too_few_answers_neither_allow_nor_refuse() -> None:
    watch = started()
    for number in range(4):
        assert not watch.check_lead(12_000)
        ask(watch, number * 50 * MS)
    assert not watch.check_lead(12_000)
    ask(watch, 200 * MS)
    assert watch.check_lead(12_000)


def test_a_round_trip_of_half_the_lead_is_allowed_and_more_is_refused() -> None:
    watch = started()
    for number in range(9):
        ask(watch, number * 50 * MS)
    ask(watch, 500 * MS, rtt_ns=6 * MS)
    assert watch.check_lead(12_000)
    with pytest.raises(ArmRefusedError, match=r"round trip of 6000 us \(p99 of 10\) > 5999 us, half the lead"):
        watch.check_lead(11_998)


def test_a_clock_that_scatters_is_refused_with_value_and_limit() -> None:
    watch = started()
    for number in range(40):
        ask(watch, number * 50 * MS, rtt_ns=2 * MS, there_ns=(0, 2 * MS)[number % 2])
    with pytest.raises(ArmRefusedError, match=r"controller's clock scatters by \d+ us > 200 us"):
        watch.check_lead(1_000_000)
    assert watch.fit.residual_us > MAX_RESIDUAL_US
