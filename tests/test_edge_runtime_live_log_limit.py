"""How many of many equal lines are written, and that none is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.live.log_limit import LogLimiter
from firmware_bridge.clock import NS_PER_S

PERIOD_NS = 2 * NS_PER_S
STEPS = st.lists(st.integers(0, 3 * NS_PER_S), max_size=200)


@given(steps=STEPS, burst=st.integers(1, 6))
def test_no_stretch_of_time_has_more_lines_than_burst_and_one_a_period(steps: list[int], burst: int) -> None:
    limiter, now_ns, written = LogLimiter(burst=burst, period_s=2.0), 0, list[int]()
    for step in steps:
        now_ns += step
        if limiter.left_out("event", now_ns=now_ns) is not None:
            written.append(now_ns)
    for first in range(len(written)):
        for last in range(first, len(written)):
            assert last - first + 1 <= burst + (written[last] - written[first]) // PERIOD_NS


@given(steps=STEPS, burst=st.integers(1, 6))
def test_every_line_left_out_is_counted_by_the_next_one(steps: list[int], burst: int) -> None:
    limiter, now_ns, told, dropped = LogLimiter(burst=burst, period_s=2.0), 0, 0, 0
    for step in steps:
        now_ns += step
        left_out = limiter.left_out("event", now_ns=now_ns)
        dropped += left_out is None
        told += left_out or 0
    after_a_pause = limiter.left_out("event", now_ns=now_ns + 100 * PERIOD_NS)
    assert after_a_pause is not None
    assert told + after_a_pause == dropped


def test_kinds_have_room_of_their_own() -> None:
    limiter = LogLimiter(burst=1, period_s=2.0)
    assert [limiter.left_out(kind, now_ns=0) for kind in ("one", "other", "one")] == [0, 0, None]


def test_what_is_rare_is_written_always() -> None:
    limiter = LogLimiter(burst=1, period_s=2.0)
    assert [limiter.left_out("event", now_ns=turn * PERIOD_NS) for turn in range(9)] == [0] * 9


def test_names_without_end_take_no_memory_without_end() -> None:
    limiter = LogLimiter(burst=1, period_s=2.0)
    for turn in range(2000):
        assert limiter.left_out(f"event {turn}", now_ns=turn) == 0
    assert limiter.left_out("event 1999", now_ns=2000) is None
    assert limiter.left_out("event 0", now_ns=2000) == 0  # it was forgotten
