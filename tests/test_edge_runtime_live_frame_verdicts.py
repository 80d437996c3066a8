"""Each frame leaves exactly once: settled, lost with its worker, or overdue."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.live.frame_verdicts import FrameVerdicts

LIMIT_NS = 100
STEPS = st.one_of(
    st.tuples(st.just("see"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("inherit"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("claim"), st.integers(0, 25), st.integers(1, 3)),
    st.tuples(st.just("settle"), st.integers(0, 25), st.just(0)),
    st.tuples(st.just("lose"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("overdue"), st.integers(0, 80), st.just(0)),
)


@given(st.lists(STEPS, max_size=40), st.integers(0, 5))
def test_each_frame_leaves_exactly_once(steps: list[tuple[str, int, int]], first: int) -> None:
    verdicts, left, now_ns, published = FrameVerdicts(LIMIT_NS, first), Counter[int](), 0, first
    for what, value, worker in steps:
        match what:
            case "see":
                verdicts.see(value, now_ns)
                published = max(published, value)
            case "inherit":
                verdicts.inherit(value, now_ns)
                published = max(published, value)
            case "claim":
                verdicts.claim(value, worker)
            case "settle":
                was_open = first <= value < published and not left[value]
                assert verdicts.settle(value) == was_open
                left[value] += was_open
            case "lose":
                left.update(verdicts.lose_worker(value, now_ns))
            case _:
                now_ns += value
                left.update(number for number, _ in verdicts.overdue(now_ns))
        assert verdicts.open_frames == published - first - sum(left.values())
    left.update(number for number, _ in verdicts.overdue(now_ns + LIMIT_NS))

    assert left == Counter(range(first, published))


def test_a_frame_is_overdue_when_its_limit_is_reached_and_says_why() -> None:
    verdicts = FrameVerdicts(LIMIT_NS)
    verdicts.inherit(1, now_ns=0)
    verdicts.see(3, now_ns=10)
    verdicts.claim(1, worker=7)
    verdicts.lose_worker(8, now_ns=10)  # at the very moment

    assert verdicts.overdue(LIMIT_NS - 1) == []
    assert verdicts.overdue(LIMIT_NS + 9) == [(0, "worker_lost")]
    assert verdicts.overdue(LIMIT_NS + 10) == [(1, "late"), (2, "worker_lost")]
    verdicts.see(4, now_ns=11)
    assert verdicts.overdue(LIMIT_NS + 11) == [(3, "late")]


def test_an_inherited_frame_that_nobody_speaks_of_was_lost_with_the_bridge() -> None:
    verdicts = FrameVerdicts(LIMIT_NS)
    verdicts.inherit(1, now_ns=0)
    verdicts.see(2, now_ns=0)

    assert verdicts.overdue(LIMIT_NS) == [(0, "bridge_lost"), (1, "late")]


def test_a_claim_after_the_verdict_changes_nothing() -> None:
    verdicts = FrameVerdicts(LIMIT_NS)
    verdicts.see(1, now_ns=0)
    verdicts.overdue(LIMIT_NS)
    verdicts.claim(0, worker=7)

    assert (verdicts.lose_worker(7, LIMIT_NS), verdicts.settle(0), verdicts.open_frames) == ([], False, 0)
